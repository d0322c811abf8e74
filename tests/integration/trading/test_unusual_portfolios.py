"""Portfolios that leave little to trade: nothing held, nothing but the quote asset, a target of nothing, no market."""

from collections import Counter
from decimal import Decimal

import pytest

from tests.integration.trading.harness import TradingHarness

D = Decimal


def alarms(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["alarm"] for record in caplog.records if "alarm" in record.__dict__]


def test_an_account_that_holds_nothing_is_skipped_with_the_reason_and_alarms_nobody(
    newcomer: TradingHarness, caplog: pytest.LogCaptureFixture
) -> None:
    newcomer.open_account(newcomer.user, {"BTC": D(0)})
    newcomer.set_strategy()
    for _ in range(3):
        decision = newcomer.tick()
        assert (decision.outcome, decision.reason_code) == ("skipped", "no_decision_possible")
        assert "worth 0" in (decision.reason or "")
    assert newcomer.asked("POST") == []
    assert alarms(caplog) == []


def test_whoever_wants_only_the_quote_asset_is_decided_on_without_a_price(newcomer: TradingHarness) -> None:
    users = [f"{newcomer.user}-{number}" for number in range(3)]
    for user in users:
        newcomer.open_account(user, {"USDT": D(10_000)})
        newcomer.set_strategy({"USDT": "100"}, user=user)
    for _ in range(3):
        newcomer.now += 30
        newcomer.requests.clear()
        assert newcomer.work(newcomer.message(*users)) == []
        outcomes = [newcomer.context.decisions.get(user, newcomer.now).outcome for user in users]
        assert outcomes == ["decided"] * 3
        assert newcomer.asked("POST") == newcomer.requests_to("24hr") == newcomer.requests_to("klines") == []
    paths = Counter(request.path for request in newcomer.requests)
    assert paths == {"/api/v3/openOrders": 3, "/api/v3/account": 3}


def test_an_asset_that_is_wanted_no_more_is_sold_to_the_last_lot_and_then_left_alone(newcomer: TradingHarness) -> None:
    """Of 0.0301 BTC, what an order of 5 % of the NAV sells at the limit; the rest once no more than that is left."""
    newcomer.open_account(newcomer.user, {"BTC": D("0.0301"), "USDT": D(10_000)})
    newcomer.set_strategy({"BTC": "0", "USDT": "100"}, order_size_pct=D(5), min_delta_quote=D(1))
    sold: list[tuple[str, Decimal]] = []
    for _ in range(9):
        sold += [(order["side"], D(order["base_qty"])) for order in newcomer.tick().placed]
        newcomer.market.set_price("BTCUSDT", D(40_400))
        newcomer.market.set_price("BTCUSDT", D(40_000))
    assert [side for side, _ in sold] == ["sell"] * 3
    assert sum(quantity for _, quantity in sold) == D("0.0301")
    first, second, last = (quantity for _, quantity in sold)
    # 5 % of (0.0301 × 40,000 + 10,000) = 560.2, at the limit of 40,160: 0.01394…; the next one a fee less, of a NAV a
    # profit more.
    assert first == D("0.01394")
    assert abs(second - first) <= D("0.00001")
    assert last == D("0.0301") - first - second
    account = newcomer.books.account(newcomer.key)
    assert account is not None
    assert account.free_balance("BTC") == 0
    row = next(row for row in (newcomer.tick().evaluation or {})["rows"] if row["asset"] == "BTC")
    assert (row["action"], row["hold"]) == (None, "within_band")


def test_an_asset_without_a_market_costs_the_others_of_its_message_no_request(newcomer: TradingHarness) -> None:
    users = [f"{newcomer.user}-{name}" for name in ("a", "b", "c")]
    for user in users:
        newcomer.open_account(user, {"USDT": D(10_000)})
        newcomer.set_strategy({"BTC": "50", "USDT": "50"}, user=user)
    gone = f"{newcomer.user}-gone"
    newcomer.open_account(gone, {"USDT": D(10_000)})
    newcomer.set_strategy({"GONE": "50", "USDT": "50"}, user=gone)

    def requests_of_a_tick(*ticked: str) -> Counter[str]:
        newcomer.now += 30
        newcomer.requests.clear()
        assert newcomer.work(newcomer.message(*ticked)) == []
        return Counter(request.path for request in newcomer.requests)

    requests_of_a_tick(*users)
    alone = requests_of_a_tick(*users)
    requests_of_a_tick(*users, gone)
    for _ in range(2):
        assert requests_of_a_tick(*users, gone) == alone
        assert [newcomer.context.decisions.get(user, newcomer.now).outcome for user in users] == ["decided"] * 3
    decision = newcomer.context.decisions.get(gone, newcomer.now)
    assert (decision.outcome, decision.reason_code) == ("skipped", "unknown_market")
    assert "GONEUSDT" in (decision.reason or "")
