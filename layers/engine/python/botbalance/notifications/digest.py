"""What a digest and a message of several fills say. Pure: figures in, text out."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from botbalance.engine import AssetRow, format_decimal
from botbalance.engine.arithmetic import ZERO, ExactArithmetic
from botbalance.exchange.profiles import is_paper
from botbalance.models.activity import Activity

_FILLS_LISTED = 20


@dataclass(frozen=True, slots=True)
class Position:
    """Where an account stands: NAV and bonus in quote, drift in percent; ``seen_at`` in epoch seconds."""

    seen_at: int
    quote_asset: str
    nav: Decimal
    bonus_quote: Decimal | None
    drift_pct: Decimal
    rows: Sequence[AssetRow]


def digest_text(
    position: Position | None, *, autopilot: str, fills: Sequence[Activity], open_incidents: Sequence[str], now: int
) -> str:
    """A day in a few lines; ``autopilot`` says in words whether it is on, ``fills`` are the last day's."""
    lines = [f"Autopilot: {autopilot}"]
    if position is None:
        lines.append("The account was not looked at yet, so there are no figures.")
    else:
        quote = position.quote_asset
        lines.append(f"NAV {_amount(position.nav)} {quote}, seen {_ago(now - position.seen_at)}")
        if position.bonus_quote is not None:
            lines.append(f"Rebalancing has added {_amount(position.bonus_quote)} {quote} in all")
        lines.append(f"Drift {_amount(position.drift_pct)} %")
        lines += [line for row in position.rows if (line := _triggers(row))]
    for account, some in _by_account(fills).items():
        lines.append(f"{_count(len(some), 'fill')}{_on(account)} in the last day{_fees(some)}")
    if not fills:
        lines.append("0 fills in the last day")
    lines += [f"Open: {incident}" for incident in open_incidents]
    return "\n".join(lines)


def fills_text(fills: Sequence[Activity]) -> str:
    """Fills in a line each, oldest first, and their fees, those of each account by themselves."""
    lines = [_fill(one.after or {}) for one in fills[:_FILLS_LISTED]]
    if len(fills) > _FILLS_LISTED:
        lines.append(f"and {len(fills) - _FILLS_LISTED} more")
    accounts = _by_account(fills)
    if len(accounts) == 1:
        return "\n".join(lines) + _fees(fills)
    fees = [f"{_count(len(some), 'fill')}{_on(account)}{_fees(some)}" for account, some in accounts.items()]
    return "\n".join([*lines, *fees])


def fills_title(fills: Sequence[Activity]) -> str:
    """How many, of which pairs, and how many of them on paper, where not all or none were; no amounts."""
    symbols = sorted({str((one.after or {}).get("symbol")) for one in fills})
    on_paper = sum(is_paper(str((one.after or {}).get("exchange"))) for one in fills)
    mixed = f", {on_paper} of them on paper" if 0 < on_paper < len(fills) else ""
    return f"{_count(len(fills), 'fill')} in {', '.join(symbols)}{mixed}"


def _fill(fill: Mapping[str, object]) -> str:
    verb = "bought" if fill.get("side") == "buy" else "sold"
    traded = f"{verb} {fill.get('base_qty')} {fill.get('base')} at {fill.get('price')} {fill.get('quote')}"
    return traded + _on(fill.get("account"))


def _by_account(fills: Iterable[Activity]) -> dict[object, list[Activity]]:
    """Fills by the account that they count for; None for those of older versions, which have not told it."""
    found: dict[object, list[Activity]] = defaultdict(list)
    for fill in fills:
        found[(fill.after or {}).get("account")].append(fill)
    return dict(sorted(found.items(), key=lambda item: str(item[0] or "")))


def _on(account: object) -> str:
    return "" if account is None else f" on {account}"


def _fees(fills: Iterable[Activity]) -> str:
    fees: dict[str, Decimal] = defaultdict(lambda: ZERO)
    with ExactArithmetic():
        for fill in fills:
            after = fill.after or {}
            fees[str(after.get("fee_asset"))] += Decimal(str(after.get("fee", "0")))
    paid = [f"{format_decimal(fee)} {asset}" for asset, fee in sorted(fees.items()) if fee]
    return f"; fees {', '.join(paid)}" if paid else ""


def _triggers(row: AssetRow) -> str:
    found = [
        f"{verb} at {_amount(price)}"
        for verb, price in (("buys", row.buy_trigger), ("sells", row.sell_trigger))
        if price is not None
    ]
    return f"{row.asset}: {', '.join(found)}" if found else ""


def _amount(number: Decimal) -> str:
    """To six digits: a digest is read, not computed with."""
    return format_decimal(Decimal(f"{number:.6g}"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _ago(seconds: int) -> str:
    return f"{seconds // 60} min ago" if seconds < 7_200 else f"{seconds // 3_600} h ago"
