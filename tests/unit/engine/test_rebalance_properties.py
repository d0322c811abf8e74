"""What must hold of every decision, whatever the account, the market and the strategy."""

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, replace
from decimal import Context, Decimal, getcontext, localcontext

from botbalance.engine import (
    Action,
    AssetRow,
    Balance,
    Evaluation,
    MarketRules,
    RebalanceDecision,
    SkipReason,
    StrategyConfig,
    WarningCode,
    compute_rebalance_actions,
    decide,
    evaluate,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.thorough import examples

WIDE = Context(prec=300)
ASSETS = ("ADA", "BTC", "ETH", "SOL", "XRP")
TINY_PCT = Decimal("1e-8")

every_case = settings(max_examples=examples(40, 200), deadline=None, derandomize=True)


@dataclass(frozen=True)
class Case:
    balances: dict[str, Balance]
    targets: dict[str, Decimal]
    prices: dict[str, Decimal]
    config: StrategyConfig
    rules: dict[str, MarketRules]
    active: tuple[str, ...] = ()

    def actions(self) -> list[Action]:
        return compute_rebalance_actions(
            self.balances, self.targets, self.prices, self.config, market_rules=self.rules, active_symbols=self.active
        )

    def decision(self) -> RebalanceDecision:
        return decide(
            self.balances, self.targets, self.prices, self.config, market_rules=self.rules, active_symbols=self.active
        )

    def evaluation(self) -> Evaluation:
        return evaluate(
            self.balances, self.targets, self.prices, self.config, market_rules=self.rules, active_symbols=self.active
        )

    def row(self, asset: str) -> AssetRow:
        return next(row for row in self.evaluation().rows if row.asset == asset)

    def at(self, symbol: str, price: Decimal) -> "Case":
        return replace(self, prices=self.prices | {symbol: price})


def numbers(low: str, high: str, places: int) -> st.SearchStrategy[Decimal]:
    """Decimals from ``low`` to ``high`` with ``places`` digits after the point."""
    unit = 10**places
    return st.integers(int(Decimal(low) * unit), int(Decimal(high) * unit)).map(
        lambda n: Decimal(n).scaleb(-places, WIDE)
    )


# What is held, in quote: nothing, dust, or something; as free and locked.
WORTH = st.one_of(st.just(Decimal(0)), numbers("0", "1", 6), numbers("10", "9000", 6), numbers("10", "9000", 6))
PRICES = st.one_of(numbers("0.00000001", "0.001", 8), numbers("0.5", "90", 4), numbers("100", "90000", 2))
# Grids in proportion to a price or a quantity of about 1: fine, odd, coarse.
GRIDS = st.sampled_from([Decimal(text) for text in ("1e-18", "1e-8", "1e-4", "0.0005", "0.0025", "0.05", "0.25", "1")])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    assets = draw(st.lists(st.sampled_from(ASSETS), min_size=1, max_size=5, unique=True))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=len(assets), max_size=len(assets))))
    targets = {
        asset: Decimal(high - low) for asset, low, high in zip([*assets, "USDT"], [0, *cuts], [*cuts, 100], strict=True)
    }
    config = StrategyConfig(
        "USDT",
        draw(st.one_of(numbers("0.01", "5", 3), numbers("1", "100", 3))),
        draw(st.one_of(numbers("0.01", "2", 3), numbers("2", "50", 3))),
        draw(numbers("0.01", "200", 2)),
    )
    balances = {"USDT": Balance(draw(WORTH), draw(WORTH) + 1)}
    prices, rules = {}, {}
    for asset in assets:
        symbol, price = f"{asset}USDT", draw(PRICES)
        prices[symbol] = price
        in_base = Decimal(1).scaleb(-price.adjusted())  # about one quote unit, in base
        free, locked = ((draw(WORTH) / price).quantize(Decimal("1e-18"), context=WIDE) for _ in range(2))
        balances[asset] = Balance(free, locked if draw(st.booleans()) else Decimal(0))
        rules[symbol] = MarketRules(
            symbol,
            asset,
            "USDT",
            draw(GRIDS) / in_base,
            draw(GRIDS) * in_base,
            min_qty=draw(st.sampled_from([Decimal(0), in_base, 3 * in_base])),
            max_qty=draw(st.sampled_from([None, 40 * in_base, 9000 * in_base])),
            min_notional=draw(st.sampled_from([Decimal(0), Decimal(5), Decimal("123.45")])),
            quote_fee_pct=draw(st.sampled_from([Decimal(0), Decimal("0.1"), Decimal(2)])),
        )
    active = tuple(symbol for symbol in prices if draw(st.integers(0, 9)) == 7)
    return Case(balances, targets, prices, config, rules, active)


