"""What exchanges really do, at a whole tick: strangers' orders, ends of markets, redenominations, final refusals."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from botbalance.engine import SkipReason
from botbalance.exchange.adapter import PAIR_NOT_PERMITTED
from botbalance.models.order import NOT_ON_EXCHANGE, OrderStatus
from botbalance.trading.autopilot import emergency_stop
from botbalance.trading.order_updates import lost_because
from botbalance.trading.orders import cancel_by_hand, resolve_order
from botbalance.trading.plan import preview
from botbalance.trading.strategy import save_strategy

from tests.integration.trading.harness import TradingHarness, new_harness
from workbench.faults.kinds import FaultKind, Where
from workbench.simulated_exchange.binance_api import Reply, Request

D = Decimal
ON_TARGET = {"BTC": "0.075", "ETH": "1.2", "XRP": "4000", "USDT": "2000"}
PENDING = {
    "symbol": "DOGEBTC",
    "orderId": 999,
    "orderListId": 7,
    "clientOrderId": "web_abc",
    "price": "0.0000010",
    "origQty": "1000.0",
    "executedQty": "0.0",
    "cummulativeQuoteQty": "0.0",
    "status": "PENDING_NEW",
    "timeInForce": "GTC",
    "type": "LIMIT",
    "side": "BUY",
    "stopPrice": "0.0",
    "time": 1_700_000_000_000,
    "updateTime": 1_700_000_000_000,
    "isWorking": False,
}
"""The waiting leg of its owner's order list."""


def change_documents(harness: TradingHarness, path: str, change: Callable[[Any], Any]) -> None:
    """Let ``change`` make another document of every successful reply to a GET of ``path``."""
    original = harness.exchange.answer

    def answer(request: Request) -> Reply:
        reply = original(request)
        if reply.status != 200 or (request.method, request.path) != ("GET", path):
            return reply
        return Reply(200, json.dumps(change(json.loads(reply.text))), headers=reply.headers)

    harness.exchange.answer = answer  # type: ignore[method-assign]


def outcome_after(harness: TradingHarness, ticks: int) -> tuple[str, str | None]:
    decision = [harness.tick() for _ in range(ticks)][-1]
    return decision.outcome, decision.reason


@pytest.mark.parametrize(
    "change",
    [{}, {"status": "SOMETHING_NEW"}, {"origQty": "-1"}, {"price": None}],
    ids=["PENDING_NEW", "unknown state", "quantity below zero", "no price"],
)
def test_an_order_of_its_owner_s_that_nobody_understands_stops_nothing_but_its_pair(
    harness: TradingHarness, change: Mapping[str, Any]
) -> None:
    order = {**PENDING, **change}
    change_documents(harness, "/api/v3/openOrders", lambda orders: [*orders, order])
    decision = [harness.tick() for _ in range(3)][-1]
    assert decision.outcome == "decided", decision.reason
    assert decision.inputs is not None
    assert "DOGEBTC" in decision.inputs["active_symbols"]


def test_on_a_managed_pair_it_blocks_that_pair(harness: TradingHarness) -> None:
    order = PENDING | {"symbol": "BTCUSDT", "status": "SOMETHING_NEW"}
    change_documents(harness, "/api/v3/openOrders", lambda orders: [*orders, order])
    decision = harness.tick()
    assert decision.outcome == "decided"
    assert {one["symbol"] for one in decision.placed} == {"ETHUSDT", "XRPUSDT"}


@pytest.mark.parametrize("free", ["-0.00000032", "NaN", "one", None])
def test_a_coin_that_is_not_managed_and_cannot_be_read_stops_nothing_and_is_told(
    harness: TradingHarness, free: str | None
) -> None:
    speck = {"asset": "DOGE", "free": free, "locked": "0"}
    change_documents(harness, "/api/v3/account", lambda account: account | {"balances": [*account["balances"], speck]})
    decision = harness.tick()
    assert decision.outcome == "decided", decision.reason
    assert decision.inputs is not None
    assert "DOGE" in decision.inputs["current_balances"]


@pytest.mark.parametrize("asset", ["BTC", "USDT"])
def test_a_managed_coin_that_cannot_be_read_stops_the_decision_by_name(harness: TradingHarness, asset: str) -> None:
    def spoil(account: Any) -> Any:
        others = [one for one in account["balances"] if one["asset"] != asset]
        return account | {"balances": [*others, {"asset": asset, "free": "-1", "locked": "0"}]}

    change_documents(harness, "/api/v3/account", spoil)
    outcome, reason = outcome_after(harness, 1)
    assert outcome == "skipped"
    assert asset in str(reason)


