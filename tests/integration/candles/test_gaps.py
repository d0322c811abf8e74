"""A download goes on behind a gap, and says whether it is whole: against OKX's and Kraken's own forms of replies."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from json import dumps
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.integration.exchange.test_markets_and_prices import MARKETS
from workbench.candles.coverage import coverage
from workbench.candles.download import fetch_candles

MINUTE, DAY = 60_000, 86_400_000
START = 1_740_787_200_000  # 2025-03-01


@contextmanager
def exchange(name: str, candles: str, reply: Any) -> Iterator[str]:
    """An exchange with one market whose candles are what ``reply`` makes of a query; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path)
            query = dict(parse_qsl(path.query))
            known = MARKETS[name] | {f"GET {candles}": None}
            found = reply(query) if path.path.startswith(candles) else known.get(f"GET {path.path}", {})
            body = dumps(found).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def okx(times: list[int]) -> Any:
    """OKX's pages: of the candles between ``before`` and ``after`` the latest, newest first; days as days of UTC."""

    def reply(query: dict[str, str]) -> dict[str, Any]:
        after, before = int(query.get("after", 1 << 60)), int(query.get("before", 0))
        known = sorted({time // DAY * DAY for time in times}) if query["bar"].startswith("1D") else times
        page = [time for time in known if before < time < after][-int(query.get("limit", 100)) :]
        data = [[str(time), "100.5", "101", "100", "100.7", "1", "1", "1", "1"] for time in reversed(page)]
        return {"code": "0", "msg": "", "data": data}

    return reply


def fetch(name: str, url: str, folder: Path, start: int, end: int, now: int | None = None) -> Path:
    return fetch_candles(
        name,
        "BTC/USDT",
        "1m",
        start,
        end,
        folder,
        on_progress=lambda *_: None,
        base_url=url,
        clock=lambda: (now or end) / 1000,
        sleep=lambda _: None,
    )


def read_times(path: Path) -> list[int]:
    return [int(line.split(",")[0]) for line in path.read_text().splitlines()[1:]]


@pytest.mark.parametrize(("first", "last"), [(600, 960), (600, 2_400), (0, 700)])
def test_a_page_without_a_candle_is_a_gap_and_no_end(tmp_path: Path, first: int, last: int) -> None:
    times = [START + at * MINUTE for at in range(2_880) if not first <= at < last]
    with exchange("okx", "/api/v5/market/", okx(times)) as url:
        path = fetch("okx", url, tmp_path, START, START + 2 * DAY)
        assert read_times(path) == times
        found = coverage(path, MINUTE, START, START + 2 * DAY)
        assert (found.asked, found.missing, found.holes, found.longest) == (2_880, last - first, 1, last - first)
        assert found.longest_from_ms == START + first * MINUTE
        before = path.read_bytes()
        assert fetch("okx", url, tmp_path, START, START + 2 * DAY).read_bytes() == before


def test_years_before_the_listing_are_passed_by_the_day(tmp_path: Path) -> None:
    times = [START + at * MINUTE for at in range(100)]
    asked: list[dict[str, str]] = []
    answer = okx(times)

    def reply(query: dict[str, str]) -> Any:
        asked.append(query)
        return answer(query)

    with exchange("okx", "/api/v5/market/", reply) as url:
        path = fetch("okx", url, tmp_path, START - 3 * 365 * DAY, START + 100 * MINUTE)
    assert read_times(path) == times
    assert len(asked) < 30


def test_an_exchange_that_gives_its_latest_candles_only_is_not_whole(tmp_path: Path) -> None:
    now = START + DAY
    last = [[time // 1000, "1", "2", "1", "1", "1", "1", 1] for time in range(now - 719 * MINUTE, now + 1, MINUTE)]
    reply = {"error": [], "result": {"XBTUSDT": last, "last": last[-1][0]}}
    with exchange("kraken", "/0/public/OHLC", lambda _: reply) as url:
        path = fetch("kraken", url, tmp_path, START, now)
    found = coverage(path, MINUTE, START, now)
    assert (found.there, found.missing, found.holes) == (719, 721, 1)
    assert not found.is_whole


def test_candles_off_the_grid_count_as_those_they_began_in(tmp_path: Path) -> None:
    times = [START + at * MINUTE + (14_000 if 30 <= at < 60 else 0) for at in range(100)]
    with exchange("okx", "/api/v5/market/", okx(times)) as url:
        path = fetch("okx", url, tmp_path, START, START + 100 * MINUTE)
    assert read_times(path) == times
    assert coverage(path, MINUTE, START, START + 100 * MINUTE).is_whole
