"""What an export for a tax tool says, read as that tool reads it."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from io import StringIO

from botbalance.api.tax_exports import TaxTool, export_csv
from botbalance.models.order import Order

TOOLS: tuple[TaxTool, ...] = ("koinly", "cointracking", "coinledger", "rotki")


def rows(tool: TaxTool, *orders: Order, year: int | None = None) -> list[list[str]]:
    return list(csv.reader(StringIO(export_csv(tool, orders, year, header=True))))


def moved(orders: Sequence[Order]) -> dict[str, Fraction]:
    """What the fills did to each asset's balance."""
    changes: dict[str, Fraction] = defaultdict(Fraction)
    for one in orders:
        sign = 1 if one.side == "buy" else -1
        for traded in one.fills:
            changes[one.base] += sign * Fraction(traded.base_qty)
            changes[one.quote] -= sign * Fraction(traded.base_qty) * Fraction(traded.price)
            changes[traded.fee_asset] -= Fraction(traded.fee)
    return {asset: change for asset, change in changes.items() if change}


def parsed_back(tool: TaxTool, orders: Sequence[Order]) -> dict[str, Fraction]:
    """What an export says happened to each asset's balance, as the tool books it."""
    _, *found = rows(tool, *orders)
    changes: dict[str, Fraction] = defaultdict(Fraction)
    for row in found:
        match tool:
            case "koinly":
                sent, received, fee = row[1:3], row[3:5], row[5:7]
            case "cointracking":  # its fee column only tells how much of the amounts was one
                sent, received, fee = row[3:5], row[1:3], ["", ""]
            case "coinledger":
                sent, received, fee = row[3:1:-1], row[5:3:-1], row[7:5:-1]
            case "rotki":
                sent, received, fee = [row[4], row[1]], [row[3], row[2]], row[5:7]
        for sign, (quantity, asset) in ((-1, sent), (1, received), (-1, fee)):
            assert "E" not in quantity.upper()
            changes[asset] += sign * Fraction(quantity or 0)
    return {asset: change for asset, change in changes.items() if change}
