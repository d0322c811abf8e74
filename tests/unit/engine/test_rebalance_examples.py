"""Decisions worked out by hand, every digit of them here."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from botbalance.engine import (
    Action,
    AssetRow,
    Balance,
    Evaluation,
    InvalidStrategyError,
    MarketRules,
    SkipReason,
    StrategyConfig,
    WarningCode,
    compute_rebalance_actions,
    evaluate,
)

D = Decimal

BTC = MarketRules("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.00000001"))
ETH = MarketRules("ETHUSDT", "ETH", "USDT", D("0.01"), D("0.00000001"))
CONFIG = StrategyConfig("USDT", order_size_pct=D(1), order_step_pct=D("0.4"), min_delta_quote=D(30), min_delta_pct=D(1))

BALANCES = {"BTC": Balance(D("0.02")), "ETH": Balance(D("0.8")), "USDT": Balance(D("1824.5896"))}
TARGETS = {"BTC": D(40), "ETH": D(30), "USDT": D(30)}
PRICES = {"BTCUSDT": D("43250.52"), "ETHUSDT": D("2580.75")}


def rules(*markets: MarketRules) -> dict[str, MarketRules]:
    return {market.symbol: market for market in markets}


def find_row(evaluation: Evaluation, asset: str) -> AssetRow:
    return next(row for row in evaluation.rows if row.asset == asset)


def half_in_btc(
    btc: str = "0",
    usdt: str = "1000",
    *,
    price: str = "100",
    target: str = "50",
    market: MarketRules | None = None,
    config: StrategyConfig = CONFIG,
    more: Mapping[str, Balance] | None = None,
) -> Evaluation:
    """A plain account: BTC at ``price`` and USDT, all of it free."""
    return evaluate(
        {"BTC": Balance(D(btc)), "USDT": Balance(D(usdt)), **(more or {})},
        {"BTC": D(target), "USDT": 100 - D(target)},
        {"BTCUSDT": D(price)},
        config,
        market_rules=rules(market or replace(BTC, tick_size=D("0.1"), lot_size=D("0.01"))),
    )


def test_nav_4754_20_at_one_percent_makes_orders_of_47_542_divided_by_the_rounded_limit_price() -> None:
    # NAV    0.02 × 43250.52 + 0.8 × 2580.75 + 1824.5896 = 865.0104 + 2064.60 + 1824.5896 = 4754.20
    # BTC    delta 1901.68 − 865.0104 = +1036.6696
    #        limit 43250.52 × 0.996 = 43077.51792 → 43077.51, down
    #        47.542 / 43077.51 = 0.001103638… → 0.00110363 (at the market price it would be 0.00109922)
    # ETH    delta 1426.26 − 2064.60 = −638.34
    #        limit 2580.75 × 1.004 = 2591.073 → 2591.08, up
    #        47.542 / 2591.08 = 0.0183483335… → 0.01834833 (at the unrounded limit it would be 0.01834838)
    evaluation = evaluate(BALANCES, TARGETS, PRICES, CONFIG, market_rules=rules(BTC, ETH))
    assert evaluation.nav == D("4754.20")
    assert evaluation.quote_amount == D("47.542")
    assert evaluation.actions == (
        Action(
            "BTCUSDT",
            "buy",
            limit_price=D("43077.51"),
            base_qty=D("0.00110363"),
            quote_amount=D("47.542"),
            market_price=D("43250.52"),
            notional=D("47.5416323613"),
            capped=False,
        ),
        Action(
            "ETHUSDT",
            "sell",
            limit_price=D("2591.08"),
            base_qty=D("0.01834833"),
            quote_amount=D("47.542"),
            market_price=D("2580.75"),
            notional=D("47.5419908964"),
            capped=False,
        ),
    )
    assert [row.delta_quote for row in evaluation.rows] == [D("1036.6696"), D("-638.34"), D("-398.3296")]
    assert [(row.asset, row.hold) for row in evaluation.rows] == [("BTC", None), ("ETH", None), ("USDT", "quote_asset")]
    assert evaluation.warnings == ()


def test_the_actions_alone_are_the_evaluations_actions() -> None:
    actions = compute_rebalance_actions(BALANCES, TARGETS, PRICES, CONFIG, market_rules=rules(BTC, ETH))
    assert [(a.symbol, str(a.limit_price), str(a.base_qty)) for a in actions] == [
        ("BTCUSDT", "43077.51", "0.00110363"),
        ("ETHUSDT", "2591.08", "0.01834833"),
    ]


def test_notional_is_checked_last_with_what_the_rounding_left() -> None:
    # 10 USDT at 99.6 are 0.1004… → 0.10, worth 9.96: over the minimum before the rounding, under it afterwards
    market = replace(BTC, tick_size=D("0.1"), lot_size=D("0.01"), min_notional=D("9.97"))
    row = find_row(half_in_btc(market=market), "BTC")
    assert row.hold == SkipReason.BELOW_MIN_NOTIONAL
    assert row.limit_price == D("99.6")
    # the next lot passes: 0.11 × 99.6 = 10.956, which is 1.0956 % of 1000
    assert row.smallest_order_size_pct == D("1.0956")
    assert find_row(half_in_btc(market=replace(market, min_notional=D("9.96"))), "BTC").action is not None


def test_locked_balances_count_as_held_and_are_not_spent() -> None:
    # NAV 1 × 100 + 900 = 1000; to sell: 100 over a target of 0, but only 0.05 of it is free
    evaluation = evaluate(
        {"BTC": Balance(D("0.05"), D("0.95")), "USDT": Balance(D(0), D(900))},
        {"BTC": D(0), "USDT": D(100)},
        {"BTCUSDT": D(100)},
        CONFIG,
        market_rules=rules(replace(BTC, tick_size=D("0.1"), lot_size=D("0.01"))),
    )
    assert evaluation.nav == 1000
    [action] = evaluation.actions
    assert (action.side, action.limit_price, action.base_qty, action.capped) == ("sell", D("100.4"), D("0.05"), True)


def test_buys_take_the_free_quote_in_the_order_of_actions_and_sells_fund_none_of_them() -> None:
    # NAV 300 + 15 = 315, orders of 3.15 × 4 = 12.60; ADA has 237 too much, ETH lacks 157.50, BTC 94.50.
    # ADA sells at 1.004 → 1.01: 12.60 / 1.01 = 12.475… → 12.47.
    # ETH buys at 9.96 → 1.26 ETH = 12.5496, fee of 1 % → 12.675096 of the 15; BTC is left with 2.324904:
    # 2.324904 / 1.01 / 99.6 = 0.02311… → 0.02.
    ada = MarketRules("ADAUSDT", "ADA", "USDT", D("0.01"), D("0.01"))
    config = replace(CONFIG, order_size_pct=D(4))
    markets = (
        ada,
        replace(ETH, lot_size=D("0.01"), quote_fee_pct=D(1)),
        replace(BTC, lot_size=D("0.01"), quote_fee_pct=D(1)),
    )
    evaluation = evaluate(
        {"ADA": Balance(D(300)), "USDT": Balance(D(15))},
        {"ADA": D(20), "BTC": D(30), "ETH": D(50)},
        {"ADAUSDT": D(1), "BTCUSDT": D(100), "ETHUSDT": D(10)},
        config,
        market_rules=rules(*markets),
    )
    assert [(a.symbol, a.side, str(a.limit_price), str(a.base_qty), a.capped) for a in evaluation.actions] == [
        ("ADAUSDT", "sell", "1.01", "12.47", False),
        ("ETHUSDT", "buy", "9.96", "1.26", False),
        ("BTCUSDT", "buy", "99.60", "0.02", True),
    ]


def test_equal_deviations_are_ordered_by_symbol() -> None:
    markets = [replace(BTC, symbol=f"{base}USDT", base=base) for base in ("XRP", "ADA", "BTC")]
    actions = compute_rebalance_actions(
        {"USDT": Balance(D(900))},
        {"XRP": D(25), "ADA": D(25), "BTC": D(25), "USDT": D(25)},
        {market.symbol: D(50) for market in markets},
        CONFIG,
        market_rules=rules(*markets),
    )
    assert [action.symbol for action in actions] == ["ADAUSDT", "BTCUSDT", "XRPUSDT"]


def test_max_qty_caps_an_order_and_says_so() -> None:
    market = replace(BTC, tick_size=D("0.1"), lot_size=D("0.01"), max_qty=D("0.055"))
    [action] = half_in_btc(market=market).actions
    assert (action.base_qty, action.capped) == (D("0.05"), True)


def test_a_minimum_or_maximum_that_is_met_exactly_is_no_obstacle() -> None:
    # 10 USDT at 99.6 are 0.10, worth 9.96
    market = replace(BTC, tick_size=D("0.1"), lot_size=D("0.01"))
    met = replace(market, min_qty=D("0.10"), max_qty=D("0.10"), min_notional=D("9.96"), max_notional=D("9.96"))
    met = replace(met, min_price=D("99.6"), max_price=D("99.6"), bid_multiplier_down=D("0.996"))
    for accepting in (met, replace(market, bid_multiplier_up=D("0.996"))):
        [action] = half_in_btc(market=accepting).actions
        assert (action.base_qty, action.notional, action.capped) == (D("0.10"), D("9.96"), False)
    assert find_row(half_in_btc(market=replace(market, min_qty=D("0.11"))), "BTC").hold == SkipReason.BELOW_MIN_QTY


@pytest.mark.parametrize(
    ("free", "qty", "capped"),
    [
        ("10.10", "0.10", False),  # pays for 10 and its fee of 1 %
        ("10.09", "0.10", True),  # 9.990… / 99.6 = 0.1003…
        ("10.05", "0.09", True),  # 9.950… / 99.6 = 0.0999…, though 10.05 alone would have paid for 0.10
    ],
)
def test_the_fee_in_quote_has_to_fit_into_the_free_quote_too(free: str, qty: str, capped: bool) -> None:
    evaluation = evaluate(
        {"USDT": Balance(D(free), 1000 - D(free))},
        {"BTC": D(50), "USDT": D(50)},
        {"BTCUSDT": D(100)},
        CONFIG,
        market_rules=rules(replace(BTC, tick_size=D("0.1"), lot_size=D("0.01"), quote_fee_pct=D(1))),
    )
    [action] = evaluation.actions
    assert (action.base_qty, action.capped) == (D(qty), capped)


@pytest.mark.parametrize(("free", "qty", "capped"), [("0.10", "0.10", False), ("0.0999", "0.09", True)])
def test_a_sell_of_exactly_what_is_free_is_not_capped(free: str, qty: str, capped: bool) -> None:
    # 5 × 99.6 + 502 = 1000; the limit is 99.6 × 1.004 = 99.9984 → 100.0, so 10 USDT are 0.10
    evaluation = evaluate(
        {"BTC": Balance(D(free), 5 - D(free)), "USDT": Balance(D(502))},
        {"BTC": D(0), "USDT": D(100)},
        {"BTCUSDT": D("99.6")},
        CONFIG,
        market_rules=rules(replace(BTC, tick_size=D("0.1"), lot_size=D("0.01"))),
    )
    [action] = evaluation.actions
    assert (action.base_qty, action.capped) == (D(qty), capped)


def test_no_size_is_suggested_where_size_is_not_what_is_lacking() -> None:
    # 10 USDT are 0.10, worth 9.96; the next lot is 10.956
    market = replace(BTC, tick_size=D("0.1"), lot_size=D("0.01"), min_notional=D(10))
    assert find_row(half_in_btc(market=market), "BTC").smallest_order_size_pct == D("1.0956")
    most = replace(market, max_qty=D("0.10"))
    assert find_row(half_in_btc(market=most), "BTC").smallest_order_size_pct is None
    poor = evaluate(
        {"USDT": Balance(D("10.955"), D("989.045"))},
        {"BTC": D(50), "USDT": D(50)},
        {"BTCUSDT": D(100)},
        CONFIG,
        market_rules=rules(market),
    )
    assert find_row(poor, "BTC").hold == SkipReason.BELOW_MIN_NOTIONAL
    assert find_row(poor, "BTC").smallest_order_size_pct is None


def test_a_minimum_beyond_a_tiny_portfolio_is_no_arithmetic_error() -> None:
    # the pair's smallest order would be 5 × 10²⁴ percent of it
    market = replace(BTC, lot_size=D("1e-24"), min_notional=D(5000))
    evaluation = half_in_btc("0", "1e-19", market=market, config=replace(CONFIG, min_delta_quote=D("1e-20")))
    assert find_row(evaluation, "BTC").hold == SkipReason.BELOW_MIN_NOTIONAL
    assert find_row(evaluation, "BTC").smallest_order_size_pct is None


def test_a_price_that_rounds_to_zero_is_held() -> None:
    market = replace(BTC, tick_size=D(250))
    assert find_row(half_in_btc(market=market), "BTC").hold == SkipReason.OUTSIDE_PRICE_LIMITS


@pytest.mark.parametrize(
    ("tick", "side", "limit"),
    [("0.05", "buy", "99.60"), ("0.25", "buy", "99.50"), ("0.05", "sell", "100.45"), ("0.25", "sell", "100.50")],
)
def test_ticks_that_are_no_powers_of_ten_round_away_from_the_market(tick: str, side: str, limit: str) -> None:
    # 100.01 × 0.996 = 99.60996 and × 1.004 = 100.41004
    market = replace(BTC, tick_size=D(tick))
    target = "100" if side == "buy" else "0"
    [action] = half_in_btc("5", "500", price="100.01", target=target, market=market).actions
    assert (action.side, action.limit_price) == (side, D(limit))


def test_lots_of_a_thousand_and_of_a_wei() -> None:
    # 10 USDT at 0.00099600: 10040.16… → 10000; at 99.6 down to 18 places: 0.100401606425702811
    coarse = replace(BTC, tick_size=D("1e-8"), lot_size=D(1000))
    [action] = half_in_btc(price="0.001", market=coarse).actions
    assert (action.limit_price, action.base_qty, action.notional) == (D("0.000996"), D(10_000), D("9.96"))
    [action] = half_in_btc(market=replace(BTC, tick_size=D("0.1"), lot_size=D("1e-18"))).actions
    assert action.base_qty == D("0.100401606425702811")


def test_thirty_digit_balances_are_exact() -> None:
    evaluation = half_in_btc("123456789012.345678901234567891", "0.000000000000000001", price="1.0000000001")
    #   123456789012.345678901234567891
    # +           12.3456789012345678901234567891
    # +            0.000000000000000001
    assert evaluation.nav == D("123456789024.6913578024691357821234567891")


def test_drift_is_the_share_of_nav_that_would_have_to_move() -> None:
    # 700 of 1000 in BTC against 50 %: 20 % too much here, 20 % too little there
    evaluation = half_in_btc("7", "300")
    assert evaluation.drift_pct == 20
    assert [row.weight_pct for row in evaluation.rows] == [70, 30]
    assert half_in_btc("5", "500").drift_pct == 0


def test_trigger_prices() -> None:
    # q 5, K 500, w 0.5, m 30: a buy at (250 − 30) / 2.5 = 88, a sell at (250 + 30) / 2.5 = 112
    row = find_row(half_in_btc("5", "500"), "BTC")
    assert (row.buy_trigger, row.sell_trigger) == (D(88), D(112))
    assert find_row(half_in_btc("5", "500", price="88"), "BTC").side == "buy"
    assert find_row(half_in_btc("5", "500", price="112"), "BTC").side == "sell"
    # with a third: (500/3 ∓ 30) / (5 × 2/3) needs rounding: down for the buy, up for the sell
    row = find_row(half_in_btc("7", "100", target="30"), "BTC")
    assert (row.buy_trigger, row.sell_trigger) == (None, D("12.24489795918367346938775511"))
    assert find_row(half_in_btc("0", "500"), "BTC").buy_trigger is None


def test_the_band_is_the_larger_of_the_amount_and_the_share() -> None:
    # NAV 1,000: 3 % are 30, as much as the amount; 3.1 % are 31, and then BTC at 469.5 of 500 is within the band
    for pct, band, hold in (("3", "30", None), ("3.1", "31", "within_band")):
        evaluation = half_in_btc("4.695", "530.5", config=replace(CONFIG, min_delta_pct=D(pct)))
        assert (evaluation.band_quote, evaluation.band_pct) == (D(band), D(pct))
        assert find_row(evaluation, "BTC").hold == hold
    evaluation = half_in_btc("4.695", "530.5", config=replace(CONFIG, min_delta_pct=None))
    assert (evaluation.band_quote, evaluation.band_pct) == (D(30), D(3))


def test_trigger_prices_of_a_band_that_moves_with_the_price() -> None:
    # q 5, K 500, w 0.5, b 0.1: a buy at 0.4 × 500 / (5 × 0.6) = 66.66…, a sell at 0.6 × 500 / (5 × 0.4) = 150;
    # of an amount of 30 it would be 88 and 112, so the share's are the later ones
    config = replace(CONFIG, min_delta_pct=D(10))
    row = find_row(half_in_btc("5", "500", config=config), "BTC")
    assert (row.buy_trigger, row.sell_trigger) == (D("66.66666666666666666666666666"), D(150))
    assert find_row(half_in_btc("5", "500", price="66.66", config=config), "BTC").side == "buy"
    assert find_row(half_in_btc("5", "500", price="66.67", config=config), "BTC").side is None
    assert find_row(half_in_btc("5", "500", price="149.99", config=config), "BTC").side is None
    assert find_row(half_in_btc("5", "500", price="150", config=config), "BTC").side == "sell"
    row = find_row(half_in_btc("5", "500", config=replace(config, min_delta_pct=D(50))), "BTC")
    assert (row.buy_trigger, row.sell_trigger) == (None, None)


def test_oscillation_begins_where_an_order_is_worth_more_than_the_band_and_names_the_share_that_ends_it() -> None:
    amount_only = replace(CONFIG, min_delta_pct=None)
    [ahead] = half_in_btc(config=replace(amount_only, order_size_pct=D(3))).warnings  # 30 against 30
    assert (ahead.code, ahead.from_nav, ahead.min_delta_pct) == (WarningCode.OSCILLATION_AHEAD, D(1000), D(3))
    [now] = half_in_btc(config=replace(amount_only, order_size_pct=D("3.001"))).warnings
    assert (now.code, now.min_delta_pct) == (WarningCode.OSCILLATION, D("3.001"))
    assert now.message == (
        "an order of 30.01 USDT is worth more than the band (30): a filled order can overshoot the target "
        "and be traded back; min_delta_pct of 3.001 or more ends it at any NAV"
    )
    for pct, codes in (("3", [WarningCode.OSCILLATION]), ("3.001", [])):
        found = half_in_btc(config=replace(amount_only, order_size_pct=D("3.001"), min_delta_pct=D(pct))).warnings
        assert [warning.code for warning in found] == codes


def test_a_portfolio_that_triples_is_warned_before_and_after() -> None:
    config = StrategyConfig("USDT", D(1), D("0.4"), D(120))
    [ahead] = half_in_btc("50", "5000", config=config).warnings
    assert (ahead.code, ahead.from_nav) == (WarningCode.OSCILLATION_AHEAD, D(12_000))
    assert ahead.message == (
        "above a NAV of 12000 USDT an order will be worth more than the band, because the order grows with the "
        "portfolio and min_delta_quote (120) does not: a filled order can then overshoot the target and be traded "
        "back; min_delta_pct of 1 or more ends it at any NAV"
    )
    [now] = half_in_btc("50", "5000", price="500", config=config).warnings
    assert (now.code, now.from_nav, now.min_delta_pct) == (WarningCode.OSCILLATION, D(12_000), D(1))
    assert (
        half_in_btc("50", "5000", price="500", config=replace(config, min_delta_pct=now.min_delta_pct)).warnings == ()
    )


def test_a_band_above_a_target_means_that_the_asset_is_never_bought() -> None:
    for pct, never in (("2", False), ("2.01", True)):
        config = replace(CONFIG, min_delta_quote=D(1), min_delta_pct=D(pct))
        evaluation = half_in_btc("0", "1000", target="2", config=config)
        assert (find_row(evaluation, "BTC").hold == "within_band") is never
        found = [w for w in evaluation.warnings if w.code == WarningCode.NEVER_BOUGHT]
        assert [(w.assets, w.min_delta_pct) for w in found] == [(("BTC",), D(1))] * never


@pytest.mark.parametrize(
    ("usdt", "reserve", "amount", "hold"),
    [
        ("500", "0", "10", None),
        ("500", "10", "10", None),  # 400 are left, an order is 10
        ("105", "10", "5", None),  # NAV 1,000: 5 of 105 are free, so the order is capped
        ("100", "10", None, "no_free_balance"),  # exactly the reserve
        ("40", "10", None, "no_free_balance"),  # below it
        ("100.02", "10", None, "no_free_balance"),  # a crumb of 0.02, less than a lot
        ("0.02", "0", None, "below_min_qty"),  # the rule without a reserve
    ],
)
def test_buys_leave_the_reserve_untouched(usdt: str, reserve: str, amount: str | None, hold: str | None) -> None:
    config = replace(CONFIG, quote_reserve_pct=D(reserve))
    eth = replace(ETH, tick_size=D("0.01"))
    evaluation = evaluate(
        {"ETH": Balance((1000 - D(usdt)) / 10), "USDT": Balance(D(usdt))},
        {"BTC": D(50), "ETH": D(40), "USDT": D(10)},
        {"BTCUSDT": D(100), "ETHUSDT": D(10)},
        config,
        market_rules=rules(replace(BTC, tick_size=D("0.1"), lot_size=D("0.001")), eth),
    )
    row = find_row(evaluation, "BTC")
    assert row.hold == hold
    if amount is not None:
        assert row.action is not None
        assert D(amount) - D("0.1") < row.action.notional <= D(amount)
        assert row.action.capped == (amount == "5")


def test_a_reserve_above_the_quotes_own_target_is_refused() -> None:
    with pytest.raises(
        InvalidStrategyError, match=r"quote_reserve_pct is 50.1, expected at most the target of USDT, 50"
    ):
        half_in_btc(config=replace(CONFIG, quote_reserve_pct=D("50.1")))
    assert half_in_btc(config=replace(CONFIG, quote_reserve_pct=D(50))).nav == 1000


def test_never_trades_names_the_size_that_works_for_a_buy_and_a_sell() -> None:
    # minimum 25 in lots of 0.1: a buy takes 0.3 × 99.6 = 29.88, a sell 0.3 × 100.4 = 30.12, so 3.012 % of 1000
    market = replace(BTC, tick_size=D("0.1"), lot_size=D("0.1"), min_notional=D(25))
    [warning] = half_in_btc("5", "500", market=market).warnings
    assert warning.code == WarningCode.NEVER_TRADES
    assert warning.assets == ("BTC",)
    assert warning.smallest_order_size_pct == D("3.012")
    assert warning.message.endswith("is below what BTCUSDT accepts (30.12); it takes order_size_pct of 3.012 or more")
    enough = replace(CONFIG, order_size_pct=D("3.012"), min_delta_quote=D(50), min_delta_pct=D(4))
    assert half_in_btc("5", "500", market=market, config=enough).warnings == ()


def test_never_trades_without_a_size_that_works() -> None:
    market = replace(BTC, tick_size=D("0.1"), lot_size=D("0.1"), min_notional=D(2500))
    [warning] = half_in_btc("5", "500", market=market).warnings
    assert warning.smallest_order_size_pct is None
    assert warning.message.endswith("it takes a larger portfolio")


def test_a_closed_market_is_reported_whether_or_not_it_would_be_traded() -> None:
    closed = replace(BTC, tick_size=D("0.1"), lot_size=D("0.01"), trading=False)
    for btc, usdt in (("5", "500"), ("0", "1000")):
        [warning] = half_in_btc(btc, usdt, market=closed).warnings
        assert (warning.code, warning.assets) == (WarningCode.MARKET_CLOSED, ("BTC",))
        assert warning.message == "BTCUSDT is not trading at the moment: BTC stays as it is until it does"


@pytest.mark.parametrize(
    ("band", "step", "warned"),
    [
        ({"bid_multiplier_down": D("0.95")}, "5", False),  # 0.95 of the market is just allowed
        ({"bid_multiplier_down": D("0.95")}, "5.01", True),
        ({"ask_multiplier_up": D("1.05")}, "5", False),
        ({"ask_multiplier_up": D("1.05")}, "5.01", True),
        ({"bid_multiplier_up": D("0.5"), "ask_multiplier_down": D("1.5")}, "5.01", False),
    ],
)
def test_a_step_beyond_the_price_band_is_reported(band: Mapping[str, Any], step: str, *, warned: bool) -> None:
    market = replace(BTC, tick_size=D("0.1"), lot_size=D("0.01"), **band)
    found = half_in_btc("5", "500", market=market, config=replace(CONFIG, order_step_pct=D(step))).warnings
    assert [warning.code for warning in found] == [WarningCode.OUTSIDE_PRICE_LIMITS] * warned


def test_unmanaged_holdings_are_reported_and_neither_counted_nor_traded() -> None:
    more = {"LDBNB": Balance(D("1.5")), "LUNA": Balance(D(0), D(7)), "DUST": Balance()}
    evaluation = half_in_btc("5", "500", more=more)
    assert evaluation.nav == 1000
    assert evaluation.unmanaged == {"LDBNB": Balance(D("1.5")), "LUNA": Balance(D(0), D(7))}
    [warning] = evaluation.warnings
    assert (warning.code, warning.assets) == (WarningCode.UNMANAGED, ("LDBNB", "LUNA"))


def test_an_asset_that_is_neither_held_nor_wanted_needs_no_price() -> None:
    evaluation = evaluate(
        {"USDT": Balance(D(100))},
        {"BTC": D(0), "USDT": D(100)},
        {},
        CONFIG,
        market_rules=rules(BTC),
    )
    assert find_row(evaluation, "BTC").hold == SkipReason.WITHIN_BAND
    assert find_row(evaluation, "BTC").price is None


def test_a_strategy_of_the_quote_asset_alone_does_nothing() -> None:
    evaluation = evaluate({"USDT": Balance(D(100))}, {"USDT": D(100)}, {}, CONFIG, market_rules={})
    assert evaluation.actions == ()
    assert evaluation.drift_pct == 0


def test_an_active_order_a_closed_market_and_no_free_balance_hold_in_this_order() -> None:
    def hold(market: MarketRules, active: tuple[str, ...], usdt: Balance) -> SkipReason | None:
        evaluation = evaluate(
            {"USDT": usdt},
            {"BTC": D(100)},
            {"BTCUSDT": D(100)},
            CONFIG,
            market_rules=rules(market),
            active_symbols=active,
        )
        return find_row(evaluation, "BTC").hold

    closed, locked = replace(BTC, trading=False, max_price=D(1)), Balance(D(0), D(1000))
    assert hold(closed, ("BTCUSDT",), locked) == SkipReason.ACTIVE_ORDER
    assert hold(closed, (), locked) == SkipReason.MARKET_CLOSED
    assert hold(replace(closed, trading=True), (), locked) == SkipReason.OUTSIDE_PRICE_LIMITS
    assert hold(BTC, (), locked) == SkipReason.NO_FREE_BALANCE
    assert hold(BTC, (), Balance(D("0.0000001"), D(1000))) == SkipReason.BELOW_MIN_QTY
    assert hold(BTC, (), Balance(D(1000))) is None