def test_the_cases_below_reach_what_they_check() -> None:
    seen: Counter[str] = Counter()

    @settings(every_case, max_examples=400)  # which they are depends on what else the process has loaded
    @given(cases())
    def look(case: Case) -> None:
        evaluation = case.evaluation()
        seen.update(action.side for action in evaluation.actions)
        seen["capped"] += sum(action.capped for action in evaluation.actions)
        seen["size suggested"] += sum(row.smallest_order_size_pct is not None for row in evaluation.rows)
        seen["triggers"] += sum(row.buy_trigger is not None for row in evaluation.rows)
        seen["several buys"] += [action.side for action in evaluation.actions].count("buy") > 1

    look()
    for reached in ("buy", "sell", "capped", "size suggested", "triggers", "several buys"):
        assert seen[reached] >= 4, (reached, seen)


@every_case
@given(cases())
def test_every_order_is_on_the_grid_and_within_the_market_minima_and_maxima(case: Case) -> None:
    for action in case.actions():
        rules = case.rules[action.symbol]
        with localcontext(WIDE):
            assert action.limit_price % rules.tick_size == 0
            assert action.base_qty % rules.lot_size == 0
            assert action.notional == action.limit_price * action.base_qty
        assert action.limit_price > 0
        assert action.base_qty >= max(rules.min_qty, rules.lot_size)
        assert rules.max_qty is None or action.base_qty <= rules.max_qty
        assert action.notional >= rules.min_notional


@every_case
@given(cases())
def test_an_order_is_never_nearer_to_the_market_than_the_step_and_at_most_one_tick_farther(case: Case) -> None:
    for action in case.actions():
        with localcontext(WIDE):
            step = case.config.order_step_pct / 100
            tick = case.rules[action.symbol].tick_size
            if action.side == "buy":
                wanted = action.market_price * (1 - step)
                assert wanted - tick < action.limit_price <= wanted
            else:
                wanted = action.market_price * (1 + step)
                assert wanted <= action.limit_price < wanted + tick


@every_case
@given(cases())
def test_buys_with_their_fees_fit_into_the_free_quote_and_each_sell_into_its_free_base(case: Case) -> None:
    with localcontext(WIDE):
        spent = Decimal(0)
        for action in case.actions():
            rules = case.rules[action.symbol]
            if action.side == "buy":
                spent += action.notional * (100 + rules.quote_fee_pct) / 100
            else:
                assert action.base_qty <= case.balances[rules.base].free
        assert spent <= case.balances["USDT"].free


@every_case
@given(cases())
def test_an_order_is_worth_the_fixed_amount_less_than_one_lot_unless_it_says_that_it_is_capped(case: Case) -> None:
    evaluation = case.evaluation()
    with localcontext(WIDE):
        assert evaluation.quote_amount == evaluation.nav * case.config.order_size_pct / 100
        for action in evaluation.actions:
            assert action.quote_amount == evaluation.quote_amount
            assert action.notional <= action.quote_amount
            lot = action.limit_price * case.rules[action.symbol].lot_size
            assert action.capped or action.quote_amount - action.notional < lot


@every_case
@given(cases(), numbers("0", "60", 2))
def test_the_size_of_the_delta_does_not_change_the_order(case: Case, share: Decimal) -> None:
    """The same account with another target: same side, same market, so the same order."""
    roomy = replace(case, active=(), balances={**case.balances, "USDT": Balance(Decimal(10**9))})
    asset = next(iter(case.targets))

    def order(target: Decimal) -> Action | None:
        return replace(roomy, targets={asset: target, "USDT": 100 - target}).row(asset).action

    near, far = order(share), order(share + 40)
    if near and far and near.side == far.side:
        assert near == far


@every_case
@given(cases())
def test_a_delta_equal_to_the_band_trades_and_a_larger_band_holds(case: Case) -> None:
    for row in case.evaluation().rows:
        if row.symbol is None or not row.delta_quote:
            continue
        with localcontext(WIDE):
            edge = abs(row.delta_quote)
            beyond = edge + Decimal("1e-25")
        assert replace(case, config=replace(case.config, min_delta_quote=edge)).row(row.asset).hold != "within_band"
        assert replace(case, config=replace(case.config, min_delta_quote=beyond)).row(row.asset).hold == "within_band"


@every_case
@given(cases())
def test_actions_come_by_deviation_from_large_to_small_then_by_symbol(case: Case) -> None:
    evaluation = case.evaluation()
    delta = {row.symbol: row.delta_quote for row in evaluation.rows}
    keys = [(-abs(delta[action.symbol]), action.symbol) for action in evaluation.actions]
    assert keys == sorted(keys)


@every_case
@given(cases())
def test_the_preview_and_the_actions_are_one_computation(case: Case) -> None:
    evaluation = case.evaluation()
    assert case.actions() == list(evaluation.actions)
    assert case.decision().wanted_orders() == evaluation.wanted_orders()
    assert {row.action for row in evaluation.rows} - {None} == set(evaluation.actions)
    for row in evaluation.rows:
        assert (row.action is None) == (row.hold is not None)
    with localcontext(WIDE):
        assert sum(row.value for row in evaluation.rows) == evaluation.nav
        assert sum(row.delta_quote for row in evaluation.rows) == 0


