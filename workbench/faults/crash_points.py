"""Ends a worker between any two of its requests, as a crash or a function's time limit would."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from botbalance.exchange.http_pool import HttpPool, HttpResponse


class CrashPoints:
    """All that a worker says to the outside goes through here, before and after every request.

    ``on_boundary`` is called with what is about to be sent (``before dynamodb.PutItem``) or was just answered
    (``after POST /api/v3/order``), and may end the worker: by killing its process, or by raising a BaseException that
    is no Exception. The dead do no I/O: once it has raised, every further request raises the same, so that no
    ``finally`` gives back what the worker held. One crash_points is for all clients of one worker.
    """

    def __init__(self, on_boundary: Callable[[str], None]) -> None:
        self._on_boundary = on_boundary
        self._death: BaseException | None = None

    def boundary(self, name: str) -> None:
        """Come to the boundary ``name``; raises what the worker died of."""
        if self._death is not None:
            raise self._death
        try:
            self._on_boundary(name)
        except BaseException as death:
            self._death = death
            raise


class WatchedPool(HttpPool):
    """Connections with a boundary before and after each request."""

    def __init__(self, crash_points: CrashPoints, most: int) -> None:
        super().__init__(most)
        self._crash_points = crash_points

    def request(self, method: str, url: str, **settings: Any) -> HttpResponse:
        """Send one request, unless the worker dies before, and come back from it, unless it dies after."""
        name = f"{method} {urlsplit(url).path}"
        self._crash_points.boundary(f"before {name}")
        try:
            return super().request(method, url, **settings)
        finally:
            self._crash_points.boundary(f"after {name}")
