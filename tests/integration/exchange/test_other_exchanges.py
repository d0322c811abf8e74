"""The checks on replies fit every exchange: nothing is a fact where the exchange says so, garbage never is."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from botbalance.errors import TransientError
from botbalance.exchange.adapter import OrderRejected, OrderRequest, OrderUnknown
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.exchange.simulated import Exchange, Fault

NO_OPEN_ORDERS = {
    "okx": '{"code":"0","msg":"","data":[]}',
    "bybit": '{"retCode":0,"retMsg":"OK","result":{"list":[],"nextPageCursor":""},"time":1700000000000}',
    "kraken": '{"error":[],"result":{"open":{}}}',
    "kucoin": '{"code":"200000","data":{"items":[]}}',
    "gate": "[]",
    "bitget": '{"code":"00000","msg":"success","data":[]}',
}
NO_BALANCES = {
    "okx": '{"code":"0","msg":"","data":[{"details":[]}]}',
    "bybit": '{"retCode":0,"retMsg":"OK","result":{"list":[]},"time":1700000000000}',
    "kraken": '{"error":[],"result":{}}',
    "kucoin": '{"code":"200000","data":[]}',
    "gate": "[]",
    "bitget": '{"code":"00000","msg":"success","data":[]}',
}
WITHOUT_A_LIST = {
    "okx": '{"code":"0","msg":""}',
    "bybit": '{"retCode":0,"retMsg":"OK"}',
    "kraken": '{"error":[]}',
    "kucoin": '{"code":"200000"}',
    "bitget": '{"code":"00000","msg":"success"}',
}
GARBAGE = {"html": "<html></html>", "empty": "", "{}": "{}", "text": '"x"', "truncated": '{"code":"0","data":['}

type Connect = Callable[[str], CcxtAdapter]


@pytest.fixture
def connect(exchange: Exchange) -> Connect:
    """Adapters of any exchange that know one market and talk to the simulated exchange."""
    listings = list(exchange.connect("", "").market_listings(["BTCUSDT"]).values())

    def connect_to(name: str) -> CcxtAdapter:
        adapter = exchange.connect("key", "c2VjcmV0", name=name)
        adapter.load_listings(listings)
        return adapter

    return connect_to


@pytest.mark.parametrize("name", NO_OPEN_ORDERS)
def test_an_account_without_open_orders_is_a_fact(exchange: Exchange, connect: Connect, name: str) -> None:
    exchange.api.everywhere = Fault.body(NO_OPEN_ORDERS[name])
    assert connect(name).open_orders() == []


@pytest.mark.parametrize("name", NO_BALANCES)
def test_an_account_without_balances_is_a_fact(exchange: Exchange, connect: Connect, name: str) -> None:
    exchange.api.everywhere = Fault.body(NO_BALANCES[name])
    assert connect(name).balances() == {}


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("name", NO_OPEN_ORDERS)
def test_garbage_is_never_a_fact(exchange: Exchange, connect: Connect, name: str, body: str) -> None:
    exchange.api.everywhere = Fault.body(body)
    adapter = connect(name)
    with pytest.raises(TransientError):
        adapter.open_orders()
    with pytest.raises(TransientError):
        adapter.balances()


@pytest.mark.parametrize(("name", "body"), WITHOUT_A_LIST.items())
def test_an_envelope_without_a_list_is_no_fact(exchange: Exchange, connect: Connect, name: str, body: str) -> None:
    exchange.api.everywhere = Fault.body(body)
    adapter = connect(name)
    reads: list[Callable[[], object]] = [adapter.open_orders, adapter.balances, lambda: adapter.trades("BTCUSDT", "1")]
    for read in reads:
        with pytest.raises(TransientError):
            read()


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("name", ["okx", "kraken", "kucoin", "gate", "bitget"])
def test_an_order_that_was_sent_and_answered_with_garbage_is_unknown(
    exchange: Exchange, connect: Connect, name: str, body: str
) -> None:
    exchange.api.everywhere = Fault.body(body)
    placement = connect(name).place_order(
        OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), "0123456789abcdef0123", post_only=True)
    )
    times_sent = sum(request.method == "POST" for request in exchange.api.requests)
    assert times_sent <= 1
    # kucoin first asks what kind of account this is: where that fails nothing was sent
    assert isinstance(placement, OrderUnknown if times_sent else OrderRejected), placement
