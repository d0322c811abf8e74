"""PublicAdapters: connections to exchanges without anybody's key, each used by one thread at a time."""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from botbalance.exchange.adapter import ExchangeAdapter


class PublicAdapters:
    """As many adapters an exchange as there are threads that ask it at once; ``connect`` makes one."""

    def __init__(self, connect: Callable[[str], ExchangeAdapter]) -> None:
        self._connect = connect
        self._idle: defaultdict[str, deque[ExchangeAdapter]] = defaultdict(deque)

    @contextmanager
    def borrow(self, exchange: str) -> Iterator[ExchangeAdapter]:
        """An adapter that nobody else uses meanwhile; raises InvalidRequestError for an unknown exchange."""
        idle = self._idle[exchange]
        try:
            adapter = idle.pop()
        except IndexError:
            adapter = self._connect(exchange)
        try:
            yield adapter
        finally:
            idle.append(adapter)
