"""Within quiet bounds the whole decision does nothing; and they are no narrower than they have to be."""

from collections import Counter
from dataclasses import dataclass, replace
from decimal import Context, Decimal
from typing import Any

import pytest
from botbalance.engine import (
    Balance,
    MarketRules,
    NoTradeRegion,
    RestingOrder,
    Side,
    SkipReason,
    StrategyConfig,
    compute_no_trade_region,
    compute_rebalance_actions,
    contains,
    evaluate,
    review_resting_orders,
    trades_through,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thorough import examples

D = Decimal
WIDE = Context(prec=60)
NOW = 1_700_000_000
ASSETS = ("BTC", "ETH", "SOL", "XRP")

every_case = settings(max_examples=examples(100, 300), deadline=None, derandomize=True)


@dataclass(frozen=True)
class Scenario:
    """An account when its bounds are made, and prices some time later."""

    balances: dict[str, Balance]
    targets: dict[str, Decimal]
    config: StrategyConfig
    rules: dict[str, MarketRules]
    orders: list[RestingOrder]
    prices: dict[str, Decimal]
    lows: dict[str, Decimal]
    highs: dict[str, Decimal]
    later: int
    paused: frozenset[str] = frozenset()

    def active(self) -> set[str]:
        return {order.symbol for order in self.orders}

    def bounds(self, now: int = NOW) -> NoTradeRegion:
        return compute_no_trade_region(
            self.balances,
            self.targets,
            self.config,
            self.rules,
            open_orders=self.orders,
            active_symbols=self.active(),
            paused_symbols=self.paused,
            now=now,
        )

    def contains(self) -> bool:
        return contains(self.bounds(), self.prices, self.lows, self.highs, self.later)


def parts(low: int, high: int, of: str) -> st.SearchStrategy[Decimal]:
    """Whole multiples of ``of``."""
    return st.integers(low, high).map(lambda n: n * D(of))


@st.composite
def scenarios(draw: st.DrawFn) -> Scenario:
    assets = draw(st.lists(st.sampled_from(ASSETS), min_size=1, max_size=4, unique=True))
    share = D(draw(st.integers(1, 100 // len(assets))))
    targets = dict.fromkeys(assets, share) | {"USDT": 100 - share * len(assets)}
    band = draw(parts(1, 40, "5"))
    settled = draw(st.booleans())  # as most moments are: orders are where they would be placed, and prices hardly move
    config = StrategyConfig(
        "USDT",
        draw(parts(1, 40, "0.1")),
        draw(parts(1, 20, "0.1")),
        band,
        order_max_age_s=900,
        reprice_tolerance_pct=draw(st.one_of(st.none(), parts(1, 30, "0.1"))),
        min_delta_pct=draw(st.one_of(st.none(), parts(1, 40, "0.05"))),
        quote_reserve_pct=draw(st.sampled_from([D(0), targets["USDT"]])),
    )
    balances = {"USDT": Balance(draw(st.one_of(parts(0, 10, "1"), parts(0, 300, "10"))), draw(parts(0, 10, "10")))}
    prices, lows, highs, rules, orders = {}, {}, {}, {}, []
    for asset in assets:
        symbol = f"{asset}USDT"
        price = draw(st.one_of(parts(1, 50, "0.01"), parts(1, 900, "1"), parts(10, 60_000, "1.01")))
        tick = draw(st.sampled_from([D("0.01"), D("0.001"), D("0.05")]))
        # Near its target in a portfolio of 10,000; a held asset moves by up to a few bands.
        worth = max(100 * share + draw(parts(-30, 30, "10")), D(0))
        held = (worth / price).quantize(D("1e-8"), context=WIDE)
        locked = held if draw(st.integers(0, 5)) == 3 else held * D(draw(st.integers(0, 10))) / 10
        balances[asset] = Balance(held - locked, locked)
        multipliers: dict[str, Any] = draw(
            st.sampled_from([{}, {"bid_multiplier_down": D("0.995"), "ask_multiplier_up": D("1.005")}])
        )
        rules[symbol] = MarketRules(
            symbol,
            asset,
            "USDT",
            tick,
            D("0.00001"),
            min_qty=draw(st.sampled_from([D(0), D("0.001")])),
            min_price=draw(st.sampled_from([D(0), price])),
            max_price=draw(st.sampled_from([None, price * 2])),
            min_notional=draw(st.sampled_from([D(0), D(5)])),
            trading=draw(st.integers(0, 9)) != 7,
            **multipliers,
        )
        if abs(worth - 100 * share) > 2 * band if settled else draw(st.booleans()):
            likely: Side = "buy" if worth < 100 * share else "sell"
            side: Side = likely if settled else draw(st.sampled_from(["buy", "sell"]))
            off = config.order_step_pct + draw(parts(-2, 2, "0.01") if settled else parts(-30, 30, "0.02"))
            limit = rules[symbol].round_price(side, price * (1 - off / 100 if side == "buy" else 1 + off / 100), price)
            if limit is not None:
                age = draw(st.sampled_from([0, 300, 890, 900, 2000]))
                orders.append(RestingOrder(f"of-{asset}", symbol, side, limit, NOW - age))
        prices[symbol] = price
        lows[symbol] = price * (1 - draw(parts(0, 2 if settled else 30, "0.0005")))
        highs[symbol] = price * (1 + draw(parts(0, 2 if settled else 30, "0.0005")))
    later = NOW + draw(st.sampled_from([0, 5, 30, 700]))
    paused = frozenset(symbol for symbol in rules if draw(st.integers(0, 5)) == 4)
    return Scenario(balances, targets, config, rules, orders, prices, lows, highs, later, paused)


def what_happens(moment: Scenario) -> list[object]:
    """Everything that a full look does at the later prices."""
    fills = [
        order
        for order in moment.orders
        if trades_through(order.side, order.limit_price, moment.lows[order.symbol], moment.highs[order.symbol])
    ]
    evaluation = evaluate(
        moment.balances,
        moment.targets,
        moment.prices,
        moment.config,
        market_rules=moment.rules,
        active_symbols=moment.active(),
        paused_symbols=moment.paused,
    )
    cancels = review_resting_orders(moment.orders, evaluation, moment.config, moment.later)
    return [*fills, *evaluation.actions, *cancels]


def test_within_the_bounds_nothing_is_placed_cancelled_or_filled() -> None:
    seen: Counter[str] = Counter()

    @every_case
    @given(scenarios())
    def check(moment: Scenario) -> None:
        quiet = moment.contains()
        happens = what_happens(moment)
        due = any(moment.later - order.placed_at >= 900 for order in moment.orders)
        seen[f"{'quiet' if quiet else 'asked'}, {'something' if happens else 'nothing'}, due {due}"] += 1
        assert not (quiet and happens)

    check()
    assert seen["quiet, nothing, due False"] >= 15
    assert seen["asked, something, due False"] >= 15
    assert seen["asked, something, due True"] >= 15


def test_a_reviewed_order_is_quiet_where_it_would_be_placed_again() -> None:
    seen: Counter[str] = Counter()

    @every_case
    @given(
        parts(5, 300, "0.1"),
        parts(1, 40, "0.05"),
        st.one_of(st.none(), parts(1, 40, "0.05")),
        parts(-60, 60, "0.0001"),
        st.sampled_from([D("0.01"), D("0.05"), D("0.0001")]),
        st.sampled_from(["no limits", "a wide band", "a band at the step", "price limits"]),
    )
    def check(
        held: Decimal, step: Decimal, tolerance: Decimal | None, moved: Decimal, tick: Decimal, limits: str
    ) -> None:
        market = MarketRules("BTCUSDT", "BTC", "USDT", tick, D("0.001"))
        rules = {"BTCUSDT": market}
        balances = {"BTC": Balance(held), "USDT": Balance(D(1500))}
        config = StrategyConfig("USDT", D(1), step, D(40), reprice_tolerance_pct=tolerance)
        targets = {"BTC": D(50), "USDT": D(50)}
        actions = compute_rebalance_actions(balances, targets, {"BTCUSDT": D(100)}, config, market_rules=rules)
        if not actions:
            return
        order = RestingOrder("one", "BTCUSDT", actions[0].side, actions[0].limit_price, NOW - 900)
        limit = order.limit_price
        later = {
            "no limits": market,
            "a wide band": replace(market, bid_multiplier_down=D("0.9"), ask_multiplier_up=D("1.1")),
            "a band at the step": replace(
                market, bid_multiplier_down=1 - step / 100 - tick / 300, ask_multiplier_up=1 + step / 100 + tick / 300
            ),
            "price limits": replace(market, min_price=limit - 2 * tick, max_price=limit + 2 * tick),
        }[limits]
        price = 100 * (1 + moved)
        moment = Scenario(
            balances,
            targets,
            config,
            {"BTCUSDT": later},
            [order],
            {"BTCUSDT": price},
            {"BTCUSDT": D(100)},
            {"BTCUSDT": D(100)},
            NOW,
        )
        happens, quiet = what_happens(moment), moment.contains()
        assert not (quiet and happens)
        # Well within the tolerance, by more than a tick on either side, nobody has to ask.
        room = (step / 4 if tolerance is None else tolerance) / 100 - abs(moved) - 4 * tick / 100
        at_the_band = abs((1500 - held * price) / 2) == config.min_delta_quote
        if room > 0 and limits in {"no limits", "a wide band"} and not happens and not at_the_band:
            assert quiet
            seen["kept"] += 1
        seen["given up"] += bool(happens)

    check()
    assert seen["kept"] >= 15
    assert seen["given up"] >= 15


@every_case
@given(scenarios())
def test_without_orders_whoever_is_asked_finds_an_asset_outside_its_band(moment: Scenario) -> None:
    free = Scenario(
        moment.balances | {"USDT": Balance(D(5000))},
        moment.targets,
        moment.config,
        moment.rules,
        [],
        moment.prices,
        moment.prices,
        moment.prices,
        NOW,
    )
    evaluation = evaluate(free.balances, free.targets, free.prices, free.config, market_rules=free.rules)
    reasons = {row.hold for row in evaluation.rows} - {SkipReason.QUOTE_ASSET, SkipReason.WITHIN_BAND}
    assert free.contains() or reasons


def test_the_bounds_of_an_account_worked_out_by_hand() -> None:
    # 1,000 in BTC and 1,000 in USDT, half and half, band 50: at price p the delta is (1000 + 10p)/2 − 10p = 500 − 5p,
    # so it reaches 50 at 90 and −50 at 110.
    moment = Scenario(
        {"BTC": Balance(D(10)), "USDT": Balance(D(1000))},
        {"BTC": D(50), "USDT": D(50)},
        StrategyConfig("USDT", D(2), D("0.5"), D(50)),
        {"BTCUSDT": MarketRules("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.001"))},
        [],
        {},
        {},
        {},
        NOW,
    )
    bounds = moment.bounds()
    for price, quiet in (("90", False), ("90.01", True), ("109.99", True), ("110", False), ("0", False), ("-1", False)):
        assert contains(bounds, {"BTCUSDT": D(price)}, {}, {}, NOW) is quiet
    assert not contains(bounds, {}, {}, {}, NOW)


def test_the_bounds_of_a_band_that_moves_with_prices_worked_out_by_hand() -> None:
    # As above with a band of 4 % of NAV: 500 − 5p against ±(1000 + 10p) × 0.04, so 460 = 5.4p and 540 = 4.6p:
    # 85.185… and 117.391…
    moment = Scenario(
        {"BTC": Balance(D(10)), "USDT": Balance(D(1000))},
        {"BTC": D(50), "USDT": D(50)},
        StrategyConfig("USDT", D(2), D("0.5"), D(50), min_delta_pct=D(4)),
        {"BTCUSDT": MarketRules("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.001"))},
        [],
        {},
        {},
        {},
        NOW,
    )
    bounds = moment.bounds()
    for price, quiet in (("85.18", False), ("85.19", True), ("117.39", True), ("117.40", False)):
        assert contains(bounds, {"BTCUSDT": D(price)}, {}, {}, NOW) is quiet


@pytest.mark.parametrize(
    ("low", "high", "later", "quiet"),
    [
        ("99.51", "101", 0, True),
        ("99.50", "101", 0, False),  # touched: it may have filled
        ("99.49", "101", 0, False),
        ("99.51", "150", 0, True),
        ("100", "101", 899, True),
        ("100", "101", 900, False),  # old enough to be reviewed
    ],
)
def test_a_resting_buy_at_99_50_is_quiet_until_it_fills_or_is_due(low: str, high: str, later: int, quiet: bool) -> None:
    moment = Scenario(
        {"BTC": Balance(D(8)), "USDT": Balance(D(1000), D(200))},
        {"BTC": D(50), "USDT": D(50)},
        StrategyConfig("USDT", D(2), D("0.5"), D(50)),
        {"BTCUSDT": MarketRules("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.001"))},
        [RestingOrder("one", "BTCUSDT", "buy", D("99.50"), NOW)],
        {"BTCUSDT": D(100)},
        {"BTCUSDT": D(low)},
        {"BTCUSDT": D(high)},
        NOW + later,
    )
    assert moment.contains() is quiet


@pytest.mark.parametrize(("free", "quiet"), [("4.99", True), ("5", False)])
def test_a_buy_that_what_is_free_can_never_pay_for_keeps_nobody_awake(free: str, quiet: bool) -> None:
    market = MarketRules("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.001"), min_notional=D(5))
    bounds = compute_no_trade_region(
        {"BTC": Balance(D(8)), "USDT": Balance(D(free), D(1000))},
        {"BTC": D(50), "USDT": D(50)},
        StrategyConfig("USDT", D(2), D("0.5"), D(50)),
        {"BTCUSDT": market},
        open_orders=[],
        active_symbols=(),
        now=NOW,
    )
    assert contains(bounds, {"BTCUSDT": D(100)}, {}, {}, NOW) is quiet


