"""A worker's death between two of its requests: it does nothing more, not even give back what it held."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.trading.harness import TradingHarness


class Death(BaseException):
    """No error that anything could catch, and go on."""


@contextmanager
def death_at(harness: TradingHarness, boundary: str, nth: int = 1) -> Iterator[None]:
    """The harness's process dies where it comes to ``boundary`` (``before POST /api/v3/order``) for the ``nth`` time.

    Afterwards another one has taken its place, and the lease that the dead one held is still there.
    """
    left = nth

    def come_to(name: str) -> None:
        nonlocal left
        left -= name == boundary
        if not left:
            raise Death

    harness.services.on_boundary = come_to
    with pytest.raises(Death):
        yield
    harness.services = harness.another_process()
