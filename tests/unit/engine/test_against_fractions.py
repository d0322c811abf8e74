"""The decision rules a second time, in exact fractions, against the engine on random portfolios.

The reading here shares no line with the engine: no Decimal arithmetic, no grid division, no contexts. It is written
to be obviously right and may be slow.
"""

from collections import Counter
from dataclasses import dataclass, replace
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_HALF_EVEN,
    ROUND_UP,
    Clamped,
    Context,
    Decimal,
    DecimalException,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Rounded,
    Subnormal,
    localcontext,
)
from fractions import Fraction
from math import ceil, floor
from random import Random

import pytest
from botbalance.engine import (
    Balance,
    MarketRules,
    Side,
    SkipReason,
    StrategyConfig,
    WarningCode,
    compute_rebalance_actions,
    evaluate,
)

from tests.thorough import examples

PORTFOLIOS = examples(750, 1_500)
BATCHES = examples(3, 6)


@dataclass(frozen=True)
class Portfolio:
    balances: dict[str, Balance]
    targets: dict[str, Decimal]
    prices: dict[str, Decimal]
    config: StrategyConfig
    rules: dict[str, MarketRules]
    active: frozenset[str]
    paused: frozenset[str] = frozenset()


# ---------------------------------------------------------------------------------- the reading in fractions


@dataclass
class Order:
    symbol: str
    side: Side
    limit: Fraction
    qty: Fraction
    amount: Fraction
    market: Fraction
    capped: bool


@dataclass
class Row:
    held: Fraction
    value: Fraction
    weight: Fraction
    delta: Fraction
    side: Side | None
    limit: Fraction | None
    order: Order | None
    hold: str | None
    smallest_pct: Fraction | None
    buy_trigger: Fraction | None
    sell_trigger: Fraction | None


@dataclass
class Reading:
    nav: Fraction
    amount: Fraction
    drift: Fraction
    rows: dict[str, Row]
    orders: list[Order]
    band: Fraction
    oscillation: str | None
    from_nav: Fraction
    never_bought: set[str]
    never_trades: dict[str, Fraction | None]
    unmanaged: set[str]


def on_grid(rules: MarketRules, side: Side, market: Fraction, step: Fraction) -> Fraction | None:
    """Step 5: the limit price, or None outside of the market's limits."""
    tick = Fraction(rules.tick_size)
    if side == "buy":
        limit = floor(market * (1 - step) / tick) * tick
        lowest, highest = rules.bid_multiplier_down, rules.bid_multiplier_up
    else:
        limit = ceil(market * (1 + step) / tick) * tick
        lowest, highest = rules.ask_multiplier_down, rules.ask_multiplier_up
    allowed = (
        limit > 0
        and limit >= Fraction(rules.min_price)
        and (rules.max_price is None or limit <= Fraction(rules.max_price))
        and (lowest is None or limit >= Fraction(lowest) * market)
        and (highest is None or limit <= Fraction(highest) * market)
    )
    return limit if allowed else None


def count_lots(rules: MarketRules, side: Side, limit: Fraction, amount: Fraction, free: Fraction) -> tuple[int, bool]:
    """Steps 6 and 7: how many lots, and whether anything but the rounding made it fewer than the amount."""
    fee = 1 + Fraction(rules.quote_fee_pct) / 100
    affordable = free / fee if side == "buy" else free * limit
    capped = affordable < amount
    lots = floor(min(amount, affordable) / limit / Fraction(rules.lot_size))
    for most in (
        None if rules.max_qty is None else Fraction(rules.max_qty),
        None if rules.max_notional is None else Fraction(rules.max_notional) / limit,
    ):
        if most is not None and lots * Fraction(rules.lot_size) > most:
            lots, capped = floor(most / Fraction(rules.lot_size)), True
    return lots, capped


def refusal(rules: MarketRules, limit: Fraction, lots: int) -> str | None:
    """The end of step 7, and step 8."""
    qty = lots * Fraction(rules.lot_size)
    if lots == 0 or qty < Fraction(rules.min_qty):
        return "below_min_qty"
    if limit * qty < Fraction(rules.min_notional):
        return "below_min_notional"
    return None


