"""Fills in the forms that tax tools import: Koinly, CoinTracking, CoinLedger and rotki.

They differ in how they take fees. Koinly, CoinLedger and rotki want gross amounts, the fee being an outflow of its own.
CoinTracking wants net amounts: a fee in one of the two assets is part of what was bought or sold, and a fee in a third
one is a row of its own. Deposits and withdrawals are in none of them: no order of ours moves those.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from csv import QUOTE_ALL, QUOTE_MINIMAL, writer
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Literal

from botbalance.engine import format_decimal
from botbalance.engine.arithmetic import ZERO, ExactArithmetic
from botbalance.exchange.profiles import is_paper
from botbalance.models.order import Order

type TaxTool = Literal["koinly", "cointracking", "coinledger", "rotki"]
type Row = Sequence[str]

NOT_INCLUDED = "deposits and withdrawals are not in it; take those from the exchange"


@dataclass(frozen=True, slots=True)
class Trade:
    """A fill as a swap: quantities in units of their assets, all gross; ``fee`` is 0 where there was none."""

    at: datetime
    exchange: str
    sent: Decimal
    sent_asset: str
    received: Decimal
    received_asset: str
    fee: Decimal
    fee_asset: str
    client_order_id: str
    trade_id: str


@dataclass(frozen=True, slots=True)
class _Format:
    header: Row
    rows: Callable[[Trade], Iterator[Row]]
    quoting: Literal[0, 1] = QUOTE_MINIMAL


def export_csv(tool: TaxTool, orders: Iterable[Order], year: int | None, *, header: bool) -> str:
    """The fills of ``orders`` in ``year`` (UTC; None: all) for ``tool``, oldest first."""
    form = _FORMATS[tool]
    trades = sorted(
        (trade for trade in _trades(orders) if year is None or trade.at.year == year), key=lambda trade: trade.at
    )
    text = StringIO()
    out = writer(text, quoting=form.quoting)
    if header:
        out.writerow(form.header)
    for trade in trades:
        out.writerows(form.rows(trade))
    return text.getvalue()


def _trades(orders: Iterable[Order]) -> Iterator[Trade]:
    for order in orders:
        if is_paper(order.exchange):  # those trades never happened
            continue
        for fill, exact in zip(order.fills, order.as_engine_fills(), strict=True):
            base, quote = (fill.base_qty, order.base), (exact.quote_qty, order.quote)
            (sent, sent_asset), (received, received_asset) = (quote, base) if order.side == "buy" else (base, quote)
            fee = fill.fee
            with ExactArithmetic():
                if fee < 0 and fill.fee_asset == received_asset:  # a maker's rebate: no tool takes a fee below nothing
                    received, fee = received - fee, ZERO
                elif fee < 0 and fill.fee_asset == sent_asset:
                    sent, fee = sent + fee, ZERO
            yield Trade(
                at=datetime.fromtimestamp(fill.traded_at_ms / 1000, UTC),
                exchange=order.exchange,
                sent=sent,
                sent_asset=sent_asset,
                received=received,
                received_asset=received_asset,
                fee=fee,
                fee_asset=fill.fee_asset,
                client_order_id=order.client_order_id,
                trade_id=fill.trade_id,
            )


def _fee(trade: Trade) -> tuple[str, str]:
    """The fee and its asset; nothing where there was none."""
    return (format_decimal(trade.fee), trade.fee_asset) if trade.fee else ("", "")


def _koinly(trade: Trade) -> Iterator[Row]:
    yield (
        f"{trade.at:%Y-%m-%d %H:%M:%S}",
        format_decimal(trade.sent),
        trade.sent_asset,
        format_decimal(trade.received),
        trade.received_asset,
        *_fee(trade),
        *("", "", ""),
        trade.client_order_id,
        trade.trade_id,
    )


def _cointracking(trade: Trade) -> Iterator[Row]:
    sent, received, fee = trade.sent, trade.received, _fee(trade)
    with ExactArithmetic():
        if trade.fee_asset == trade.received_asset:
            received -= trade.fee
        elif trade.fee_asset == trade.sent_asset:
            sent += trade.fee
    in_third_asset = trade.fee_asset not in (trade.sent_asset, trade.received_asset)
    end = (
        trade.exchange,
        "",
        trade.client_order_id,
        f"{trade.at:%d.%m.%Y %H:%M:%S}",
        trade.trade_id,
    )
    bought, sold = (format_decimal(received), trade.received_asset), (format_decimal(sent), trade.sent_asset)
    yield ("Trade", *bought, *sold, *(("", "") if in_third_asset else fee), *end)
    if in_third_asset and trade.fee:
        yield ("Other Fee", "", "", *fee, "", "", *end)


def _coinledger(trade: Trade) -> Iterator[Row]:
    fee, fee_asset = _fee(trade)
    yield (
        f"{trade.at:%m/%d/%Y %H:%M:%S}",
        trade.exchange,
        trade.sent_asset,
        format_decimal(trade.sent),
        trade.received_asset,
        format_decimal(trade.received),
        fee_asset,
        fee,
        "Trade",
        trade.client_order_id,
        trade.trade_id,
    )


def _rotki(trade: Trade) -> Iterator[Row]:
    yield (
        trade.exchange,
        trade.sent_asset,
        trade.received_asset,
        format_decimal(trade.received),
        format_decimal(trade.sent),
        *_fee(trade),
        f"{trade.client_order_id} {trade.trade_id}",
        str(round(trade.at.timestamp() * 1000)),
    )


_FORMATS: Mapping[TaxTool, _Format] = {
    "koinly": _Format(
        [
            "Date",
            "Sent Amount",
            "Sent Currency",
            "Received Amount",
            "Received Currency",
            "Fee Amount",
            "Fee Currency",
            "Net Worth Amount",
            "Net Worth Currency",
            "Label",
            "Description",
            "TxHash",
        ],
        _koinly,
    ),
    "cointracking": _Format(
        ["Type", "Buy", "Cur.", "Sell", "Cur.", "Fee", "Cur.", "Exchange", "Group", "Comment", "Date", "Tx-ID"],
        _cointracking,
        QUOTE_ALL,
    ),
    "coinledger": _Format(
        [
            "Date (UTC)",
            "Platform (Optional)",
            "Asset Sent",
            "Amount Sent",
            "Asset Received",
            "Amount Received",
            "Fee Currency (Optional)",
            "Fee Amount (Optional)",
            "Type",
            "Description (Optional)",
            "TxHash (Optional)",
        ],
        _coinledger,
    ),
    "rotki": _Format(
        [
            "Location",
            "Spend Currency",
            "Receive Currency",
            "Receive Amount",
            "Spend Amount",
            "Fee",
            "Fee Currency",
            "Description",
            "Timestamp",
        ],
        _rotki,
    ),
}
