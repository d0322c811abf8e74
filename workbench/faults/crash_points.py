"""Ends a worker between any two of its requests, as a crash or a function's time limit would."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter


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

    def watch(self, session: Session) -> None:
        """Put a boundary before and after each of the session's requests."""
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Watched(self))


class _Watched(HTTPAdapter):
    def __init__(self, crash_points: CrashPoints) -> None:
        super().__init__()
        self._crash_points = crash_points

    def send(self, request: PreparedRequest, *options: Any, **more: Any) -> Response:
        name = f"{request.method} {urlsplit(request.url or '').path}"
        self._crash_points.boundary(f"before {name}")
        try:
            return super().send(request, *options, **more)
        finally:
            self._crash_points.boundary(f"after {name}")
