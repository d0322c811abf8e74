"""HTTP → API Gateway event → handler, on loopback: the routes are the template's, the token is a name.

``Authorization: Bearer NAME`` is the user NAME and no header is the user ``demo``. Nothing deployed knows of
that: there an authorizer checks real tokens.
"""

import asyncio
import ctypes
import json
import logging
import os
import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from aiohttp import web
from botbalance.errors import InvalidRequestError

from workbench.aws.template import Route, Template
from workbench.local.dashboard import SECURITY_HEADERS, dashboard_file
from workbench.local.lambda_runtime import LambdaRuntime
from workbench.local.same_origin import require_same_origin
from workbench.local.swagger_ui import local_document, swagger_page
from workbench.simulated_exchange.recorded_candles import OutOfCandlesError
from workbench.simulated_exchange.server import port_unusable

LOOPBACK = "127.0.0.1"
DEMO_USER = "demo"
ALLOW_ORIGIN = "Access-Control-Allow-Origin"
DOCUMENT_PATH = "/api/openapi.json"
SWAGGER_PATH = "/docs"
"""A page to try the API on, on one machine only."""
_TICK_PATH = "/local/tick"
"""Ticks now, on one machine only; what is deployed has a schedule instead."""
_LONGEST_START_S = 10
_M_MMAP_THRESHOLD = -3
"""The number that malloc.h has for it; once set, it no longer grows by itself."""
_USER = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


def preflight_headers(template: Template) -> dict[str, str]:
    """What a page of the origin that ``CORS_ORIGIN`` names may ask for; nothing where it names none."""
    origin = os.environ.get("CORS_ORIGIN")
    return template.preflight() | {ALLOW_ORIGIN: origin} if origin else {}


