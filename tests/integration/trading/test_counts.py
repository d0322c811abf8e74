"""What ticks ask of AWS and of the exchange, counted exactly: whoever makes them dearer has to say so here."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from decimal import Decimal
from itertools import batched, count, islice

import pytest
from botbalance.log import logger
from botbalance.models.exchange_key import ExchangeKey
from botbalance.store.dynamodb import shard_name

from tests.integration.trading.counted import HELD, PRICES, counted_strategy, usage_meter
from tests.integration.trading.harness import Process, new_harness
from tests.integration.trading.no_trade_harness import MinuteByMinute, NoTradeHarness
from tests.thorough import thorough_only
from workbench.aws.cost import COUNTS, Counts
from workbench.simulated_exchange.market import Market

D = Decimal
QUIET = 198
"""In one message, whose ticks are quiet."""
LOOKED_AT = 40
"""In one message that looks at accounts: a minute's weight is enough for 48."""
_POPULATIONS = count()
_LOGGER = logging.getLogger(logger.name)


def _neighbours(number: int) -> list[str]:
    """Users of one shard, as dispatch hands them to a worker where there are many."""
    shard = shard_name(f"counted-{next(_POPULATIONS)}")
    names = (f"counted-{next(_POPULATIONS):09}" for _ in count())
    return list(islice((name for name in names if shard_name(name) == shard), number))


class _LogBytes(logging.Handler):
    """Counts what is written, as it is written; where in the source it is written from counts three digits."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0
        self.setFormatter(logger.registered_formatter)

    def emit(self, record: logging.LogRecord) -> None:
        line = copy(record)
        line.lineno = 100
        self.written += len(self.format(line).encode()) + 1


class Counted:
    """Users with ten assets each, and everything that their ticks use."""

    def __init__(self, no_trade_harness: NoTradeHarness, environment: Mapping[str, str]) -> None:
        self._minutes = no_trade_harness
        harness = no_trade_harness.harness
        self._users = _neighbours(2 + QUIET)
        for user in self._users:
            harness.books.open_account(f"key-of-{user}", f"secret-of-{user}", HELD)
            harness.services.credentials.save(user, "binance", ExchangeKey(f"key-of-{user}", f"secret-of-{user}"), 1)
            harness.services.strategies.save(counted_strategy(user, "binance"))
        self._meter = usage_meter(harness, environment)
        self._log = _LogBytes()
        self.key_requests: list[int] = []
        """Of each message, to the key service."""

    def move(self, **prices: str) -> None:
        self._minutes.move(**prices)

    def go_on_to_the_next_hour(self) -> None:
        """Until the next look is the first one of its hour."""
        self._minutes.go_on(3_600 - self._minutes.harness.now % 3_600)

    def look_at_everybody(self) -> None:
        """So that the ticks that follow are quiet."""
        for users in batched(self._users, LOOKED_AT, strict=False):
            self._minutes.go_on(60)
            self._message(users, {})

    def tick(
        self, *groups: Sequence[int], before: Callable[[], None] = lambda: None, settings: Mapping[str, str]
    ) -> list[Counts]:
        """Go on to the next minute; what a message takes of each of ``groups``, the places of its users.

        Each message is worked on by a process that has just started; the first of them asks for everybody's prices.
        """
        self._minutes.go_on(60)  # the exchange allows so much a minute
        before()
        return [self._message([self._users[place] for place in group], settings) for group in groups]

    def _message(self, users: Sequence[str], settings: Mapping[str, str]) -> Counts:
        harness = self._minutes.harness
        process = Process(
            {**harness.environment, **settings}, harness.injector, clock=lambda: harness.now, sleep=harness.slept.append
        )
        self._meter.watch(process.dynamodb)
        self._meter.watch(process.kms)
        self._meter.reset()
        self._log.written = 0
        weight = harness.exchange.weight_used.total()
        harness.services, ours = process, harness.services
        _LOGGER.addHandler(self._log)
        try:
            assert harness.work(harness.message(*users)) == []
        finally:
            _LOGGER.removeHandler(self._log)
            harness.services = ours
            process.close()
        kms = sum(n for name, n in self._meter.used.items() if name.startswith("kms."))
        self.key_requests.append(kms)
        return Counts(
            read_units=self._meter.read_units,
            write_units=D(self._meter.write_units),
            requests=D(self._meter.used.total() - kms),
            weight=D(harness.exchange.weight_used.total() - weight),
            log_bytes=D(self._log.written),
        )


@pytest.fixture
def counted(environment: Mapping[str, str], caplog: pytest.LogCaptureFixture) -> Iterator[Counted]:
    caplog.set_level(logging.INFO, logger=logger.name)
    minutes = MinuteByMinute()
    market = Market.with_default_filters({f"{asset}USDT": D(price) for asset, price in PRICES.items()}, minutes)
    with new_harness(environment, "nobody", market=market, PORTFOLIO_MAX_AGE="3600", WORK_THREADS="1") as harness:
        yield Counted(NoTradeHarness(harness, minutes), harness.environment)


def test_what_a_thousand_ticks_take(counted: Counted) -> None:
    every, changes = {"DECISION_LOG": "every"}, {"DECISION_LOG": "changes"}
    look = {"PORTFOLIO_MAX_AGE": "0"}
    counted.look_at_everybody()
    first, alone, many = counted.tick([0], [1], range(2, 2 + QUIET), settings=every)
    quiet = many.less(alone).times(D(1) / (QUIET - 1))
    message = alone.less(quiet)
    assert counted.tick([0], [1], range(2, 2 + QUIET), settings=changes) == [first, alone, many]

    def of_one(counts: Sequence[Counts]) -> Counts:
        return counts[-1].less(message).times(D(1) / LOOKED_AT)

    looked = of_one(counted.tick([0], range(1, 1 + LOOKED_AT), settings=every | look))
    unlogged = of_one(counted.tick([0], range(1, 1 + LOOKED_AT), settings=changes | look))
    counted.go_on_to_the_next_hour()
    point = of_one(counted.tick([0], range(1, 1 + LOOKED_AT), settings=changes | look))
    move = lambda: counted.move(BTC="39000")  # noqa: E731
    busy = of_one(counted.tick([0], range(1, 1 + LOOKED_AT), before=move, settings=every))
    found = {
        "QUIET": quiet,
        "LOOK": looked,
        "LOOK_UNLOGGED": unlogged,
        "BUSY": busy,
        "POINT": point.less(unlogged),
        "MESSAGE": message,
        "PRICES": first.less(alone),
    }
    assert {name: counts.times(1000).rounded() for name, counts in found.items()} == COUNTS


@thorough_only
def test_a_shard_s_users_take_one_request_to_the_key_service_together(counted: Counted) -> None:
    counted.look_at_everybody()
    assert counted.key_requests == [1] * len(counted.key_requests)
    del counted.key_requests[:]
    counted.tick(range(QUIET), settings={})
    assert counted.key_requests == [0]
