"""Downloads an exchange's candles into a file, goes on where an earlier download ended, and writes nothing twice."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from socket import gaierror
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from botbalance.errors import InvalidRequestError, TransientError
from botbalance.exchange.ccxt_import import exchange_class
from urllib3.exceptions import NameResolutionError

from workbench.candles.columns import COLUMNS

REPEATED_AFTER_S = (1, 5, 20, 60)
"""Waits before a request that the network failed is sent again, once the exchange has answered."""
FIRST_REPEATED_AFTER_S = (1, 2)
"""Waits before it has: whoever is offline, or mistyped an address, learns it in seconds."""
MOST_ON_A_PAGE = 1000
_HEADER = ",".join(COLUMNS) + "\n"
_UNEVEN_UNITS = ("M", "y")
"""Of timeframes whose candles do not all last as long."""
_EMPTY_PAGES = 3
"""In a row, before days are asked for to find where candles go on."""
_DAY_MS = 86_400_000
_INFINITY = Decimal("Infinity")
_SETTINGS: dict[str, Any] = {
    "number": str,
    "enableRateLimit": True,
    "enableLastJsonResponse": True,
    "options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False, "fetchMargins": False},
}

type Row = tuple[str, ...]


def fetch_candles(
    exchange: str,
    symbol: str,
    timeframe: str,
    start_ms: int,
    end_ms: int,
    folder: Path,
    *,
    on_progress: Callable[[int, int], None],
    base_url: str | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Bring ``SYMBOL-TIMEFRAME.csv`` in ``folder`` up to ``end_ms``, and return its path.

    ``symbol`` is ``BTC/USDT``, times are epoch ms, ``clock`` tells epoch seconds. Candles that end after ``end_ms`` or
    now are left out. A file that is there already is gone on with at its end, wherever ``start_ms`` is; a last line
    without an end is dropped. ``on_progress`` is told how many candles' time of how many lies behind. ``base_url``
    stands in for the exchange's own REST host.

    Raises InvalidRequestError for what the exchange does not have, and TransientError where it does not answer.
    """
    folder.mkdir(parents=True, exist_ok=True)
    client = _client(exchange, base_url)
    try:
        candles = _Candles(client, symbol, timeframe, sleep)
        end_ms = min(end_ms, int(clock() * 1000))
        total = max(0, end_ms - start_ms) // candles.candle_ms
        path = folder / f"{symbol.replace('/', '')}-{timeframe}.csv"
        since = _resumed_from(path, start_ms, candles)
        on_progress(_between(0, (since - start_ms) // candles.candle_ms, total), total)
        for page in candles.pages(since, end_ms):
            _append(path, page)
            done = (int(page[-1][0]) - start_ms) // candles.candle_ms + 1
            on_progress(_between(0, done, total), total)
    finally:
        client.session.close()
    if not path.exists():
        raise InvalidRequestError("no_candles", f"{exchange} has no closed {timeframe} candle of {symbol} in that time")
    return path


class _Candles:
    """The candles of a market, page by page, each whole or not at all."""

    def __init__(self, client: Any, symbol: str, timeframe: str, sleep: Callable[[float], None]) -> None:
        self._client, self._symbol, self._timeframe, self._sleep = client, symbol, timeframe, sleep
        timeframes = [name for name in client.timeframes or {} if not name.endswith(_UNEVEN_UNITS)]
        if not client.has["fetchOHLCV"] or not timeframes:
            raise InvalidRequestError("no_candles", f"{client.id} gives no candles, expected another exchange")
        if timeframe not in timeframes:
            raise InvalidRequestError(
                "unknown_timeframe",
                f"timeframe is {timeframe!r}, expected one of {client.id}'s: {', '.join(timeframes)}",
            )
        self.candle_ms: int = client.parse_timeframe(timeframe) * 1000
        spot = [
            name for name, market in self._answer(client.load_markets, FIRST_REPEATED_AFTER_S).items() if market["spot"]
        ]
        if not spot:
            raise _unavailable(client.id, "it lists no spot market")
        if symbol not in spot:
            near = get_close_matches(symbol, spot) or spot[:3]
            raise InvalidRequestError(
                "unknown_market",
                f"symbol is {symbol!r}, expected a spot market of {client.id} such as {', '.join(near)}",
            )

    def pages(self, since: int, end_ms: int) -> Iterator[list[Row]]:
        """The closed candles from ``since`` to ``end_ms``, oldest first.

        A page without a new one is a gap: the exchange stood still, or the pair was not listed yet. What comes after is
        asked for as well; where page after page is empty, days are asked for first, to find where it goes on.
        """
        empty = 0
        while since + self.candle_ms <= end_ms:
            page = [row for row in self.page(since) if int(row[0]) <= end_ms - self.candle_ms]
            if page:
                empty = 0
                yield page
                since = int(page[-1][0]) // self.candle_ms * self.candle_ms + self.candle_ms
                continue
            empty += 1
            since += self._page_size() * self.candle_ms
            if empty >= _EMPTY_PAGES and since < end_ms:
                since = max(since, self._next_day(since, end_ms))

    def _next_day(self, since: int, end_ms: int) -> int:
        """When the first day from ``since`` on begins that has a candle; ``end_ms`` where none has.

        ``since`` itself where the exchange's days are no days of UTC: then they cannot be relied on.
        """
        if self.candle_ms >= _DAY_MS or "1d" not in (self._client.timeframes or {}):
            return since
        day = since // _DAY_MS * _DAY_MS
        while day < end_ms:
            rows = self.page(day, "1d")
            if any(int(row[0]) % _DAY_MS for row in rows):
                return since
            if rows:
                return int(rows[0][0])
            day += self._page_size() * _DAY_MS
        return end_ms

    def _page_size(self) -> int:
        return int(self._client.feature_value(self._symbol, "fetchOHLCV", "limit") or MOST_ON_A_PAGE)

    def page(self, since: int, timeframe: str | None = None) -> list[Row]:
        """The rows that the exchange gives from ``since`` on, as texts in the order of time, none twice."""
        length = timeframe or self._timeframe
        candles = self._answer(lambda: self._client.fetch_ohlcv(self._symbol, length, since, self._page_size()))
        if not candles and self._client.last_json_response in ({}, None, ""):  # ccxt takes these for no candles
            raise _unavailable(self._client.id, "its reply is empty")
        rows = [_row(self._client.id, candle) for candle in candles]
        return [row for time_ms, row in sorted({int(row[0]): row for row in rows}.items()) if time_ms >= since]

    def _answer(self, request: Callable[[], Any], waits_s: Sequence[int] = REPEATED_AFTER_S) -> Any:
        """Send the request, again where the network failed."""
        for wait_s in waits_s:
            try:
                return self._answer_once(request)
            except RetryableReadError:
                self._sleep(wait_s)
        return self._answer_once(request)

    def _answer_once(self, request: Callable[[], Any]) -> Any:
        errors = import_module("ccxt.base.errors")  # not above: it would bring the whole of ccxt with it
        try:
            return request()
        except errors.NetworkError as error:
            raise RetryableReadError(
                "exchange_unavailable", f"{self._client.id} cannot be reached: {_network_reason(error)}"
            ) from error
        except (errors.BaseError, LookupError, TypeError, ValueError, AttributeError) as error:  # or ccxt stumbled
            raise _unavailable(self._client.id, _describe(error)) from error


class RetryableReadError(TransientError):
    """What a moment may mend."""


def _network_reason(error: BaseException) -> str:
    """Which host, and why, in words of ours where the cause is a common one."""
    causes: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in causes:
        causes.append(link)
        link = link.__cause__ or link.__context__
    failed = next((cause for cause in causes if isinstance(cause, requests.RequestException)), None)
    if failed is None or failed.request is None:
        return _describe(error)
    host = urlsplit(failed.request.url or "").hostname
    if any(isinstance(cause, NameResolutionError | gaierror) for cause in causes):
        return f"no address is known here for {host}; is this machine online?"
    match failed:
        case requests.Timeout():
            return f"{host} does not answer in time; a firewall may be between"
        case requests.exceptions.SSLError():
            return f"the certificate of {host} is not trusted here"
        case requests.ConnectionError():
            return f"{host} refuses or drops the connection"
        case _:
            return _describe(error)


def _describe(error: BaseException) -> str:
    return str(error)[:200] or type(error).__name__


def _unavailable(exchange: str, problem: str) -> TransientError:
    return TransientError("exchange_unavailable", f"{exchange} did not answer as expected ({problem})")


def _between(least: int, number: int, most: int) -> int:
    return max(least, min(number, most))


def _row(exchange: str, candle: Any) -> Row:
    """The candle as texts; raises TransientError for what is none."""
    texts = tuple(map(str, candle)) if isinstance(candle, list) else ()
    try:
        right = (
            len(texts) == len(COLUMNS)
            and texts[0].isdecimal()
            and all(0 <= Decimal(text) < _INFINITY for text in texts)
        )
    except InvalidOperation:
        right = False
    if not right:
        raise _unavailable(exchange, f"a candle is {candle}")
    return texts


def _client(exchange: str, base_url: str | None) -> Any:
    try:
        original = exchange_class(exchange)
    except ModuleNotFoundError:
        raise InvalidRequestError(
            "unknown_exchange", f"exchange is {exchange!r}, expected one that ccxt knows"
        ) from None

    class Client(original):  # type: ignore[misc,valid-type]
        def fetch(self, url: str, *rest: Any, **more: Any) -> Any:
            """As ccxt, from ``base_url`` where there is one."""
            if base_url is not None:
                host = urlsplit(base_url)
                url = urlunsplit(urlsplit(url)._replace(scheme=host.scheme, netloc=host.netloc))
            return super().fetch(url, *rest, **more)

        def filter_by_since_limit(self, array: Any, *_: Any, **__: Any) -> Any:
            """Unlike ccxt, what has no time is not left out unseen."""
            return array

    Client.__name__ = original.__name__
    return Client(_SETTINGS)


def _resumed_from(path: Path, start_ms: int, candles: _Candles) -> int:
    """When the first candle opens that ``path`` lacks; its torn last line is cut off, and a file without rows removed.

    Raises InvalidRequestError for a file that is no download, or does not go back as far as it was asked for now.
    """
    if not path.exists():
        return start_ms
    with path.open("rb+") as file:
        header, first = file.readline().decode("utf-8", errors="replace"), file.readline()
        if not _HEADER.startswith(header):
            raise InvalidRequestError(
                "not_a_download", f"{path} begins with {header.strip()!r}, expected {_HEADER.strip()!r}"
            )
        if not first.endswith(b"\n"):
            path.unlink()
            return start_ms
        last = _last_line(file)
    oldest, newest = _time(path, first), _time(path, last)
    if start_ms < oldest and any(int(row[0]) < oldest for row in candles.page(start_ms)):
        raise InvalidRequestError(
            "begins_later", f"{path} begins at {oldest}, expected {start_ms}: move it away, and all is fetched anew"
        )
    return newest + candles.candle_ms


def _last_line(file: Any) -> bytes:
    """The last whole line; what follows it is cut off."""
    end = file.seek(0, os.SEEK_END)
    at = max(0, end - 4096)
    file.seek(at)
    tail = file.read()
    whole = tail[: tail.rindex(b"\n") + 1]
    file.truncate(at + len(whole))
    return bytes(whole.splitlines()[-1])


def _time(path: Path, line: bytes) -> int:
    text = line.partition(b",")[0]
    if not text.isdigit():
        raise InvalidRequestError("not_a_download", f"{path} has the line {line[:80]!r}, expected {_HEADER.strip()}")
    return int(text)


def _append(path: Path, page: list[Row]) -> None:
    header = "" if path.exists() else _HEADER
    with path.open("a", encoding="utf-8") as file:
        file.write(header + "".join(f"{','.join(row)}\n" for row in page))
