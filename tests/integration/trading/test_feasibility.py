"""How a strategy fits the account and its markets is said when it is saved."""

from decimal import Decimal
from typing import Any

import pytest
from botbalance.engine import InvalidStrategyError, WarningCode
from botbalance.trading.plan import preview
from botbalance.trading.preflight import CheckStatus, check_account
from botbalance.trading.strategy import SavedStrategy, save_strategy

from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness

HALF: dict[str, Any] = {
    "target_allocations": {"XRP": Decimal(50), "USDT": Decimal(50)},
    "quote_asset": "USDT",
    "exchange": "binance",
    "order_size_pct": Decimal(1),
    "order_step_pct": Decimal("0.4"),
    "min_delta_quote": Decimal(60),
    "min_delta_pct": Decimal(1),
}


def saved(harness: TradingHarness, **more: Any) -> SavedStrategy:
    return save_strategy(harness.context, harness.user, HALF | more, harness.context.strategies.find(harness.user))


@pytest.fixture
def owner(newcomer: TradingHarness) -> TradingHarness:
    newcomer.open_account(newcomer.user, TEN_THOUSAND_USDT)
    return newcomer


def test_a_strategy_that_fits_is_saved_without_a_word(owner: TradingHarness) -> None:
    assert (saved(owner).warnings, saved(owner).check_error) == ((), None)


def test_another_base_than_the_one_that_is_named_is_refused_before_there_is_any_key(newcomer: TradingHarness) -> None:
    """BTCUSD in T would have the symbol of BTC in USDT."""
    with pytest.raises(InvalidStrategyError, match="BTCUSD"):
        saved(newcomer, target_allocations={"BTCUSD": Decimal(50), "T": Decimal(50)}, quote_asset="T")
    assert newcomer.context.strategies.find(newcomer.user) is None


def test_a_market_that_is_halted_is_said_and_no_reason_to_refuse(owner: TradingHarness) -> None:
    owner.market.halt("XRPUSDT")
    [warning] = saved(owner).warnings
    assert (warning.code, warning.assets) == (WarningCode.MARKET_CLOSED, ("XRP",))


def test_a_portfolio_that_triples_is_told_when_it_is_saved_in_every_plan_and_by_the_check(
    newcomer: TradingHarness,
) -> None:
    newcomer.market.set_price("XRPUSDT", Decimal(1))
    newcomer.open_account(newcomer.user, {"XRP": Decimal(5_000), "USDT": Decimal(5_000)})
    [ahead] = saved(newcomer, min_delta_quote=Decimal(120), min_delta_pct=None).warnings
    assert (ahead.code, ahead.from_nav) == (WarningCode.OSCILLATION_AHEAD, Decimal(12_000))

    newcomer.market.set_price("XRPUSDT", Decimal(5))
    newcomer.now += 60  # past the cached price
    plan = preview(newcomer.context, newcomer.user)
    assert plan.evaluation.nav == 30_000
    assert (plan.evaluation.band_quote, plan.evaluation.band_pct) == (Decimal(120), Decimal("0.4"))
    [now] = plan.evaluation.warnings
    assert (now.code, now.min_delta_pct) == (WarningCode.OSCILLATION, Decimal(1))
    [sizes] = [item for item in check_account(newcomer.context, newcomer.user) if item.name == "sizes"]
    assert sizes.verdict is CheckStatus.WARN
    assert now.message in sizes.found
    assert "min_delta_pct" in str(sizes.remedy)
    assert saved(newcomer, min_delta_quote=Decimal(120), min_delta_pct=now.min_delta_pct).warnings == ()


def test_a_reserve_above_the_quotes_target_is_refused_whatever_is_held(owner: TradingHarness) -> None:
    with pytest.raises(InvalidStrategyError, match=r"quote_reserve_pct is 50\.5, expected at most the target of USDT"):
        saved(owner, quote_reserve_pct=Decimal("50.5"))
    assert saved(owner, quote_reserve_pct=Decimal(50)).strategy.quote_reserve_pct == 50


def test_an_exchange_that_does_not_answer_keeps_nobody_from_changing_the_mind(owner: TradingHarness) -> None:
    saved(owner)
    owner.books.revoke_key(owner.key)
    changed = saved(owner, order_size_pct=Decimal(2))
    assert "refuses the API key" in str(changed.check_error)
    assert owner.context.strategies.get(owner.user).order_size_pct == 2


def test_an_empty_account_is_no_reason_to_refuse(newcomer: TradingHarness) -> None:
    newcomer.open_account(newcomer.user, {})
    assert "nav" in str(saved(newcomer).check_error).lower()


def test_more_assets_than_a_tick_can_decide_on_are_refused(owner: TradingHarness) -> None:
    many = {f"A{number}": Decimal(1) for number in range(60)} | {"USDT": Decimal(40)}
    with pytest.raises(InvalidStrategyError, match="61 assets, expected at most 50"):
        saved(owner, target_allocations=many)