def smallest_amount(rules: MarketRules, limit: Fraction) -> Fraction:
    lot = Fraction(rules.lot_size)
    lots = max(1, ceil(Fraction(rules.min_qty) / lot), ceil(Fraction(rules.min_notional) / limit / lot))
    return lots * lot * limit


def size_for(amount: Fraction, nav: Fraction, present: Fraction) -> Fraction | None:
    """The order size in percent, to 1e-8, that is worth ``amount``, where it is larger than at present."""
    pct = Fraction(ceil(amount / nav * 10**10), 10**8)
    return pct if amount > present and pct <= 100 else None


def triggers(
    rest: Fraction, held: Fraction, w: Fraction, least: Fraction, share: Fraction | None
) -> tuple[Fraction | None, Fraction | None]:
    """The largest price at which a buy, and the smallest at which a sell fulfils every bound of the band."""
    buys = [(w * rest - least) / (held * (1 - w))]
    sells = [(w * rest + least) / (held * (1 - w))]
    if share is not None:
        buys.append((w - share) * rest / (held * (1 - w + share)) if w > share else Fraction(0))
        if 1 - w - share <= 0:
            return (min(buys) if min(buys) > 0 else None), None
        sells.append((w + share) * rest / (held * (1 - w - share)))
    return (min(buys) if min(buys) > 0 else None), max(sells)


def read(p: Portfolio) -> Reading:
    quote = p.config.quote_asset
    step, size = Fraction(p.config.order_step_pct) / 100, Fraction(p.config.order_size_pct) / 100
    assets = sorted(set(p.targets) | {quote})
    target = {asset: Fraction(p.targets.get(asset, Decimal(0))) / 100 for asset in assets}
    free = {asset: Fraction(p.balances[asset].free) if asset in p.balances else Fraction(0) for asset in assets}
    held = {asset: free[asset] + (Fraction(p.balances[asset].locked) if asset in p.balances else 0) for asset in assets}
    price = {asset: Fraction(p.prices.get(asset + quote, Decimal(0))) for asset in assets} | {quote: Fraction(1)}
    nav = sum((held[asset] * price[asset] for asset in assets), Fraction(0))
    amount = nav * size
    least = Fraction(p.config.min_delta_quote)
    share = None if p.config.min_delta_pct is None else Fraction(p.config.min_delta_pct) / 100
    band = least if share is None or nav * share < least else nav * share
    delta = {asset: nav * target[asset] - held[asset] * price[asset] for asset in assets}

    rows: dict[str, Row] = {}
    orders: list[Order] = []
    never_trades: dict[str, Fraction | None] = {}
    reserve = Fraction(p.config.quote_reserve_pct) / 100
    spendable = max(free[quote] - nav * reserve, Fraction(0))
    for asset in sorted(assets, key=lambda asset: (-abs(delta[asset]), asset + quote)):
        row = Row(held[asset], held[asset] * price[asset], held[asset] * price[asset] / nav, delta[asset], *[None] * 7)
        rows[asset] = row
        if asset == quote:
            row.hold = "quote_asset"
            continue
        rules = p.rules[asset + quote]
        rest, w = nav - row.value, target[asset]
        if held[asset] > 0 and 0 < w < 1:
            row.buy_trigger, row.sell_trigger = triggers(rest, held[asset], w, least, share)
        if price[asset] > 0 and (held[asset] or w):
            limits = [on_grid(rules, "buy", price[asset], step), on_grid(rules, "sell", price[asset], step)]
            amounts = [smallest_amount(rules, limit) for limit in limits if limit is not None]
            if amounts and max(amounts) > amount:
                never_trades[asset] = size_for(max(amounts), nav, amount)
        if abs(delta[asset]) < band:
            row.hold = "within_band"
            continue
        row.side = "buy" if delta[asset] > 0 else "sell"
        row.limit = on_grid(rules, row.side, price[asset], step)
        available = spendable if row.side == "buy" else free[asset]
        if asset + quote in p.paused:
            row.hold = "paused"
        elif asset + quote in p.active:
            row.hold = "active_order"
        elif not rules.trading:
            row.hold = "market_closed"
        elif row.limit is None:
            row.hold = "outside_price_limits"
        elif available == 0:
            row.hold = "no_free_balance"
        else:
            lots, capped = count_lots(rules, row.side, row.limit, amount, available)
            row.hold = refusal(rules, row.limit, lots)
            fee = 1 + Fraction(rules.quote_fee_pct) / 100
            if row.hold is not None and row.side == "buy" and reserve > 0 and available < amount * fee:
                row.hold = "no_free_balance"
            elif row.hold is None:
                qty = lots * Fraction(rules.lot_size)
                row.order = Order(asset + quote, row.side, row.limit, qty, amount, price[asset], capped)
                orders.append(row.order)
                if row.side == "buy":
                    spendable -= qty * row.limit * (1 + Fraction(rules.quote_fee_pct) / 100)
            elif row.hold == "below_min_notional":
                smallest = smallest_amount(rules, row.limit)
                enough = count_lots(rules, row.side, row.limit, smallest, available)[0]
                if refusal(rules, row.limit, enough) is None:
                    row.smallest_pct = size_for(smallest, nav, amount)
    foretold = "oscillation" if amount > band else "oscillation_ahead"
    return Reading(
        nav=nav,
        amount=amount,
        drift=sum((abs(d) for d in delta.values()), Fraction(0)) / nav / 2,
        rows=rows,
        orders=orders,
        band=band,
        oscillation=foretold if share is None or share < size else None,
        from_nav=least / size,
        never_bought={a for a in assets if a != quote and 0 < nav * target[a] < band},
        never_trades=never_trades,
        unmanaged={asset for asset, b in p.balances.items() if asset not in assets and (b.free or b.locked)},
    )


