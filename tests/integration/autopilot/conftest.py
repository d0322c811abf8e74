"""The tables that the tests of trading use."""

from tests.integration.trading.conftest import environment

__all__ = ["environment"]
