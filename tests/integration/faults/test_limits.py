"""A limit holds for as long as it says, and whoever asks all the same is noted."""

import requests

from tests.integration.faults.conftest import KEY, OTHER_KEY, START, Exchange
from workbench.faults.kinds import FaultKind, Where

K = FaultKind


def status(exchange: Exchange, key: str | None, path: str = "/api/v3/account") -> int:
    """What a request with ``key`` is answered; 400 is an honest answer to one that is not signed."""
    headers = {} if key is None else {"X-MBX-APIKEY": key}
    return requests.get(exchange.url + path, headers=headers, timeout=5).status_code


def test_a_key_that_is_limited_stays_so_until_it_may_ask_again(exchange: Exchange) -> None:
    exchange.injector.script(K.LIMITED, Where.BALANCES, of=KEY)
    assert status(exchange, KEY) == 429
    assert exchange.api.violations() == []
    assert status(exchange, OTHER_KEY) == 400
    assert status(exchange, None, "/api/v3/ticker/24hr") == 200
    assert status(exchange, KEY) == 429
    exchange.now += 59
    assert status(exchange, KEY, "/api/v3/openOrders") == 429
    assert status(exchange, OTHER_KEY) == 400
    exchange.now += 1
    assert status(exchange, KEY) == 400
    assert [(v.subject, v.path, v.at, v.limit.until) for v in exchange.api.violations()] == [
        (KEY, "GET /api/v3/account", START, START + 60),
        (KEY, "GET /api/v3/openOrders", START + 59, START + 60),
    ]
    assert exchange.injector.counts() == {K.LIMITED: 1}


def test_a_ban_is_everybodys_from_the_next_moment_on(exchange: Exchange) -> None:
    exchange.injector.script(K.BANNED, Where.BALANCES, of=KEY)
    assert status(exchange, KEY) == 418
    assert status(exchange, OTHER_KEY) == 400
    assert exchange.api.violations() == []
    assert status(exchange, KEY) == 418
    exchange.now += 30
    assert status(exchange, OTHER_KEY) == 418
    assert status(exchange, None, "/api/v3/time") == 418
    exchange.now += 30
    assert [status(exchange, key) for key in (KEY, OTHER_KEY)] == [400, 400]
    assert [(v.subject, v.at - START) for v in exchange.api.violations()] == [(KEY, 0), (OTHER_KEY, 30), (None, 30)]


def test_the_public_connection_is_limited_for_all_who_share_it(exchange: Exchange) -> None:
    exchange.injector.script(K.LIMITED, Where.QUOTES)
    assert status(exchange, None, "/api/v3/ticker/24hr") == 429
    assert status(exchange, None, "/api/v3/exchangeInfo") == 200  # on its way already
    exchange.now += 1
    assert status(exchange, None, "/api/v3/exchangeInfo") == 429
    assert status(exchange, KEY) == 400
    assert [v.path for v in exchange.api.violations()] == ["GET /api/v3/exchangeInfo"]


def test_retry_after_counts_down(exchange: Exchange) -> None:
    exchange.injector.script(K.LIMITED, Where.QUOTES)
    url = f"{exchange.url}/api/v3/ticker/24hr"
    assert requests.get(url, timeout=5).headers["Retry-After"] == "60"
    exchange.now += 13
    assert requests.get(url, timeout=5).headers["Retry-After"] == "47"


def test_a_limit_outlives_the_switch(exchange: Exchange) -> None:
    exchange.injector.script(K.LIMITED, Where.BALANCES)
    status(exchange, KEY)
    exchange.injector.active = False
    assert status(exchange, KEY) == 429
    assert len(exchange.api.violations()) == 1


def test_a_request_in_a_limit_has_no_effect_and_uses_up_no_script(exchange: Exchange) -> None:
    exchange.injector.script(K.LIMITED, Where.BALANCES)
    exchange.injector.script(K.REVOKED, Where.BALANCES)
    status(exchange, KEY)
    status(exchange, KEY)
    assert exchange.injector.unplayed() == [K.REVOKED]
    assert [seen.fault and seen.fault.kind for seen in exchange.observed] == [K.LIMITED, K.LIMITED]