# ---------------------------------------------------------------------------------- random portfolios

GENERATING = Context(prec=30)


def digits(random: Random, count: int, exponent: int) -> Decimal:
    """A number of ``count`` random significant digits, whose first is worth ten to ``exponent``."""
    number = random.randrange(10 ** (count - 1), 10**count)
    return Decimal(number).scaleb(exponent - count + 1, GENERATING)


def about(random: Random, amount: Decimal, *factors: str) -> Decimal:
    return GENERATING.create_decimal(GENERATING.multiply(amount, Decimal(random.choice(factors))))


def draw_targets(random: Random, assets: list[str]) -> dict[str, Decimal]:
    """Percentages that sum to 100 exactly, some of them zero, some with many digits."""
    places = random.choice([0, 0, 1, 2, 8, 15])
    whole = 100 * 10**places
    cuts = sorted(random.randrange(whole + 1) for _ in assets[1:])
    parts = [high - low for low, high in zip([0, *cuts], [*cuts, whole], strict=True)]
    return {asset: Decimal(part).scaleb(-places) for asset, part in zip(assets, parts, strict=True)}


def portfolio(seed: int) -> Portfolio:
    random = Random(seed)
    quote = random.choice(["USDT", "USDC", "BTC", "EUR"])
    names = ["ADA", "ALGO", "AVAX", "DOGE", "DOT", "ETH", "LINK", "LTC", "PEPE", "SHIB", "SOL", "TRX", "XRP"]
    bases = random.sample(names, random.randint(1 if random.random() < 0.1 else 2, 12))
    targets = draw_targets(random, [*bases, quote] if random.random() < 0.7 else bases)
    nav = digits(random, random.randint(2, 17), random.randint(1, 8))
    config = StrategyConfig(
        quote,
        digits(random, random.randint(1, 6), random.choice([-2, -1, 0, 0, 0, 1])),
        digits(random, random.randint(1, 6), random.choice([-2, -1, 0, 0, 1])).min(Decimal(50)),
        about(random, nav, "1e-9", "0.0003", "0.001", "0.01", "0.05"),
    )
    amount = GENERATING.multiply(nav, config.order_size_pct).scaleb(-2)
    balances: dict[str, Balance] = {}
    prices: dict[str, Decimal] = {}
    rules: dict[str, MarketRules] = {}
    for base in bases:
        symbol = base + quote
        price = digits(random, random.randint(1, 12), random.randint(-8, 9))
        wanted = GENERATING.divide(GENERATING.multiply(nav, targets[base]).scaleb(-2), price)
        held = about(random, wanted, "0", "0.5", "0.97", "0.999", "1", "1", "1.001", "1.02", "1.7", "2.5")
        if not targets[base] and random.random() < 0.5:
            held = GENERATING.divide(about(random, nav, "0.01", "0.2"), price)
        held = held.quantize(Decimal(1).scaleb(-random.choice([2, 8, 18])), context=Context(prec=60))
        balances[base] = split(random, held)
        if random.random() < 0.1 and not held:
            del balances[base]
        if held or targets[base] or random.random() < 0.5:
            prices[symbol] = price
        rules[symbol] = market(random, base, quote, price, amount)
    if random.random() < 0.92:
        spare = about(random, nav, "0", "1e-8", "0.005", "0.01", "0.1", "0.3", "1")
        if random.random() < 0.3:
            spare = about(random, amount, "0.9", "1", "1.0005", "1.001", "1.01", "2.005")
        balances[quote] = split(random, GENERATING.add(spare, digits(random, 30, -3)))
    for other in random.sample(["LUNA", "LDBNB", "NFT"], random.randint(0, 2)):
        balances[other] = Balance(random.choice([Decimal(0), Decimal("17.5")]), random.choice([Decimal(0), Decimal(3)]))
    active = frozenset(symbol for symbol in rules if random.random() < 0.08) | {"LUNAUSDT"}
    found = Portfolio(balances, targets, prices, config, rules, active)
    if not any(balances[base].free or balances[base].locked for base in [*bases, quote] if base in balances):
        balances[quote] = Balance(nav)
    if random.random() < 0.3:
        found = with_band_on_an_edge(random, found)
    return replace(found, paused=frozenset(symbol for symbol in rules if random.random() < 0.05))


