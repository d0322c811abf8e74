"""How long one decision takes, with the digits of a real account.

    .venv/bin/python -m benchmarks.engine

A busy decision places ten orders; a quiet one finds all ten assets within the band, as nearly every tick
does.
Each figure is the best of several runs on one core: what the code costs, without what else the machine did.
"""

from collections.abc import Callable
from decimal import Decimal
from time import perf_counter_ns

from botbalance.engine import Balance, MarketRules, StrategyConfig, compute_rebalance_actions, evaluate

PER_RUN = 50
RUNS = 400

# asset, price, tick, lot, minimum notional, target percent
MARKETS = (
    ("BTC", "67215.43", "0.01", "0.00001", "5", "30"),
    ("ETH", "3127.58", "0.01", "0.0001", "5", "20"),
    ("SOL", "171.23", "0.01", "0.001", "5", "10"),
    ("BNB", "598.41", "0.01", "0.001", "5", "7.5"),
    ("XRP", "0.5273", "0.0001", "0.1", "5", "7.5"),
    ("ADA", "0.4519", "0.0001", "0.1", "5", "5"),
    ("LINK", "14.287", "0.001", "0.01", "5", "5"),
    ("AVAX", "36.91", "0.01", "0.01", "5", "5"),
    ("DOT", "7.164", "0.001", "0.01", "5", "2.5"),
    ("DOGE", "0.15837", "0.00001", "1", "1", "2.5"),
)
NAV = Decimal("48231.57")
TARGETS = {asset: Decimal(target) for asset, *_, target in MARKETS} | {"USDT": Decimal(5)}
PRICES = {f"{asset}USDT": Decimal(price) for asset, price, *_ in MARKETS}
RULES = {
    f"{asset}USDT": MarketRules(
        f"{asset}USDT",
        asset,
        "USDT",
        tick_size=Decimal(tick),
        lot_size=Decimal(lot),
        min_qty=Decimal(lot),
        max_qty=Decimal(9_000_000),
        min_notional=Decimal(minimum),
    )
    for asset, _, tick, lot, minimum, _ in MARKETS
}
CONFIG = StrategyConfig("USDT", Decimal("0.4"), Decimal("0.35"), Decimal("100"))


def balances(off_target: str) -> dict[str, Balance]:
    """An account whose assets are alternately over and under their targets by ``off_target`` percent."""
    held = {"USDT": Balance(NAV * Decimal("0.05"))}
    for number, (asset, price, *_, target) in enumerate(MARKETS):
        off = Decimal(off_target) if number % 2 else -Decimal(off_target)
        wanted = NAV * Decimal(target) / 100 / Decimal(price)
        held[asset] = Balance((wanted * (1 + off / 100)).quantize(Decimal("1e-8")))
    return held


def microseconds(decide: Callable[[], object]) -> float:
    """The best run's time per call, in µs."""
    best = None
    for _ in range(RUNS):
        started = perf_counter_ns()
        for _ in range(PER_RUN):
            decide()
        took = perf_counter_ns() - started
        best = took if best is None else min(best, took)
    assert best is not None
    return best / PER_RUN / 1_000


def main() -> None:
    """Measure and print."""
    print("10 assets                      µs per decision   decisions per second and core")
    cases = (("busy, 10 orders", balances("12"), 10), ("quiet, no order", balances("0.2"), 0))
    for name, account, orders in cases:

        def actions(account: dict[str, Balance] = account) -> list[object]:
            return [*compute_rebalance_actions(account, TARGETS, PRICES, CONFIG, market_rules=RULES)]

        def whole(account: dict[str, Balance] = account) -> object:
            return evaluate(account, TARGETS, PRICES, CONFIG, market_rules=RULES)

        assert len(actions()) == orders
        for what, decide in (("actions", actions), ("evaluate", whole)):
            time = microseconds(decide)
            print(f"{name:<17} {what:<11} {time:>16.2f} {1_000_000 / time:>31,.0f}")


if __name__ == "__main__":
    main()
