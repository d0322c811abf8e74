"""Exports for tax tools: by hand, and parsed back, what they say is what the fills moved, to the last digit."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from botbalance.api.tax_exports import TaxTool, export_csv
from botbalance.models.fill import OrderFill
from botbalance.models.order import Order, OrderStatus
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.api.exports_read_back import TOOLS, moved, parsed_back, rows

AT_MS = 1_767_323_045_678  # 2026-01-02 03:04:05.678


def order(side: str, *fills: OrderFill, exchange: str = "binance", number: int = 0) -> Order:
    return Order(
        user_id="u",
        client_order_id=f"{number:020x}",
        exchange=exchange,
        symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        side=side,  # type: ignore[arg-type]
        limit_price=Decimal(1),
        base_qty=Decimal(1),
        quote_amount=Decimal(1),
        source="autopilot",
        ts_tick=0,
        order_index=0,
        status=OrderStatus.FILLED,
        fills=fills,
        placed_at=0,
        updated_at=0,
    )


def fill(price: str, qty: str, fee: str, asset: str, *, at_ms: int = AT_MS, trade: str = "9001") -> OrderFill:
    return OrderFill(
        trade_id=trade,
        price=Decimal(price),
        base_qty=Decimal(qty),
        fee=Decimal(fee),
        fee_asset=asset,
        traded_at_ms=at_ms,
    )


ID = "0" * 20
BOUGHT = order("buy", fill("40000", "0.25", "0.0125", "BNB"))  # 0.25 BTC for 10000 USDT
BY_HAND: dict[TaxTool, list[str]] = {
    "koinly": [
        "Date,Sent Amount,Sent Currency,Received Amount,Received Currency,Fee Amount,Fee Currency,Net Worth Amount,"
        "Net Worth Currency,Label,Description,TxHash",
        f"2026-01-02 03:04:05,10000,USDT,0.25,BTC,0.0125,BNB,,,,{ID},9001",
    ],
    "cointracking": [
        '"Type","Buy","Cur.","Sell","Cur.","Fee","Cur.","Exchange","Group","Comment","Date","Tx-ID"',
        f'"Trade","0.25","BTC","10000","USDT","","","binance","","{ID}","02.01.2026 03:04:05","9001"',
        f'"Other Fee","","","0.0125","BNB","","","binance","","{ID}","02.01.2026 03:04:05","9001"',
    ],
    "coinledger": [
        "Date (UTC),Platform (Optional),Asset Sent,Amount Sent,Asset Received,Amount Received,Fee Currency (Optional),"
        "Fee Amount (Optional),Type,Description (Optional),TxHash (Optional)",
        f"01/02/2026 03:04:05,binance,USDT,10000,BTC,0.25,BNB,0.0125,Trade,{ID},9001",
    ],
    "rotki": [
        "Location,Spend Currency,Receive Currency,Receive Amount,Spend Amount,Fee,Fee Currency,Description,Timestamp",
        f"binance,USDT,BTC,0.25,10000,0.0125,BNB,{ID} 9001,1767323045678",
    ],
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_buy_whose_fee_was_paid_in_bnb_is_as_worked_by_hand(tool: TaxTool) -> None:
    assert export_csv(tool, [BOUGHT], None, header=True).splitlines() == BY_HAND[tool]


@pytest.mark.parametrize(
    ("side", "asset", "fee", "expected"),
    [
        ("buy", "BTC", "0.01", ["0.99", "BTC", "500", "USDT", "0.01", "BTC"]),
        ("buy", "USDT", "5", ["1", "BTC", "505", "USDT", "5", "USDT"]),
        ("sell", "USDT", "5", ["495", "USDT", "1", "BTC", "5", "USDT"]),
        ("sell", "BTC", "0.01", ["500", "USDT", "1.01", "BTC", "0.01", "BTC"]),
    ],
)
def test_cointracking_takes_amounts_net_of_their_fee(side: str, asset: str, fee: str, expected: list[str]) -> None:
    [_, row] = rows("cointracking", order(side, fill("500", "1", fee, asset)))
    assert row[1:7] == expected


def test_small_and_large_numbers_are_written_whole() -> None:
    [_, row] = rows("koinly", order("sell", fill("0.00000001", "1E+9", "1E-10", "USDT")))
    assert row[1:7] == ["1000000000", "BTC", "10", "USDT", "0.0000000001", "USDT"]


def test_no_fee_leaves_its_columns_empty_and_adds_no_row() -> None:
    for tool in TOOLS:
        [_, row] = rows(tool, order("buy", fill("2", "3", "0", "BNB")))
        assert "BNB" not in row


def test_the_oldest_is_first_whatever_its_order() -> None:
    late = order("buy", fill("1", "1", "0", "BTC", at_ms=AT_MS + 9, trade="2"), number=1)
    early = order("sell", fill("1", "1", "0", "BTC", trade="1"), number=2)
    assert [row[-1] for row in rows("koinly", late, early)[1:]] == ["1", "2"]


def test_a_year_is_one_of_utc_by_when_it_was_traded() -> None:
    edge = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    both = order("buy", fill("1", "1", "0", "BTC", at_ms=edge - 1, trade="a"), fill("1", "1", "0", "BTC", at_ms=edge))
    assert [row[-1] for row in rows("koinly", both, year=2025)[1:]] == ["a"]
    assert [row[-1] for row in rows("koinly", both, year=2026)[1:]] == ["9001"]


def test_trades_on_paper_are_left_out() -> None:
    assert len(rows("koinly", order("buy", fill("1", "1", "0", "BTC"), exchange="binance-paper"))) == 1


@st.composite
def fills(draw: st.DrawFn) -> OrderFill:
    def number(most: int = 10**9) -> str:
        return str(Decimal(draw(st.integers(1, most))).scaleb(-draw(st.integers(0, 12))))

    asset = draw(st.sampled_from(["BTC", "USDT", "BNB"]))
    sign = draw(st.sampled_from(["", "-"])) if asset != "BNB" else ""  # a rebate
    fee = draw(st.sampled_from(["0", sign + number(10**6)]))
    return fill(number(), number(), fee, asset, at_ms=AT_MS + draw(st.integers(0, 10**9)))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.lists(fills(), max_size=3)), max_size=5))
def test_parsed_back_every_export_moves_each_asset_as_the_fills_did(drawn: list[tuple[str, list[OrderFill]]]) -> None:
    orders = [order(side, *of_order, number=at) for at, (side, of_order) in enumerate(drawn)]
    for tool in TOOLS:
        assert parsed_back(tool, orders) == moved(orders)