def split(random: Random, held: Decimal) -> Balance:
    """``held``, all free, partly locked, or all locked."""
    locked = random.choice(["0", "0", "0", "0.25", "0.999", "1"])
    if locked == "1":
        return Balance(Decimal(0), held)
    part = GENERATING.multiply(held, Decimal(locked)).quantize(Decimal("1e-18"), context=Context(prec=60))
    return Balance(Context(prec=60).subtract(held, part), part)


def market(random: Random, base: str, quote: str, price: Decimal, amount: Decimal) -> MarketRules:
    tick = random.choice(
        [Decimal("0.05"), Decimal("0.25")] if price > 1 and random.random() < 0.5 else [Decimal(1).scaleb(-9)]
    )
    if random.random() < 0.7:
        tick = Decimal(1).scaleb(price.adjusted() - random.choice([-1, 0, 1, 2, 3, 4, 5, 6]))
    qty = GENERATING.divide(amount, price)
    lot = Decimal(1).scaleb(qty.adjusted() - random.choice([-1, 0, 1, 2, 3, 5, 7]))
    if random.random() < 0.3:
        lot = random.choice([Decimal(1000), Decimal("1e-18"), Decimal("0.05"), Decimal("0.25")])

    def perhaps(often: float, number: Decimal, *factors: str) -> Decimal | None:
        return about(random, number, *factors) if random.random() < often else None

    return MarketRules(
        base + quote,
        base,
        quote,
        tick,
        lot,
        min_qty=perhaps(0.6, qty, "0.01", "0.5", "0.99", "1", "1.01") or Decimal(0),
        max_qty=perhaps(0.4, qty, "0.3", "0.98", "1.5", "1000"),
        min_price=perhaps(0.2, price, "0.1", "0.99", "1.01") or Decimal(0),
        max_price=perhaps(0.2, price, "0.99", "1.01", "10"),
        min_notional=perhaps(0.6, amount, "0.1", "0.9", "0.99", "1", "1.05", "8") or Decimal(0),
        trading=random.random() > 0.05,
        max_notional=perhaps(0.1, amount, "0.5", "0.99", "100"),
        bid_multiplier_down=perhaps(0.2, Decimal(1), "0.2", "0.99"),
        bid_multiplier_up=perhaps(0.2, Decimal(1), "0.95", "5"),
        ask_multiplier_down=perhaps(0.2, Decimal(1), "0.2", "1.05"),
        ask_multiplier_up=perhaps(0.2, Decimal(1), "1.01", "5"),
        quote_fee_pct=perhaps(0.3, Decimal(1), "0.1", "0.075", "1.25") or Decimal(0),
    )