@pytest.mark.parametrize(("paused", "quiet"), [(["BTCUSDT"], True), (["ETHUSDT"], False)])
def test_a_paused_pair_outside_its_band_keeps_nobody_awake(paused: list[str], quiet: bool) -> None:
    bounds = compute_no_trade_region(
        {"BTC": Balance(D(8)), "USDT": Balance(D(1200))},
        {"BTC": D(50), "USDT": D(50)},
        StrategyConfig("USDT", D(2), D("0.5"), D(50)),
        {"BTCUSDT": MarketRules("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.001"))},
        open_orders=[],
        active_symbols=(),
        paused_symbols=paused,
        now=NOW,
    )
    assert contains(bounds, {"BTCUSDT": D(100)}, {}, {}, NOW) is quiet


@pytest.mark.parametrize(("trading", "quiet"), [(False, True), (True, False)])
def test_a_closed_market_outside_its_band_keeps_nobody_awake(trading: bool, quiet: bool) -> None:
    market = MarketRules("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.001"), trading=trading)
    bounds = compute_no_trade_region(
        {"BTC": Balance(D(8)), "USDT": Balance(D(1200))},
        {"BTC": D(50), "USDT": D(50)},
        StrategyConfig("USDT", D(2), D("0.5"), D(50)),
        {"BTCUSDT": market},
        open_orders=[],
        active_symbols=(),
        now=NOW,
    )
    assert contains(bounds, {"BTCUSDT": D(100)}, {}, {}, NOW) is quiet


