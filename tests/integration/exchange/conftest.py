"""A simulated exchange for each test."""

from collections.abc import Iterator

import pytest
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.exchange.simulated import Exchange, running_exchange


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with running_exchange() as running:
        yield running


@pytest.fixture
def trader(exchange: Exchange) -> CcxtAdapter:
    return exchange.trader()
