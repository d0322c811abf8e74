"""The tables are there for the whole run of the tests, the exchange and the user are one test's."""

from collections.abc import Iterator, Mapping
from uuid import uuid4

import pytest

from tests.integration.trading.harness import TEN_THOUSAND_USDT, TradingHarness, new_harness
from workbench.aws.resources import CREDENTIALS, EmbeddedAws
from workbench.aws.template import read_template


@pytest.fixture(scope="session")
def environment() -> Iterator[Mapping[str, str]]:
    """What the template tells the functions, over tables that are really there."""
    aws = EmbeddedAws(read_template(), run="test")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        try:
            yield aws.start()
        finally:
            aws.stop()


@pytest.fixture
def newcomer(environment: Mapping[str, str]) -> Iterator[TradingHarness]:
    """A user without account and strategy. Prices are cached for no longer than a test lets time pass."""
    with new_harness(environment, f"user-{uuid4().hex[:12]}", PRICING_USE_CACHE="false") as harness:
        yield harness


@pytest.fixture
def harness(newcomer: TradingHarness) -> TradingHarness:
    """A user with 10,000 USDT whose autopilot is on and who wants three coins."""
    newcomer.open_account(newcomer.user, TEN_THOUSAND_USDT)
    newcomer.set_strategy()
    return newcomer