@pytest.mark.parametrize(
    ("free", "min_qty", "quiet"),
    [("0.0009", "0", True), ("0.001", "0", False), ("0.0019", "0.002", True), ("0.002", "0.002", False)],
)
def test_a_sale_that_what_is_free_can_never_make_up_keeps_nobody_awake(free: str, min_qty: str, quiet: bool) -> None:
    market = MarketRules("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.001"), min_qty=D(min_qty))
    bounds = compute_no_trade_region(
        {"BTC": Balance(D(free), D(12)), "USDT": Balance(D(800))},
        {"BTC": D(50), "USDT": D(50)},
        StrategyConfig("USDT", D(2), D("0.5"), D(50)),
        {"BTCUSDT": market},
        open_orders=[],
        active_symbols=(),
        now=NOW,
    )
    assert contains(bounds, {"BTCUSDT": D(100)}, {}, {}, NOW) is quiet


def test_orders_that_no_bounds_are_made_for_are_never_quiet() -> None:
    account = (
        {"BTC": Balance(D(10)), "USDT": Balance(D(1000))},
        {"BTC": D(50), "USDT": D(50)},
        StrategyConfig("USDT", D(2), D("0.5"), D(50)),
        {"BTCUSDT": MarketRules("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.001"))},
    )
    one = RestingOrder("one", "BTCUSDT", "buy", D("90"), NOW)
    for orders in (
        [one, RestingOrder("two", "BTCUSDT", "sell", D("110"), NOW)],
        [RestingOrder("x", "ETHUSDT", "buy", D(1), NOW)],
    ):
        bounds = compute_no_trade_region(*account, open_orders=orders, active_symbols=(), now=NOW)
        assert not contains(bounds, {"BTCUSDT": D(100)}, {"BTCUSDT": D(100)}, {"BTCUSDT": D(100)}, NOW)
