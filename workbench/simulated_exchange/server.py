"""Runs the exchange on loopback, in a thread with its own event loop."""

import asyncio
from collections.abc import Sequence
from errno import EACCES, EADDRINUSE
from threading import Event, Thread
from types import TracebackType
from typing import Self

import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler
from botbalance.errors import InvalidRequestError

from workbench.simulated_exchange.binance_api import BinanceApi

LOOPBACK = "127.0.0.1"
LONGEST_START_S = 10.0
LONGEST_STOP_S = 10.0


def port_unusable(port: int, error: OSError) -> InvalidRequestError:
    """What is said where ``--port`` cannot be listened on."""
    why = {EADDRINUSE: "another program uses it", EACCES: "this user may not use it"}.get(
        error.errno or 0, error.strerror or str(error)
    )
    return InvalidRequestError("port_unusable", f"--port is {port}: {why}; choose another, or 0 for any free one")


class ExchangeServer:
    """Serves ``api`` at ``http://host:port``, and ``more`` beside it; port 0 takes any that is free.

    Example:
        with ExchangeServer(BinanceApi(books)) as server:
            requests.get(f"{server.url}/api/v3/ping")
    """

    def __init__(
        self, api: BinanceApi, *, more: Sequence[web.RouteDef] = (), host: str = LOOPBACK, port: int = 0
    ) -> None:
        self.api = api
        self._host = host
        self._more = more
        self._wanted_port = port
        self._port = 0
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = Event()
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        """Without a trailing slash; raises RuntimeError before :meth:`start`."""
        if not self._port:
            raise RuntimeError("the exchange has not been started")
        return f"http://{self._host}:{self._port}"

    def start(self) -> Self:
        """Return once requests are answered; raises OSError where the port is taken."""
        if self._thread is not None:
            raise RuntimeError("the exchange has been started already")
        self._started.clear()
        self._failure = None
        self._thread = Thread(target=self._run, name="exchange", daemon=True)
        self._thread.start()
        if not self._started.wait(LONGEST_START_S):
            raise TimeoutError(f"the exchange did not start within {LONGEST_START_S:g} s")
        if self._failure is not None:
            self._thread.join(LONGEST_STOP_S)
            self._thread = None
            raise self._failure
        return self

    def stop(self) -> None:
        """Close every connection and end the thread; does nothing where it is not running."""
        if self._thread is None:
            return
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(LONGEST_STOP_S)
        if self._thread.is_alive():
            raise TimeoutError(f"the exchange did not stop within {LONGEST_STOP_S:g} s")
        self._thread = None
        self._port = 0

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve(), loop_factory=uvloop.new_event_loop)
        except BaseException as error:  # noqa: BLE001 - handed to whoever starts
            self._failure = error
        finally:
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        application = self.api.application()
        application.middlewares.append(_let_go)
        application.add_routes(self._more)  # aiohttp prefers fixed paths to the API's, which takes every path
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._wanted_port).start()
            self._port = runner.addresses[0][1]
            self._started.set()
            await self._stop.wait()
        finally:
            await runner.cleanup()


@web.middleware
async def _let_go(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Take a client that is gone before its request has been read for what it is, and not for an error in here."""
    try:
        return await handler(request)
    except ConnectionResetError:
        return web.Response(status=400)  # which nobody reads