def with_band_on_an_edge(random: Random, p: Portfolio) -> Portfolio:
    """The same portfolio with a band that one of its deltas meets exactly."""
    reading = read(p)
    deltas = [abs(row.delta) for row in reading.rows.values() if row.delta and row.hold != "quote_asset"]
    if not deltas:
        return p
    delta = random.choice(deltas)
    power = next(power for power in range(200) if (delta * 10**power).denominator == 1)
    band = Decimal((0, tuple(map(int, str((delta * 10**power).numerator))), -power))
    config = StrategyConfig(p.config.quote_asset, p.config.order_size_pct, p.config.order_step_pct, band)
    return Portfolio(p.balances, p.targets, p.prices, config, p.rules, p.active)


def odd_context(random: Random) -> Context:
    """A context that would ruin the result of any arithmetic done in it."""
    traps: list[list[type[DecimalException]]] = [
        [],
        [InvalidOperation],
        [Inexact, Rounded, Subnormal, Clamped, FloatOperation],
    ]
    return Context(
        prec=random.choice([3, 9, 28]),
        rounding=random.choice([ROUND_HALF_EVEN, ROUND_DOWN, ROUND_UP, ROUND_CEILING]),
        traps=random.choice(traps),
    )


# ---------------------------------------------------------------------------------- the comparison


def exactly(found: Decimal | None, wanted: Fraction | None) -> bool:
    if found is None or wanted is None:
        return found is None and wanted is None
    return Fraction(found) == wanted


def to_28_digits(found: Decimal | None, wanted: Fraction | None, toward: int = 0) -> bool:
    """Whether ``found`` is ``wanted`` rounded to 28 digits: to the nearest, or down (-1) or up (1)."""
    if found is None or wanted is None:
        return found is None and wanted is None
    off = Fraction(found) - wanted
    ulp = Fraction(10) ** (found.adjusted() - 27)
    return abs(off) <= ulp / 2 if toward == 0 else 0 <= off * toward < ulp


@pytest.mark.parametrize("shares", [False, True], ids=["without a share", "with a share"])
@pytest.mark.parametrize("batch", range(BATCHES))
def test_the_engine_decides_as_the_rules_read_in_fractions(batch: int, shares: bool) -> None:
    seen: Counter[str] = Counter()
    for seed in range(batch, PORTFOLIOS, BATCHES):
        compare(seed, seen, shares=shares)
    assert (seen["band of a share"] > 50) is shares
    for reason in SkipReason:
        assert seen[reason] > 10, (reason, seen)
    for wanted in ("buy", "sell", "capped buy", "capped sell", "edge", "later buy", "pct", "bound by both prices"):
        assert seen[wanted] >= 3, (wanted, seen)
    for code in WarningCode:
        assert seen[code] >= 5, (code, seen)


def with_shares(seed: int) -> Portfolio:
    """The portfolio of ``seed`` with a band in percent of NAV, near the amount or the size, and perhaps a reserve."""
    random, p = Random(seed + 10**6), portfolio(seed)
    quote = p.config.quote_asset
    prices = {asset: p.prices.get(asset + quote, Decimal(0)) for asset in p.targets} | {quote: Decimal(1)}
    nav = sum(
        Fraction(p.balances[a].free + p.balances[a].locked) * Fraction(prices[a]) for a in prices if a in p.balances
    )
    amount_pct = GENERATING.create_decimal(f"{float(Fraction(p.config.min_delta_quote) * 100 / nav):.6g}")
    pct = about(random, random.choice([amount_pct, amount_pct, p.config.order_size_pct]), "0.5", "1", "2", "10")
    reserve = about(random, p.targets.get(quote, Decimal(0)), "0", "0.3", "1")
    config = replace(p.config, min_delta_pct=min(pct, Decimal(100)), quote_reserve_pct=reserve)
    return replace(p, config=config)


