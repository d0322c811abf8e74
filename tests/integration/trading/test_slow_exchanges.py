"""One exchange that does not answer makes nobody late who trades on another."""

import json
from collections.abc import Mapping
from threading import Event
from uuid import uuid4

from botbalance.models.exchange_key import ExchangeKey
from botbalance.trading.tick_batch import due_jobs

from tests.integration.trading.harness import TEN_THOUSAND_USDT, Process, new_harness


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