@every_case
@given(cases(), st.integers(1, 28))
def test_the_same_inputs_give_the_same_bytes_in_any_context_and_any_order_of_input(case: Case, precision: int) -> None:
    first = repr(case.evaluation())
    with localcontext(Context(prec=precision)):
        assert repr(case.evaluation()) == first
    backwards = Case(
        dict(reversed(case.balances.items())),
        dict(reversed(case.targets.items())),
        dict(reversed(case.prices.items())),
        case.config,
        dict(reversed(case.rules.items())),
        case.active,
    )
    assert repr(backwards.actions()) == repr(case.actions())


@every_case
@given(cases())
def test_inputs_and_the_ambient_decimal_context_stay_as_they_are(case: Case) -> None:
    before = deepcopy(case)
    with localcontext(Context(prec=5)) as ambient:
        flags, text = ambient.flags.copy(), repr(ambient)
        case.evaluation()
        case.actions()
        assert getcontext() is ambient
        assert ambient.flags == flags
        assert repr(ambient) == text
    assert case == before
    assert repr(case) == repr(before)


@every_case
@given(cases())
def test_at_its_trigger_price_a_trade_starts_and_just_before_it_does_not(case: Case) -> None:
    nearer = Decimal("1e-20")
    for row in case.evaluation().rows:
        if row.symbol is None:
            continue
        with localcontext(Context(prec=50)):
            if row.buy_trigger is not None:
                assert case.at(row.symbol, row.buy_trigger).row(row.asset).side == "buy"
                assert case.at(row.symbol, row.buy_trigger * (1 - nearer)).row(row.asset).side == "buy"
                assert case.at(row.symbol, row.buy_trigger * (1 + nearer)).row(row.asset).side != "buy"
            if row.sell_trigger is not None:
                assert case.at(row.symbol, row.sell_trigger).row(row.asset).side == "sell"
                assert case.at(row.symbol, row.sell_trigger * (1 + nearer)).row(row.asset).side == "sell"
                assert case.at(row.symbol, row.sell_trigger * (1 - nearer)).row(row.asset).side != "sell"


def test_where_there_is_no_trigger_price_no_price_starts_the_trade() -> None:
    rules = {"BTCUSDT": MarketRules("BTCUSDT", "BTC", "USDT", Decimal("0.01"), Decimal("0.00001"))}
    case = Case(
        {"BTC": Balance(Decimal(1)), "USDT": Balance(Decimal(10))},
        {"BTC": Decimal(50), "USDT": Decimal(50)},
        {"BTCUSDT": Decimal(1000)},
        StrategyConfig("USDT", Decimal(1), Decimal(1), Decimal(6)),
        rules,
    )
    assert case.row("BTC").buy_trigger is None  # all of it is worth 5 more at most
    for price in ("0.000000000000000001", "1", "9.99", "10", "1000"):
        assert case.at("BTCUSDT", Decimal(price)).row("BTC").side != "buy"


@every_case
@given(cases())
def test_the_size_suggested_for_a_too_small_order_passes_and_the_next_smaller_one_does_not(case: Case) -> None:
    rows = case.evaluation().rows
    for row in rows:
        if row.smallest_order_size_pct is None:
            continue
        assert row.hold == SkipReason.BELOW_MIN_NOTIONAL
        alone = replace(case, active=tuple(other.symbol for other in rows if other.symbol not in {None, row.symbol}))
        at = replace(alone, config=replace(case.config, order_size_pct=row.smallest_order_size_pct)).row(row.asset)
        below = row.smallest_order_size_pct - TINY_PCT
        assert at.action is not None
        if below > 0:
            lower = replace(alone, config=replace(case.config, order_size_pct=below)).row(row.asset)
            assert lower.hold in {SkipReason.BELOW_MIN_NOTIONAL, SkipReason.BELOW_MIN_QTY}


@every_case
@given(cases())
def test_the_size_suggested_where_an_asset_never_trades_silences_the_warning_and_no_smaller_one_does(
    case: Case,
) -> None:
    def never_trading(order_size_pct: Decimal) -> set[str]:
        resized = replace(case, config=replace(case.config, order_size_pct=order_size_pct))
        return {w.assets[0] for w in resized.evaluation().warnings if w.code == WarningCode.NEVER_TRADES}

    for warning in case.evaluation().warnings:
        if warning.smallest_order_size_pct is None:
            continue
        assert warning.assets[0] not in never_trading(warning.smallest_order_size_pct)
        assert warning.assets[0] in never_trading(warning.smallest_order_size_pct - TINY_PCT)
