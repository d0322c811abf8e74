"""A read that fails says what to do about it, and garbage never becomes a fact."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from botbalance.errors import CredentialsRejectedError, InvalidRequestError, RateLimitedError, TransientError
from botbalance.exchange.adapter import ExchangeOrderStatus, MarketGoneError, OrderRequest, OrderUnknown
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.exchange.simulated import KEY, Exchange, Fault

CLIENT_ID = "0123456789abcdef0123"

type Read = Callable[[CcxtAdapter], Any]

READS: dict[str, tuple[str, Read]] = {
    "market_listings": ("/api/v3/exchangeInfo", lambda adapter: adapter.market_listings(["BTCUSDT"])),
    "quotes": ("/api/v3/ticker/24hr", lambda adapter: adapter.quotes(["BTCUSDT", "ETHUSDT"])),
    "balances": ("/api/v3/account", lambda adapter: adapter.balances()),
    "open_orders": ("/api/v3/openOrders", lambda adapter: adapter.open_orders()),
    "find_order": ("/api/v3/order", lambda adapter: adapter.find_order("BTCUSDT", CLIENT_ID)),
    "trades": ("/api/v3/myTrades", lambda adapter: adapter.trades("BTCUSDT", "1")),
}
SIGNED = sorted(READS.keys() - {"market_listings", "quotes"})

HTML = "<html><body>We are down for maintenance.</body></html>"
GARBAGE = {
    "html": HTML,
    "empty": "",
    "blank": " \n",
    "{}": "{}",
    "null": "null",
    "false": "false",
    "a number": "0",
    "a string": '"maintenance"',
    "a message": '{"msg":"maintenance"}',
    "another object": '{"serverTime":1700000000000}',
    "a list of {}": "[{}]",
    "a list of null": "[null]",
    "a list of text": '["x"]',
    "a list of lists": "[[]]",
    "truncated list": '[{"symbol":"BTCUSDT","orderId":1,"pri',
    "truncated object": '{"symbols":[{"symbol":"BTCUSDT"',
    "deeply nested": "[" * 100_000,
}


def catch_failure(trader: CcxtAdapter, read: Read) -> TransientError:
    with pytest.raises(TransientError) as raised:
        read(trader)
    return raised.value


@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize("name", READS)
def test_garbage_with_http_200_is_a_doubtful_reply(
    trader: CcxtAdapter, exchange: Exchange, name: str, body: str
) -> None:
    path, read = READS[name]
    exchange.api.faults["GET", path] = Fault.body(body)
    assert catch_failure(trader, read).code == "doubtful_reply"


@pytest.mark.parametrize("name", READS)
def test_a_truncated_answer_is_a_doubtful_reply(trader: CcxtAdapter, exchange: Exchange, name: str) -> None:
    trader.place_order(OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True))
    exchange.market.set_price("BTCUSDT", Decimal(38_000))
    path, read = READS[name]
    read(trader)
    query = "symbol=BTCUSDT&orderId=1" if name in {"find_order", "trades"} else ""
    told = exchange.api.answer_to(path, query, signed_by=KEY if name in SIGNED else None)
    exchange.api.faults["GET", path] = Fault.body(told[: len(told) // 2])
    assert catch_failure(trader, read).code == "doubtful_reply"


@pytest.mark.parametrize("name", READS)
def test_a_doubtful_reply_leaves_the_adapter_as_it_was(trader: CcxtAdapter, exchange: Exchange, name: str) -> None:
    path, read = READS[name]
    trader.place_order(OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True))
    before = {other: ask(trader) for other, (_, ask) in READS.items()}
    exchange.api.faults["GET", path] = Fault.body("{}")
    catch_failure(trader, read)
    exchange.api.faults.clear()
    assert {other: ask(trader) for other, (_, ask) in READS.items()} == before


ENTRY = {"asset": "BTC", "free": "1", "locked": "0"}


@pytest.mark.parametrize(
    "balances",
    [
        None,
        {},
        "",
        [{}],
        [None],
        ["BTC"],
        [ENTRY | {"asset": None}],
        [ENTRY, {}],
        [{"asset": "BTC"}],
        [{"asset": "BTC", "free": "1"}],
        [{"asset": "BTC", "locked": "1"}],
        [ENTRY | {"free": "NaN"}],
        [ENTRY | {"free": "Infinity"}],
        [ENTRY | {"free": "-1"}],
        [ENTRY | {"locked": "-0.5"}],
        [ENTRY | {"free": "one"}],
        [ENTRY | {"free": None}],
        [ENTRY | {"free": {}}],
    ],
    ids=str,
)
def test_a_balance_that_cannot_be_right_is_doubtful(trader: CcxtAdapter, exchange: Exchange, balances: object) -> None:
    exchange.api.faults["GET", "/api/v3/account"] = Fault.body(json.dumps({"canTrade": True, "balances": balances}))
    assert catch_failure(trader, READS["balances"][1]).code == "doubtful_reply"


@pytest.mark.parametrize(
    "change",
    [
        {"orderId": None},
        {"orderId": ""},
        {"side": None},
        {"side": "HOLD"},
        {"status": None},
        {"status": "SOMETHING_NEW"},
        {"price": None},
        {"price": "0.00000000"},
        {"price": "-1"},
        {"price": "NaN"},
        {"origQty": None},
        {"origQty": "-1"},
        {"executedQty": "-1"},
        {"executedQty": "NaN"},
        {"status": "FILLED", "executedQty": "0"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["open_orders", "find_order"])
def test_an_order_that_cannot_be_right_is_doubtful(
    trader: CcxtAdapter, exchange: Exchange, name: str, change: dict[str, Any]
) -> None:
    trader.place_order(OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True))
    [order] = json.loads(exchange.api.answer_to("/api/v3/openOrders", signed_by=KEY))
    path, read = READS[name]
    distorted = order | change
    exchange.api.faults["GET", path] = Fault.body(json.dumps([distorted] if name == "open_orders" else distorted))
    if (
        name == "open_orders" and distorted["orderId"] and "NaN" not in change.values()
    ):  # somebody's; if it is ours it is looked up by itself
        [unreadable] = trader.open_orders()
        assert (unreadable.symbol, unreadable.client_order_id) == ("BTCUSDT", None)
        assert unreadable.status is ExchangeOrderStatus.UNREADABLE
    else:
        assert catch_failure(trader, read).code == "doubtful_reply"


def test_an_order_of_another_market_is_not_the_one_looked_up(trader: CcxtAdapter, exchange: Exchange) -> None:
    trader.place_order(OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True))
    [order] = json.loads(exchange.api.answer_to("/api/v3/openOrders", signed_by=KEY))
    exchange.api.faults["GET", "/api/v3/order"] = Fault.body(json.dumps(order | {"symbol": "ETHUSDT"}))
    assert catch_failure(trader, READS["find_order"][1]).code == "doubtful_reply"


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"orderId": None},
        {"price": None},
        {"price": "NaN"},
        {"price": "0"},
        {"qty": None},
        {"qty": "-1"},
        {"qty": "0"},
        {"commission": "NaN"},
        {"commissionAsset": None},
        {"time": None},
        {"time": "yesterday"},
    ],
    ids=str,
)
def test_a_trade_that_cannot_be_right_is_doubtful(
    trader: CcxtAdapter, exchange: Exchange, change: dict[str, Any]
) -> None:
    trader.place_order(OrderRequest("BTCUSDT", "buy", Decimal(41_000), Decimal("0.01"), CLIENT_ID, post_only=False))
    [trade] = json.loads(exchange.api.answer_to("/api/v3/myTrades", "symbol=BTCUSDT", signed_by=KEY))
    exchange.api.faults["GET", "/api/v3/myTrades"] = Fault.body(json.dumps([trade | change]))
    assert catch_failure(trader, READS["trades"][1]).code == "doubtful_reply"


# the exchange's own errors


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
@pytest.mark.parametrize("name", READS)
def test_a_server_error_is_tried_again_later(trader: CcxtAdapter, exchange: Exchange, name: str, status: int) -> None:
    path, read = READS[name]
    exchange.api.faults["GET", path] = Fault.error(status, HTML)
    failure = catch_failure(trader, read)
    assert not isinstance(failure, RateLimitedError)
    assert exchange.api.count("GET", path) == 3
    assert exchange.slept == [0.25, 1]


@pytest.mark.parametrize("name", READS)
def test_a_closed_connection_is_tried_again_later(trader: CcxtAdapter, exchange: Exchange, name: str) -> None:
    path, read = READS[name]
    exchange.api.faults["GET", path] = Fault()
    assert catch_failure(trader, read).code == "exchange_unavailable"


def test_an_exchange_that_nobody_answers_for_is_tried_again_later() -> None:
    slept: list[float] = []
    adapter = CcxtAdapter("binance", base_url="http://127.0.0.1:1", sleep=slept.append)
    assert catch_failure(adapter, READS["market_listings"][1]).code == "exchange_unavailable"
    assert slept == [0.25, 1]
    adapter.close()


PASSING = {
    "500": Fault.error(500, HTML),
    "503": Fault.error(503, HTML),
    "504": Fault.error(504),
    "maintenance": Fault.error(503, '{"code":-1001,"msg":"Internal error; unable to process your request."}'),
    "closed": Fault(),
    "html": Fault.body(HTML),
    "truncated": Fault.body('[{"symbol":"BTCUSDT","orderId":1,"pri'),
}


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("name", READS)
def test_a_read_that_fails_is_sent_again_and_then_answered(
    trader: CcxtAdapter, exchange: Exchange, name: str, fault: Fault, times: int
) -> None:
    trader.place_order(OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True))
    path, read = READS[name]
    undisturbed = read(trader)
    exchange.api.requests.clear()
    exchange.api.faults["GET", path] = replace(fault, times=times)
    assert read(trader) == undisturbed
    assert exchange.api.count("GET", path) == times + 1
    assert exchange.slept == [0.25, 1][:times]


FINAL = {
    "a rate limit": (Fault.error(429, "{}"), RateLimitedError),
    "a ban": (Fault.error(418, "{}"), RateLimitedError),
    "too much weight": (Fault.error(400, '{"code":-1003,"msg":"Too many requests queued."}'), RateLimitedError),
    "a bad request": (Fault.error(400, '{"code":-1102,"msg":"A mandatory parameter was not sent."}'), TransientError),
    "a wall": (Fault.error(403, HTML), TransientError),
    "a refused key": (
        Fault.error(401, '{"code":-2015,"msg":"Invalid API-key, IP, or permissions."}'),
        CredentialsRejectedError,
    ),
    "a bad symbol": (Fault.error(400, '{"code":-1121,"msg":"Invalid symbol."}'), InvalidRequestError),
}


@pytest.mark.parametrize(("fault", "failure"), FINAL.values(), ids=FINAL)
@pytest.mark.parametrize("name", READS)
def test_a_read_that_is_answered_is_not_sent_again(
    trader: CcxtAdapter, exchange: Exchange, name: str, fault: Fault, failure: type[Exception]
) -> None:
    path, read = READS[name]
    exchange.api.faults["GET", path] = fault
    if name == "find_order" and failure is InvalidRequestError:  # a market that is gone tells nothing of its orders
        failure = MarketGoneError
    with pytest.raises(failure):
        read(trader)
    assert exchange.api.count("GET", path) == 1
    assert exchange.slept == []


def test_an_order_that_is_not_there_is_looked_for_once(trader: CcxtAdapter, exchange: Exchange) -> None:
    assert trader.find_order("BTCUSDT", CLIENT_ID) is None
    assert exchange.api.count("GET", "/api/v3/order") == 1
    assert exchange.slept == []


def test_an_order_that_binance_has_archived_is_neither_missing_nor_made_up(
    trader: CcxtAdapter, exchange: Exchange
) -> None:
    """The reply has no more than these words: no side, no price, no quantity."""
    archived = "Order was canceled or expired with no executed qty over 90 days ago and has been archived."
    exchange.api.faults["GET", "/api/v3/order"] = Fault.error(400, f'{{"code":-2026,"msg":"{archived}"}}')
    assert catch_failure(trader, READS["find_order"][1]).code == "exchange_unavailable"
    assert exchange.slept == []


@contextmanager
def silent_exchange() -> Iterator[tuple[socket.socket, str]]:
    """A host that takes connections and never says a word, and its URL."""
    with socket.create_server(("127.0.0.1", 0)) as host:
        yield host, f"http://127.0.0.1:{host.getsockname()[1]}"


def connections_to(host: socket.socket) -> int:
    """How many were made so far."""
    host.setblocking(False)
    made = 0
    with suppress(BlockingIOError):
        while True:
            host.accept()[0].close()
            made += 1
    return made


@pytest.mark.parametrize("name", READS)
def test_a_read_that_ran_into_its_timeout_is_not_sent_again(exchange: Exchange, name: str) -> None:
    listings = list(exchange.connect("", "").market_listings(["BTCUSDT", "ETHUSDT"]).values())
    with silent_exchange() as (host, url):
        adapter = replace(exchange, url=url).connect(timeout_s=0.05)
        adapter.load_listings(listings)
        assert catch_failure(adapter, READS[name][1]).code == "exchange_unavailable"
        assert connections_to(host) == 1
    assert exchange.slept == []


def test_an_order_that_ran_into_its_timeout_is_unknown_and_not_sent_again(exchange: Exchange) -> None:
    listings = list(exchange.connect("", "").market_listings(["BTCUSDT"]).values())
    with silent_exchange() as (host, url):
        adapter = replace(exchange, url=url).connect(timeout_s=0.05)
        adapter.load_listings(listings)
        placement = adapter.place_order(
            OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True)
        )
        assert isinstance(placement, OrderUnknown)
        assert placement.retry_after_s is None
        assert connections_to(host) == 1
    assert exchange.slept == []


@pytest.mark.parametrize("status", [429, 418])
@pytest.mark.parametrize("name", READS)
def test_a_rate_limit_says_how_long_to_wait(trader: CcxtAdapter, exchange: Exchange, name: str, status: int) -> None:
    path, read = READS[name]
    body = '{"code":-1003,"msg":"Too many requests."}'
    exchange.api.faults["GET", path] = Fault.error(status, body, retry_after="17")
    failure = catch_failure(trader, read)
    assert isinstance(failure, RateLimitedError)
    assert failure.retry_after_s == 17


@pytest.mark.parametrize("retry_after", [None, "soon", "-5", "1.5", ""])
def test_a_rate_limit_without_a_usable_time_is_a_minute(
    trader: CcxtAdapter, exchange: Exchange, retry_after: str | None
) -> None:
    exchange.api.faults["GET", "/api/v3/account"] = Fault.error(429, "{}", retry_after=retry_after)
    failure = catch_failure(trader, READS["balances"][1])
    assert isinstance(failure, RateLimitedError)
    assert failure.retry_after_s == 60


CLOCK_IS_OFF = '{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}'


@pytest.mark.parametrize("name", SIGNED)
def test_a_clock_that_is_off_is_set_once_and_the_read_repeated(
    trader: CcxtAdapter, exchange: Exchange, name: str
) -> None:
    path, read = READS[name]
    exchange.api.faults["GET", path] = Fault.error(400, CLOCK_IS_OFF, times=1)
    read(trader)
    assert exchange.api.count("GET", "/api/v3/time") == 1
    assert exchange.api.count("GET", path) == 2


def test_a_clock_that_stays_off_is_not_tried_for_ever(trader: CcxtAdapter, exchange: Exchange) -> None:
    exchange.api.faults["GET", "/api/v3/account"] = Fault.error(400, CLOCK_IS_OFF)
    catch_failure(trader, READS["balances"][1])
    assert exchange.api.count("GET", "/api/v3/account") == 2
    assert exchange.slept == []


def test_a_server_time_that_cannot_be_read_is_tried_again_later(trader: CcxtAdapter, exchange: Exchange) -> None:
    exchange.api.faults["GET", "/api/v3/account"] = Fault.error(400, CLOCK_IS_OFF)
    exchange.api.faults["GET", "/api/v3/time"] = Fault.body(HTML)
    catch_failure(trader, READS["balances"][1])
    assert exchange.api.count("GET", "/api/v3/time") == 3
    assert exchange.slept == [0.25, 1]


def test_a_read_is_sent_again_also_after_the_clock_was_set(trader: CcxtAdapter, exchange: Exchange) -> None:
    exchange.api.faults["GET", "/api/v3/account"] = Fault.error(400, CLOCK_IS_OFF, times=1)
    exchange.api.faults["GET", "/api/v3/time"] = Fault.error(503, HTML, times=1)
    assert trader.balances()
    assert exchange.api.count("GET", "/api/v3/account") == 2
    assert exchange.slept == [0.25]


def test_an_order_that_is_unknown_while_its_trades_are_read_is_tried_again_later(
    trader: CcxtAdapter, exchange: Exchange
) -> None:
    exchange.api.faults["GET", "/api/v3/myTrades"] = Fault.error(400, '{"code":-2013,"msg":"Order does not exist."}')
    catch_failure(trader, READS["trades"][1])


@pytest.mark.parametrize("name", SIGNED)
def test_a_key_without_permission_calls_for_its_owner(trader: CcxtAdapter, exchange: Exchange, name: str) -> None:
    path, read = READS[name]
    body = '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}'
    exchange.api.faults["GET", path] = Fault.error(401, body)
    with pytest.raises(CredentialsRejectedError):
        read(trader)


@pytest.mark.parametrize("name", SIGNED)
def test_a_code_that_only_the_spot_market_has_keeps_its_meaning_at_a_local_address(
    trader: CcxtAdapter, exchange: Exchange, name: str
) -> None:
    """ccxt picks its table of errors by the official host."""
    path, read = READS[name]
    exchange.api.faults["GET", path] = Fault.error(400, '{"code":-2008,"msg":"Invalid Api-Key ID."}')
    with pytest.raises(CredentialsRejectedError):
        read(trader)


# cancels


@pytest.mark.parametrize("fault", [Fault(), Fault(after_effect=True), Fault.error(503, HTML)], ids=str)
def test_a_cancel_that_fails_is_tried_again_later(trader: CcxtAdapter, exchange: Exchange, fault: Fault) -> None:
    trader.place_order(OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True))
    exchange.api.faults["DELETE", "/api/v3/order"] = fault
    catch_failure(trader, lambda adapter: adapter.cancel_order("BTCUSDT", CLIENT_ID))
    assert exchange.api.count("DELETE", "/api/v3/order") == 1


@pytest.mark.parametrize("after_effect", [True, False], ids=["done", "lost"])
def test_a_cancel_that_got_no_answer_is_not_sent_again(
    trader: CcxtAdapter, exchange: Exchange, after_effect: bool
) -> None:
    """It would be signed anew, by whoever sent it, whatever has become of their right to."""
    trader.place_order(OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True))
    exchange.api.faults["DELETE", "/api/v3/order"] = Fault(after_effect=after_effect, times=1)
    catch_failure(trader, lambda adapter: adapter.cancel_order("BTCUSDT", CLIENT_ID))
    assert exchange.api.count("DELETE", "/api/v3/order") == 1
    assert len(trader.open_orders()) == (0 if after_effect else 1)
