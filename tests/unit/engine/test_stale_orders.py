"""Which resting orders are given up, and which keep their place in the queue."""

from dataclasses import replace
from decimal import Context, Decimal, localcontext

import pytest
from botbalance.engine import (
    Balance,
    CancelReason,
    Evaluation,
    MarketRules,
    RestingOrder,
    StrategyConfig,
    evaluate,
    review_resting_orders,
)

D = Decimal

NOW = 1_700_000_000
MARKET = MarketRules("BTCUSDT", "BTC", "USDT", D("0.01"), D("0.00001"))
CONFIG = StrategyConfig("USDT", D(1), D("0.4"), D(10))  # reprices beyond 0.8 % of the new price
ORDER = RestingOrder("id-1", "BTCUSDT", "buy", D("99.60"), NOW - 900)


def evaluation(
    btc: str = "0", price: str = "100", active: tuple[str, ...] = (), market: MarketRules = MARKET
) -> Evaluation:
    """An account of 1000 USDT and ``btc``, half of which is to be BTC: it would buy at 99.60."""
    return evaluate(
        {"BTC": Balance(D(btc)), "USDT": Balance(D(1000))},
        {"BTC": D(50), "USDT": D(50)},
        {"BTCUSDT": D(price)},
        CONFIG,
        market_rules={"BTCUSDT": market},
        active_symbols=active,
    )


def test_an_order_that_would_be_placed_again_stays() -> None:
    assert review_resting_orders([ORDER], evaluation(), CONFIG, NOW) == {}


def test_it_makes_no_difference_whether_the_evaluation_knew_of_the_order() -> None:
    for price in ("100", "101"):
        with_it = review_resting_orders([ORDER], evaluation(price=price, active=("BTCUSDT",)), CONFIG, NOW)
        assert with_it == review_resting_orders([ORDER], evaluation(price=price), CONFIG, NOW)


@pytest.mark.parametrize(
    ("price", "stays"),
    [
        ("100.81", True),  # 100.40676 → 100.40: 0.80 away, allowed 0.8032
        ("100.82", False),  # 100.41672 → 100.41: 0.81 away, allowed 0.80328
        ("99.60", True),  # 99.2016 → 99.20: 0.40 away. A market that comes to the order never cancels it
        ("99.21", True),  # 98.81316 → 98.81: 0.79 away, allowed 0.79048
        ("99.20", False),  # 98.8032 → 98.80: 0.80 away, allowed 0.7904
    ],
)
def test_an_order_within_two_steps_stays_and_one_beyond_it_is_stale(price: str, stays: bool) -> None:
    found = review_resting_orders([ORDER], evaluation(price=price), CONFIG, NOW)
    assert found == ({} if stays else {"id-1": CancelReason.STALE_PRICE})


def test_exactly_at_the_tolerance_stays() -> None:
    config = replace(CONFIG, reprice_tolerance_pct=D("0.5"))
    for limit in ("99.102", "100.098"):  # 99.60 ∓ 0.498
        assert review_resting_orders([replace(ORDER, limit_price=D(limit))], evaluation(), config, NOW) == {}
    for limit in ("99.1019", "100.0981"):
        order = replace(ORDER, limit_price=D(limit))
        assert review_resting_orders([order], evaluation(), config, NOW) == {"id-1": CancelReason.STALE_PRICE}


def test_two_large_steps_are_no_more_than_a_strategy_may_say() -> None:
    config = replace(CONFIG, order_step_pct=D(30))  # 50 % of 99.60, not 60
    for limit, stays in (("49.80", True), ("49.79", False), ("149.40", True), ("149.41", False)):
        order = replace(ORDER, limit_price=D(limit))
        found = review_resting_orders([order], evaluation(), config, NOW)
        assert found == ({} if stays else {"id-1": CancelReason.STALE_PRICE})


def test_a_young_order_stays_whatever_became_of_the_market() -> None:
    young = replace(ORDER, placed_at=NOW - 899)
    for now_priced in ("1", "100", "5000"):
        assert review_resting_orders([young], evaluation(price=now_priced), CONFIG, NOW) == {}
    assert review_resting_orders([young], evaluation(price="101"), CONFIG, NOW + 1) == {"id-1": "stale_price"}


def test_an_order_on_the_other_side_is_given_up() -> None:
    found = review_resting_orders([ORDER], evaluation(btc="20"), CONFIG, NOW)
    assert found == {"id-1": CancelReason.SIDE_FLIPPED}


def test_an_order_of_an_asset_back_within_its_band_is_given_up() -> None:
    found = review_resting_orders([ORDER], evaluation(btc="10"), CONFIG, NOW)
    assert found == {"id-1": CancelReason.WITHIN_BAND}


def test_an_order_of_a_pair_that_the_strategy_no_longer_manages_is_given_up() -> None:
    for placed_at in (NOW - 900, NOW):  # at once, however young: it would trade what its owner gave up
        order = replace(ORDER, symbol="ETHUSDT", placed_at=placed_at)
        assert review_resting_orders([order], evaluation(), CONFIG, NOW) == {"id-1": CancelReason.UNMANAGED}


def test_an_order_whose_price_the_market_no_longer_allows_is_given_up() -> None:
    found = review_resting_orders([ORDER], evaluation(market=replace(MARKET, max_price=D(50))), CONFIG, NOW)
    assert found == {"id-1": CancelReason.STALE_PRICE}


def test_an_order_that_has_locked_all_the_money_itself_stays() -> None:
    locked = evaluate(
        {"USDT": Balance(D(0), D(1000))},
        {"BTC": D(50), "USDT": D(50)},
        {"BTCUSDT": D(100)},
        CONFIG,
        market_rules={"BTCUSDT": MARKET},
    )
    assert review_resting_orders([ORDER], locked, CONFIG, NOW) == {}


def test_each_order_is_judged_by_itself() -> None:
    orders = [
        ORDER,
        replace(ORDER, client_order_id="id-2", limit_price=D("90")),
        replace(ORDER, client_order_id="id-3", side="sell"),
        replace(ORDER, client_order_id="id-4", limit_price=D("90"), placed_at=NOW),
    ]
    assert review_resting_orders(iter(orders), evaluation(), CONFIG, NOW) == {
        "id-2": CancelReason.STALE_PRICE,
        "id-3": CancelReason.SIDE_FLIPPED,
    }


def test_the_ambient_decimal_context_changes_nothing() -> None:
    config = replace(CONFIG, order_step_pct=D("0.400004"))
    new = evaluation()  # at 99.60: 0.796807968 away is just within
    near = replace(ORDER, limit_price=D("98.803192032"))
    far = replace(ORDER, limit_price=D("98.803192031"))
    for precision in (1, 3, 28):
        with localcontext(Context(prec=precision)):
            assert review_resting_orders([near], new, config, NOW) == {}
            assert review_resting_orders([far], new, config, NOW) == {"id-1": CancelReason.STALE_PRICE}
