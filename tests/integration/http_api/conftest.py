"""One stack a module, its prices standing still; every test brings its own users."""

from collections.abc import Iterator

import pytest

from tests.integration.http_api.client import Client, trader
from workbench.local.stack import Options, Stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(Options(freeze_prices=True, autopilot=False)) as running:
        yield running


@pytest.fixture
def user(stack: Stack) -> Client:
    """Somebody ready to trade by hand."""
    return trader(stack)
