"""What paper accounts' ticks use, counted exactly: no key service, no request weight of their own."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import count

import pytest
from botbalance.trading.paper import open_paper

from tests.integration.trading.counted import HELD, PRICES, counted_strategy, usage_meter
from tests.integration.trading.harness import Process, new_harness
from tests.integration.trading.no_trade_harness import MinuteByMinute, NoTradeHarness
from workbench.simulated_exchange.market import Market

D = Decimal
USERS = 10
_POPULATIONS = count()


class CountedPaper:
    """Users with ten assets each on paper, and what their ticks use."""

    def __init__(self, minutes: NoTradeHarness, environment: Mapping[str, str]) -> None:
        self._minutes = minutes
        harness = minutes.harness
        self.users = [f"on-paper-{next(_POPULATIONS):06}" for _ in range(1 + USERS)]
        for user in self.users:
            open_paper(harness.context, user, "binance-paper", HELD)
            harness.services.strategies.save(counted_strategy(user, "binance-paper"))
        self._meter = usage_meter(harness, environment)

    def message(self, users: list[str], **settings: str) -> dict[str, Decimal]:
        """What the ticks of a message use, worked on by a process that has just started."""
        harness = self._minutes.harness
        process = Process(
            {**harness.environment, **settings}, harness.injector, clock=lambda: harness.now, sleep=harness.slept.append
        )
        self._meter.watch(process.dynamodb)
        self._meter.watch(process.kms)
        self._meter.reset()
        weight = harness.exchange.weight_used.total()
        harness.services, ours = process, harness.services
        try:
            assert harness.work(harness.message(*users)) == []
        finally:
            harness.services = ours
            process.close()
        kms = sum(n for name, n in self._meter.used.items() if name.startswith("kms."))
        return {
            "reads": self._meter.read_units,
            "writes": D(self._meter.write_units),
            "kms": D(kms),
            "weight": D(harness.exchange.weight_used.total() - weight),
        }

    def of_one_more(self, **settings: str) -> dict[str, Decimal]:
        """What a user's tick uses beside what all who trade there share, in the same tick."""
        self._minutes.go_on(60)
        self.message(self.users[:1], **settings)  # has prices and minutes in the cache
        more = self.message(self.users[1:], **settings)
        return {name: used / USERS for name, used in more.items()}


@pytest.fixture
def counted(environment: Mapping[str, str]) -> Iterator[CountedPaper]:
    source = MinuteByMinute()
    market = Market.with_default_filters({f"{asset}USDT": D(price) for asset, price in PRICES.items()}, source)
    with new_harness(environment, "nobody", market=market, PORTFOLIO_MAX_AGE="3600", WORK_THREADS="1") as harness:
        yield CountedPaper(NoTradeHarness(harness, source), harness.environment)


COUNTS = {
    "LOOK": {"reads": D("5.1"), "writes": D(5), "kms": D(0), "weight": D(0)},
    "QUIET": {"reads": D("1.1"), "writes": D(0), "kms": D(0), "weight": D(0)},
    "PLACED": {"reads": D("7.15"), "writes": D(31), "kms": D(0), "weight": D(0)},
}
"""Of one user: a whole look, the first of the hour, that finds nothing to do; a quiet tick; and one order placed."""


def test_what_a_paper_account_s_ticks_use(counted: CountedPaper) -> None:
    look = counted.of_one_more(PORTFOLIO_MAX_AGE="0")
    counted.of_one_more()
    quiet = counted.of_one_more()
    counted._minutes.move(BTC="39000")
    placed = counted.of_one_more()
    assert {"LOOK": look, "QUIET": quiet, "PLACED": placed} == COUNTS
    assert not [request for request in counted._minutes.harness.requests if request.api_key]