def compare(seed: int, seen: Counter[str], *, shares: bool = False) -> None:
    p = with_shares(seed) if shares else portfolio(seed)
    context = odd_context(Random(-seed))
    with localcontext(context) as ambient:
        before = repr(ambient)
        actions = compute_rebalance_actions(
            p.balances,
            p.targets,
            p.prices,
            p.config,
            market_rules=p.rules,
            active_symbols=p.active,
            paused_symbols=p.paused,
        )
        found = evaluate(
            p.balances,
            p.targets,
            p.prices,
            p.config,
            market_rules=p.rules,
            active_symbols=p.active,
            paused_symbols=p.paused,
        )
        assert repr(ambient) == before, seed
    wanted = read(p)

    assert tuple(actions) == found.actions, seed
    assert [(a.symbol, a.side, a.capped) for a in actions] == [(o.symbol, o.side, o.capped) for o in wanted.orders], (
        seed
    )
    for action, order in zip(actions, wanted.orders, strict=True):
        assert exactly(action.limit_price, order.limit), seed
        assert exactly(action.base_qty, order.qty), seed
        assert exactly(action.quote_amount, order.amount), seed
        assert exactly(action.market_price, order.market), seed
        assert exactly(action.notional, order.limit * order.qty), seed
        seen[order.side] += 1
        seen[f"capped {order.side}"] += order.capped
    seen["later buy"] += [o.side for o in wanted.orders].count("buy") > 1

    assert exactly(found.nav, wanted.nav), seed
    assert exactly(found.quote_amount, wanted.amount), seed
    assert to_28_digits(found.drift_pct, wanted.drift * 100), seed
    assert [row.asset for row in found.rows] == [
        *(asset for asset in p.targets if asset != p.config.quote_asset),
        p.config.quote_asset,
    ]
    for row in found.rows:
        right = wanted.rows[row.asset]
        assert row.hold == right.hold, (seed, row, right)
        assert row.side == right.side, (seed, row, right)
        assert (row.action.symbol if row.action else None) == (right.order.symbol if right.order else None), seed
        for ours, theirs in (
            (row.held, right.held),
            (row.value, right.value),
            (row.delta_quote, right.delta),
            (row.limit_price, right.limit),
            (row.smallest_order_size_pct, right.smallest_pct),
        ):
            assert exactly(ours, theirs), (seed, row, right)
        assert to_28_digits(row.weight_pct, right.weight * 100), (seed, row, right)
        assert to_28_digits(row.buy_trigger, right.buy_trigger, -1), (seed, row, right)
        assert to_28_digits(row.sell_trigger, right.sell_trigger, 1), (seed, row, right)
        if right.hold:
            seen[right.hold] += 1
        seen["edge"] += abs(right.delta) == wanted.band
        seen["pct"] += right.smallest_pct is not None

    codes = [warning.code for warning in found.warnings]
    seen.update(codes)
    assert exactly(found.band_quote, wanted.band), seed
    assert to_28_digits(found.band_pct, wanted.band * 100 / wanted.nav), seed
    seen["band of a share"] += wanted.band > Fraction(p.config.min_delta_quote)
    oscillating = [w for w in found.warnings if w.code in {WarningCode.OSCILLATION, WarningCode.OSCILLATION_AHEAD}]
    assert [w.code for w in oscillating] == ([wanted.oscillation] if wanted.oscillation else []), seed
    for warning in oscillating:
        assert to_28_digits(warning.from_nav, wanted.from_nav), seed
        assert warning.min_delta_pct == p.config.order_size_pct, seed
    bought = {asset for w in found.warnings if w.code == WarningCode.NEVER_BOUGHT for asset in w.assets}
    assert bought == wanted.never_bought, seed
    assert set(found.unmanaged) == wanted.unmanaged, seed
    assert {a for w in found.warnings if w.code == WarningCode.UNMANAGED for a in w.assets} == wanted.unmanaged, seed
    never = [w for w in found.warnings if w.code == WarningCode.NEVER_TRADES]
    assert [w.assets for w in never] == [(asset,) for asset in p.targets if asset in wanted.never_trades], seed
    for warning in never:
        assert exactly(warning.smallest_order_size_pct, wanted.never_trades[warning.assets[0]]), (seed, warning)
        seen["bound by both prices"] += wanted.never_trades[warning.assets[0]] is not None