class ApiGateway:
    """Serves ``routes`` at ``http://127.0.0.1:port`` in a thread of its own; port 0 takes any that is free.

    ``tick_now`` runs one tick and answers what ``POST /local/tick`` shall answer. ``notify_now`` tells owners what
    is to be told: a changed choice of channels, and a test, are told at once. ``preflight`` are the headers that
    tell a web page of another origin what it may ask for; none: it may nothing.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        runtime: LambdaRuntime,
        tick_now: Callable[[], dict[str, Any]],
        *,
        port: int,
        preflight: Mapping[str, str],
        notify_now: Callable[[], None] = lambda: None,
    ) -> None:
        self._routes = [(_pattern(route.path), route) for route in routes]
        self._runtime = runtime
        self._tick_now = tick_now
        self._notify_now = notify_now
        self._port = port
        self._preflight = preflight
        self._origins = [preflight[ALLOW_ORIGIN]] if ALLOW_ORIGIN in preflight else []
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="gateway")
        self._started = Event()
        self._failure: OSError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread = Thread(target=lambda: asyncio.run(self._serve()), name="gateway", daemon=True)

    @property
    def url(self) -> str:
        """Without a trailing slash."""
        return f"http://{LOOPBACK}:{self._port}"

    def start(self) -> None:
        """Return once requests are answered; raises InvalidRequestError where the port is in use."""
        _give_back_what_was_received()
        logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # what is no HTTP is answered 400, and no news
        self._thread.start()
        self._started.wait(_LONGEST_START_S)
        if self._failure is not None:
            raise port_unusable(self._port, self._failure)

    def stop(self) -> None:
        """Answer what is under way, then stop."""
        if self._loop is not None and self._stopping is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(_LONGEST_START_S)
        self._threads.shutdown(wait=True)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        application = web.Application(client_max_size=10 * 1024 * 1024)
        application.router.add_route("*", "/{path:(?s:.*)}", self._answer_with_headers)  # line ends, too
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            await web.TCPSite(runner, LOOPBACK, self._port).start()
            self._port = runner.addresses[0][1]
            self._started.set()
            await self._stopping.wait()
        except OSError as error:
            self._failure = error
            self._started.set()
        finally:
            await runner.cleanup()

    async def _answer_with_headers(self, request: web.Request) -> web.Response:
        """The answer, with what every answer has, the gateway's own too."""
        try:
            require_same_origin(request.headers, origins=self._origins)
            answer = await self._answer(request)
        except InvalidRequestError as refused:
            answer = _problem(403, refused.code, str(refused))
        answer.headers.setdefault("Cache-Control", "no-store")
        answer.headers.setdefault("X-Request-Id", str(uuid4()))
        if ALLOW_ORIGIN in self._preflight:
            answer.headers.setdefault(ALLOW_ORIGIN, self._preflight[ALLOW_ORIGIN])
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.rel_url.raw_path.removesuffix("/") or "/"
        if path == _TICK_PATH and request.method == "POST":
            try:
                return web.json_response(await self._in_thread(self._tick_now))
            except OutOfCandlesError as ended:
                return _problem(409, "out_of_candles", str(ended))
        reads = request.method in {"GET", "HEAD"}
        on_page = path == SWAGGER_PATH and reads
        if on_page and "format" not in request.query:
            return web.Response(text=await self._in_thread(swagger_page), content_type="text/html")
        if on_page or (path == DOCUMENT_PATH and reads):
            document = json.dumps(await self._in_thread(local_document))
            return web.Response(body=document.encode(), content_type="application/json")
        if reads and not path.startswith(("/api", "/local")):
            file = await self._in_thread(lambda: dashboard_file(unquote(path), [DEMO_USER, "second-user"]))
            if file is not None:
                headers = {**SECURITY_HEADERS, "Cache-Control": file.cache_control}
                answer = web.Response(body=file.content, content_type=file.content_type, headers=headers)
                answer.enable_compression()
                return answer
        return await self._routed(request, path)

    async def _routed(self, request: web.Request, path: str) -> web.Response:
        matching = [(found, route) for pattern, route in self._routes if (found := pattern.fullmatch(path))]
        if not matching:
            return _problem(404, "no_such_route", f"no route {path}")
        for found, route in matching:
            if route.method == request.method:
                return await self._invoke(
                    request, route, {name: unquote(part) for name, part in found.groupdict().items()}
                )
        if request.method == "OPTIONS" and self._preflight:
            return web.Response(headers=self._preflight)
        allowed = ", ".join(sorted(route.method for _, route in matching))
        return _problem(405, "method_not_allowed", f"{path} takes {allowed}", {"Allow": allowed})

    async def _invoke(self, request: web.Request, route: Route, parameters: dict[str, str]) -> web.Response:
        user = _user(request.headers.get("Authorization"))
        if user is None and not route.public:
            detail = "Authorization is not understood, expected: Bearer NAME"
            return _problem(401, "not_authenticated", detail, {"WWW-Authenticate": "Bearer"})
        try:
            body = (await request.read()).decode()
        except UnicodeDecodeError:
            return _problem(400, "invalid_json", "the body is not UTF-8")
        except web.RequestPayloadError:
            return _problem(415, "not_json", "the body is encoded in a way that this API does not read")
        event = _rest_api_event(request, route, parameters, user, body)
        answer = await self._in_thread(lambda: self._runtime.invoke(route.handler, event))
        if route.path.startswith("/api/me/notifications") and route.method in {"PUT", "POST"}:
            await self._in_thread(self._notify_now)
        raw = answer.get("body") or ""
        content = b64decode(raw) if answer.get("isBase64Encoded") else raw.encode()
        headers = {name: values[-1] for name, values in (answer.get("multiValueHeaders") or {}).items()}
        return web.Response(status=answer["statusCode"], body=content, headers=headers | (answer.get("headers") or {}))

    async def _in_thread[T](self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)


def _give_back_what_was_received() -> None:
    """Have the C library (glibc) give each buffer that a request was received in back to the system with its memory.

    Such a buffer has room for a quarter of a megabyte, and a request with an exchange key in it may fill 300 bytes of
    it, which the process would otherwise keep for good, and readable.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


def _user(authorization: str | None) -> str | None:
    if authorization is None:
        return DEMO_USER
    scheme, _, name = authorization.partition(" ")
    return name if scheme.lower() == "bearer" and _USER.fullmatch(name) else None


def _rest_api_event(
    request: web.Request, route: Route, parameters: dict[str, str], user: str | None, body: str
) -> dict[str, Any]:
    """The event that API Gateway's REST API makes of a request (payload format 1.0)."""
    headers = {name: request.headers.getall(name) for name in request.headers}
    query = {name: request.query.getall(name) for name in request.query}
    return {
        "resource": route.path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": parameters or None,
        "stageVariables": None,
        "requestContext": {
            "authorizer": {"claims": {"sub": user}} if user else None,
            "httpMethod": request.method,
            "path": request.path,
            "requestId": str(uuid4()),
            "resourcePath": route.path,
            "stage": "live",
        },
        "body": body or None,
        "isBase64Encoded": False,
    }


def _problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    title = HTTPStatus(status).phrase
    document = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail}
    return web.Response(
        status=status, body=json.dumps(document), content_type="application/problem+json", headers=headers
    )