def hold(harness: TradingHarness, state: dict[str, Any]) -> None:
    """Let the exchange tell XRP's price and the account's holdings as ``state`` has them."""

    def price(tickers: Any) -> Any:
        for ticker in tickers if isinstance(tickers, list) else [tickers]:
            if ticker["symbol"] == "XRPUSDT":
                ticker |= {name: state["price"] for name in ("lastPrice", "bidPrice", "askPrice") if name in ticker}
        return tickers

    def balances(account: Any) -> Any:
        return account | {
            "balances": [{"asset": asset, "free": free, "locked": "0"} for asset, free in state["held"].items()]
        }

    change_documents(harness, "/api/v3/ticker/24hr", price)
    change_documents(harness, "/api/v3/account", balances)


def test_ten_times_the_coins_of_a_suspended_pair_at_the_old_price_buy_nothing(harness: TradingHarness) -> None:
    state = {"price": "0.5", "held": ON_TARGET}
    hold(harness, state)
    assert harness.tick().placed == []
    harness.market.halt("XRPUSDT")
    harness.now += 4_000
    assert harness.tick().placed == []
    state["held"] = ON_TARGET | {"XRP": "40000"}
    assert [order for _ in range(3) for order in harness.tick().placed] == []


def test_a_price_ten_times_as_high_with_the_old_balance_buys_nothing(harness: TradingHarness) -> None:
    state: dict[str, Any] = {"price": "0.5", "held": ON_TARGET}
    hold(harness, state)
    assert harness.tick().placed == []
    state["price"] = "5.0"
    assert [order for _ in range(20) for order in harness.tick().placed] == []
    state["held"] = ON_TARGET | {"XRP": "400"}
    assert harness.tick().outcome == "decided"


def test_a_coin_that_moves_into_earn_overnight_buys_nothing_and_sells_nothing(harness: TradingHarness) -> None:
    state: dict[str, Any] = {"price": "0.5", "held": ON_TARGET}
    hold(harness, state)
    assert harness.tick().placed == []
    state["held"] = {"LDBTC" if asset == "BTC" else asset: held for asset, held in ON_TARGET.items()}
    decisions = [harness.tick() for _ in range(15)]
    assert [order for decision in decisions for order in decision.placed] == []
    assert {decision.outcome for decision in decisions} == {"decided"}
    assert decisions[-1].inputs is not None
    assert decisions[-1].inputs["current_balances"]["BTC"] == {"free": "0.000", "locked": "0.075"}


def delist(harness: TradingHarness, symbol: str) -> None:
    original = harness.exchange.answer

    def answer(request: Request) -> Reply:
        if symbol in f"{request.query}&{request.body}":
            return Reply(400, json.dumps({"code": -1121, "msg": "Invalid symbol."}))
        return original(request)

    harness.exchange.answer = answer  # type: ignore[method-assign]
    change_documents(
        harness,
        "/api/v3/exchangeInfo",
        lambda info: info | {"symbols": [market for market in info["symbols"] if market["symbol"] != symbol]},
    )


def test_the_other_pairs_go_on_when_one_is_delisted(harness: TradingHarness) -> None:
    harness.tick()
    delist(harness, "XRPUSDT")
    harness.now += 7_200
    harness.market.set_price("BTCUSDT", Decimal(30_000))
    decisions = [harness.tick() for _ in range(40)]  # orders are reviewed after 15 minutes
    assert decisions[-1].outcome == "decided", decisions[-1].reason
    assert decisions[-1].inputs is not None
    assert decisions[-1].inputs["market_rules"]["XRPUSDT"]["trading"] is False
    requests = Counter(request.path for request in harness.requests)
    assert requests["/api/v3/exchangeInfo"] <= 4, requests


def test_the_other_pairs_go_on_when_one_is_delisted_that_nobody_has_looked_at_yet(harness: TradingHarness) -> None:
    harness.context.portfolio.market_rules("binance", ["BTCUSDT", "ETHUSDT", "XRPUSDT"])  # as saving a strategy asks
    delist(harness, "XRPUSDT")
    harness.now += 7_200
    decision = harness.tick()
    assert decision.outcome == "decided", decision.reason
    assert {order["symbol"] for order in decision.placed} == {"BTCUSDT", "ETHUSDT"}
    row = next(row for row in (decision.evaluation or {})["rows"] if row["asset"] == "XRP")
    assert (row["price"], row["hold"]) == (None, "market_closed")
    plan = preview(harness.context, harness.user)
    assert [row.hold for row in plan.evaluation.rows if row.asset == "XRP"] == [SkipReason.MARKET_CLOSED]


