"""One exchange that does not answer makes nobody late who trades on another; nor does a defect met there."""

import json
from collections.abc import Iterator, Mapping
from threading import Event
from uuid import uuid4

import pytest
from botbalance.log import logger
from botbalance.models.exchange_key import ExchangeKey
from botbalance.trading.tick_batch import due_jobs
from pydantic import ValidationError
from tick import work

from tests.integration.trading.harness import TEN_THOUSAND_USDT, Process, TradingHarness, new_harness


def test_users_are_due_as_soon_as_the_prices_of_their_exchange_are_there(environment: Mapping[str, str]) -> None:
    """Another worker asks the other exchange, and is not answered until those have begun."""
    with new_harness(environment, f"user-{uuid4().hex[:12]}") as harness:
        waiter, is_begun = f"{harness.user}-waits", Event()
        harness.open_account(harness.user, TEN_THOUSAND_USDT)
        harness.set_strategy({"BTC": "50", "USDT": "50"})
        harness.set_strategy({"BTC": "50", "USDT": "50"}, user=waiter, exchange="okx")
        harness.services.credentials.save(waiter, "okx", ExchangeKey(f"key-of-{waiter}", "secret"), harness.now)
        harness.context.portfolio.market_rules("binance", ["BTCUSDT"])
        cache = harness.services._cache
        (listing,) = cache.get_many(["market#binance#BTCUSDT"], harness.now).values()
        cache.put_many({"market#okx#BTCUSDT": listing.document}, harness.now + 60)
        assert cache.claim("requests#quote#okx", harness.now, 60) is not None

        def wait(_: float) -> None:
            assert is_begun.wait(5), "whoever trades elsewhere waits for it"
            failure = json.dumps(["exchange_unreachable", "nobody answers"])
            cache.fail("requests#quote#okx", failure, harness.now + 3, harness.now + 60)

        with_patience = Process(harness.environment, harness.injector, clock=lambda: harness.now, sleep=wait)
        harness.processes.append(with_patience)
        jobs = due_jobs(with_patience.context, harness.versions(waiter, harness.user), harness.now)
        assert next(jobs).strategy.user_id == harness.user
        is_begun.set()
        assert [job.strategy.user_id for job in jobs] == [waiter]


@pytest.fixture
def half_broken(environment: Mapping[str, str]) -> Iterator[tuple[TradingHarness, str]]:
    """A user of one exchange, and before this one another whose exchange's listing cannot be read."""
    with new_harness(environment, f"user-{uuid4().hex[:12]}") as harness:
        other = f"{harness.user}-other"
        harness.open_account(harness.user, TEN_THOUSAND_USDT)
        harness.set_strategy({"BTC": "50", "USDT": "50"})
        harness.set_strategy({"BTC": "50", "USDT": "50"}, user=other, exchange="okx")
        harness.services.credentials.save(other, "okx", ExchangeKey(f"key-of-{other}", "secret"), harness.now)
        harness.services._cache.put_many({"market#okx#BTCUSDT": "no listing"}, harness.now + 60)
        yield harness, other


def test_a_defect_at_one_exchange_is_raised_when_users_of_the_others_are_due(
    half_broken: tuple[TradingHarness, str],
) -> None:
    harness, other = half_broken
    jobs = due_jobs(harness.context, harness.versions(other, harness.user), harness.now)
    assert next(jobs).strategy.user_id == harness.user
    with pytest.raises(ValidationError):
        next(jobs)


@pytest.mark.parametrize("read_together", [1, 200])
def test_a_defect_at_one_exchange_fails_the_message_after_the_others_were_ticked_and_counted(
    half_broken: tuple[TradingHarness, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    read_together: int,
) -> None:
    caplog.set_level("INFO", logger=logger.name)
    monkeypatch.setattr(work, "READ_TOGETHER", read_together)
    harness, other = half_broken
    assert harness.work(harness.message(other, harness.user)) == [0]
    assert harness.context.decisions.get(harness.user, harness.now).outcome == "decided"
    said = [record.getMessage() for record in caplog.records]
    assert said.count("users ticked") == said.count("a message could not be worked on") == 1