def test_three_users_whose_asset_is_gone_cost_the_others_nothing(environment: Mapping[str, str]) -> None:
    """A market that is not listed is looked for once, not anew in each tick for each of its users."""
    with new_harness(environment, f"user-{uuid4().hex[:8]}", PORTFOLIO_MAX_AGE="3600") as harness:
        on_target = [f"{harness.user}-{n}" for n in range(4)]
        gone = {f"{harness.user}-gone{n}": f"GONE{n}" for n in range(3)}
        for user in on_target:
            harness.open_account(user, {"USDT": D(5_000), "BTC": D("0.125")})
            harness.set_strategy({"BTC": "50", "USDT": "50"}, user=user)
        for user, asset in gone.items():
            harness.open_account(user, {"USDT": D(10_000)})
            harness.set_strategy({asset: "50", "USDT": "50"}, user=user)

        def tick(*users: str) -> Counter[str]:
            harness.now += 30
            harness.requests.clear()
            assert harness.work(harness.message(*users)) == []
            return Counter(request.path for request in harness.requests)

        tick(*on_target, *gone)  # each looks at its account, and the three markets are looked for
        quiet = tick(*on_target)
        for _ in range(3):
            assert tick(*on_target, *gone) == quiet
        for user, asset in gone.items():
            decision = harness.context.decisions.get(user, harness.now)
            assert f"{asset}USDT" in str(decision and decision.reason)


def test_an_order_on_a_delisted_pair_can_be_ended(harness: TradingHarness) -> None:
    harness.tick()
    before = {order.symbol for order in harness.orders() if order.is_active}
    assert "XRPUSDT" in before
    cancels = []
    original = harness.exchange.answer

    def answer(request: Request) -> Reply:  # its listing is gone; by its id the order is still known
        cancels.append((request.method, "XRPUSDT" in f"{request.query}&{request.body}"))
        return original(request)

    harness.exchange.answer = answer  # type: ignore[method-assign]
    change_documents(
        harness,
        "/api/v3/exchangeInfo",
        lambda info: info | {"symbols": [market for market in info["symbols"] if market["symbol"] != "XRPUSDT"]},
    )
    harness.now += 7_200
    harness.tick()
    cancel_by_hand(harness.context, harness.user)
    assert ("DELETE", True) in cancels
    assert [order for order in harness.orders() if order.is_active] == []


def test_an_order_without_an_answer_on_a_delisted_pair_is_named_and_not_taken_for_one_that_never_was(
    harness: TradingHarness,
) -> None:
    harness.injector.script(FaultKind.RESET_AFTER, Where.PLACE_ORDER, about="XRPUSDT")
    harness.injector.script(FaultKind.NOT_YET_SHOWN, Where.FIND_ORDER, about="XRPUSDT", times=3)
    harness.tick()
    assert harness.order_on("XRPUSDT").status is OrderStatus.PENDING
    (booked,) = [order for order in harness.booked() if order.symbol == "XRPUSDT"]
    harness.books.fill_now(f"key-of-{harness.user}", booked.order_id, whole=True)  # and then the market ends
    delist(harness, "XRPUSDT")
    for _ in range(2):
        harness.tick(seconds=120)
    order = harness.order_on("XRPUSDT")
    assert (order.status, order.reason, order.is_lost) == (OrderStatus.PENDING, NOT_ON_EXCHANGE, True)
    assert "got no answer" in lost_because(order)
    resolved = resolve_order(
        harness.context, harness.user, order.client_order_id, filled_qty=order.base_qty, price=order.limit_price
    )
    assert (resolved.status, resolved.fills_complete) == (OrderStatus.FILLED, True)


def test_its_owner_can_leave_a_delisted_asset(harness: TradingHarness) -> None:
    harness.tick()
    delist(harness, "XRPUSDT")
    harness.now += 7_200
    strategy = harness.context.strategies.get(harness.user)
    wanted = {
        "target_allocations": {"BTC": Decimal(50), "USDT": Decimal(50)},
        "quote_asset": "USDT",
        "exchange": strategy.exchange,
        "order_size_pct": Decimal(2),
        "order_step_pct": Decimal("0.4"),
        "min_delta_quote": Decimal(50),
    }
    save_strategy(harness.context, harness.user, wanted, strategy)
    emergency_stop(harness.context, harness.user)


def test_an_order_that_is_refused_for_good_is_not_sent_again_every_tick(harness: TradingHarness) -> None:
    original = harness.exchange.answer

    def answer(request: Request) -> Reply:
        if (request.method, request.path) == ("POST", "/api/v3/order") and "symbol=BTCUSDT" in request.body:
            return Reply(400, json.dumps({"code": -2010, "msg": "This symbol is not permitted for this account."}))
        return original(request)

    harness.exchange.answer = answer  # type: ignore[method-assign]
    for _ in range(20):
        harness.tick()
    refused = [order for order in harness.orders() if order.symbol == "BTCUSDT"]
    assert len(refused) == 1
    assert PAIR_NOT_PERMITTED in str(refused[0].reason)
