"""Looking an order up and cancelling it by its client id, as each exchange allows: ccxt's classes over real HTTP.

An order that exists must be found wherever the exchange still tells of it, and only where every place was read
without doubt is it not there.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from urllib.parse import parse_qs

import pytest
from botbalance.errors import RateLimitedError, TransientError
from botbalance.exchange.adapter import ExchangeOrder, ExchangeOrderStatus, OrderRejected, OrderRequest
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.exchange.fake_exchanges import (
    CANCELED,
    CLIENT_ID,
    FILLED,
    FILLED_QTY,
    NOW,
    OPEN,
    OWN_ID,
    STAND_INS,
    Broken,
    Door,
    Place,
    run_stand_in,
)
from tests.integration.exchange.simulated import Exchange
from tests.thorough import pick_sample
from workbench.simulated_exchange.matching_engine import epoch_ms

STATUS = {
    OPEN: ExchangeOrderStatus.OPEN,
    FILLED: ExchangeOrderStatus.FILLED,
    CANCELED: ExchangeOrderStatus.CANCELED,
}
GARBAGE = {
    "html": Broken("<html>We are down for maintenance.</html>"),
    "empty": Broken(""),
    "{}": Broken("{}"),
    "null": Broken("null"),
    "text": Broken('"x"'),
    "truncated": Broken('{"code":"0","data":['),
    "a message": Broken('{"message":"maintenance"}'),
    "503": Broken("<html>Service Unavailable</html>", 503),
    "504": Broken("", 504),
    "closed": Broken(None),
}
GARBAGE_OF_OBJECTS = {
    "[]": Broken("[]"),
    "another object": Broken('{"serverTime":1700000000000}'),
    "a list in another object": Broken('{"products":[]}'),
}
"""What is garbage where every reply is an object with something in it that all have."""
EVERY_PLACE = [(name, place) for name, stand_in in STAND_INS.items() for place in stand_in.places]
EVERY_REQUEST = [(name, place.request) for name, place in EVERY_PLACE] + [
    (name, aside) for name, stand_in in STAND_INS.items() for aside in stand_in.asides
]
EVERY_ASIDE = [(name, aside) for name, stand_in in STAND_INS.items() for aside in stand_in.asides]
PAGED = [name for name, stand_in in STAND_INS.items() if stand_in.until is not None]
HOUR_MS = 3_600_000


def label(value: object) -> str | None:
    """A place by its request, in a test's name."""
    return value.request if isinstance(value, Place) else None


@pytest.fixture
def asked(exchange: Exchange, name: str) -> Iterator[tuple[Door, CcxtAdapter]]:
    with run_stand_in(exchange, name) as (door, adapter):
        exchange.slept.clear()
        yield door, adapter


# found, and not


@pytest.mark.parametrize(
    ("name", "place", "state"),
    [(name, place, state) for name, place in EVERY_PLACE for state in place.tells],
    ids=label,
)
def test_an_order_is_found_wherever_the_exchange_tells_of_it(
    asked: tuple[Door, CcxtAdapter], name: str, place: Place, state: str
) -> None:
    door, adapter = asked
    stand_in = STAND_INS[name]
    door.replies[place.request] = (200, place.holding([stand_in.order(state)]))
    assert adapter.find_order("BTCUSDT", CLIENT_ID) == ExchangeOrder(
        OWN_ID,
        stand_in.sent_id,
        "BTCUSDT",
        "buy",
        Decimal(39_000),
        Decimal("0.01"),
        Decimal(FILLED_QTY[state]),
        STATUS[state],
    )


@pytest.mark.parametrize("name", STAND_INS)
def test_every_state_is_told_somewhere(name: str) -> None:
    assert {state for place in STAND_INS[name].places for state in place.tells} == set(STATUS)


@pytest.mark.parametrize("name", STAND_INS)
def test_an_order_that_no_place_holds_is_not_found(
    asked: tuple[Door, CcxtAdapter], exchange: Exchange, name: str
) -> None:
    door, adapter = asked
    assert adapter.find_order("BTCUSDT", CLIENT_ID) is None
    places = [place.request for place in STAND_INS[name].places]
    assert [place for place, _ in door.asked if place in places] == places
    assert exchange.slept == []


@pytest.mark.parametrize("name", STAND_INS)
def test_the_client_id_comes_back_in_the_form_in_which_orders_are_recognised(
    asked: tuple[Door, CcxtAdapter], name: str
) -> None:
    _, adapter = asked
    assert adapter.exchange_client_order_id(CLIENT_ID) == STAND_INS[name].sent_id


@pytest.mark.parametrize("name", PAGED)
def test_an_order_is_looked_for_on_further_pages(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = asked
    stand_in = STAND_INS[name]
    place = stand_in.places[-1]
    placed_at_ms = NOW - HOUR_MS
    page = place.holding([stand_in.other_order(placed_at_ms)] * 100)
    door.pages[place.request] = [page, place.holding([stand_in.order(place.tells[-1])])]
    found = adapter.find_order("BTCUSDT", CLIENT_ID)
    assert found is not None
    assert found.exchange_order_id == OWN_ID
    first, second = door.requests_to(place.request)
    assert stand_in.until is not None
    if name != "htx":  # it asks for both ends of a time at once
        assert stand_in.until not in parse_qs(first.query)
    [until] = parse_qs(second.query)[stand_in.until]
    assert epoch_s(until) == placed_at_ms // 1000 + 1, "what ended within that second is read again"


@pytest.mark.parametrize("name", PAGED)
def test_a_list_goes_back_as_far_as_exchanges_tell(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = asked
    stand_in = STAND_INS[name]
    before_s = epoch_ms() // 1000
    assert adapter.find_order("BTCUSDT", CLIENT_ID) is None
    [request] = door.requests_to(stand_in.places[-1].request)
    query = parse_qs(request.query)
    assert stand_in.since is not None
    assert stand_in.until is not None
    days_back = (before_s - epoch_s(query[stand_in.since][0])) / 86_400
    longest = 2 if name == "htx" else 7
    assert longest - 0.01 < days_back < longest
    if stand_in.until in query:  # HTX wants both ends, 48 hours apart
        assert epoch_s(query[stand_in.until][0]) > before_s


def epoch_s(text: str) -> int:
    """Whole epoch seconds, from milliseconds, seconds or an ISO 8601 text."""
    if not text.isdecimal():
        return int(datetime.fromisoformat(text).timestamp())
    return int(text) // 1000 if len(text) > 10 else int(text)


@pytest.mark.parametrize("name", PAGED)
def test_a_list_is_read_no_longer_than_it_goes_back(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = asked
    stand_in = STAND_INS[name]
    place = stand_in.places[-1]
    page = place.holding([stand_in.other_order(NOW - HOUR_MS)] * 100)
    door.pages[place.request] = [page, place.holding([stand_in.other_order(NOW - 2 * HOUR_MS)] * 99)]
    assert adapter.find_order("BTCUSDT", CLIENT_ID) is None
    assert len(door.requests_to(place.request)) == 2


@pytest.mark.parametrize("name", PAGED)
def test_a_list_that_does_not_end_is_in_doubt(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = asked
    stand_in = STAND_INS[name]
    place = stand_in.places[-1]
    door.pages[place.request] = [
        place.holding([stand_in.other_order(NOW - page * HOUR_MS)] * 100) for page in range(1, 50)
    ]
    with pytest.raises(TransientError, match="do not end"):
        adapter.find_order("BTCUSDT", CLIENT_ID)
    assert len(door.requests_to(place.request)) == 10


@pytest.mark.parametrize("name", PAGED)
def test_a_list_that_gives_the_same_page_again_is_in_doubt(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = asked
    stand_in = STAND_INS[name]
    place = stand_in.places[-1]
    door.replies[place.request] = (200, place.holding([stand_in.other_order(NOW - HOUR_MS)] * 100))
    with pytest.raises(TransientError, match="do not end"):
        adapter.find_order("BTCUSDT", CLIENT_ID)
    assert len(door.requests_to(place.request)) == 2


# doubt


@pytest.mark.parametrize(
    ("name", "request_to", "broken"),
    [
        (name, request_to, kind)
        for turn, (name, request_to) in enumerate(EVERY_REQUEST)
        for kind in pick_sample(list(GARBAGE), 3, turn)
    ],
)
def test_a_doubt_anywhere_is_never_that_the_order_is_not_there(
    asked: tuple[Door, CcxtAdapter], name: str, request_to: str, broken: str
) -> None:
    door, adapter = asked
    door.broken[request_to] = GARBAGE[broken]
    with pytest.raises(TransientError) as raised:
        adapter.find_order("BTCUSDT", CLIENT_ID)
    assert raised.value.code in {"doubtful_reply", "exchange_unavailable"}
    door.broken.clear()
    assert adapter.find_order("BTCUSDT", CLIENT_ID) is None, "what was guessed in doubt is forgotten"


@pytest.mark.parametrize("broken", GARBAGE_OF_OBJECTS.values(), ids=GARBAGE_OF_OBJECTS)
@pytest.mark.parametrize(
    ("name", "request_to"),
    [(name, request_to) for name, request_to in EVERY_REQUEST if name not in {"binance", "gate", "coinbase", "mexc"}],
)
def test_an_object_that_is_not_the_exchange_s_is_a_doubt(
    asked: tuple[Door, CcxtAdapter], name: str, request_to: str, broken: Broken
) -> None:
    door, adapter = asked
    door.broken[request_to] = broken
    with pytest.raises(TransientError):
        adapter.find_order("BTCUSDT", CLIENT_ID)


@pytest.mark.parametrize(
    ("name", "body"),
    [("coinbase", "[]"), ("coinbase", '{"iso":"x"}'), ("gate", '{"a":[]}'), ("gate", '{"a":{}}'), ("mexc", '{"a":{}}')],
)
def test_a_list_in_another_form_is_a_doubt(asked: tuple[Door, CcxtAdapter], name: str, body: str) -> None:
    door, adapter = asked
    door.broken[STAND_INS[name].places[-1].request] = Broken(body)
    with pytest.raises(TransientError):
        adapter.find_order("BTCUSDT", CLIENT_ID)


@pytest.mark.parametrize("name", STAND_INS)
def test_a_limit_is_known_by_its_status_where_its_words_have_no_meaning(
    asked: tuple[Door, CcxtAdapter], exchange: Exchange, name: str
) -> None:
    door, adapter = asked
    door.broken[STAND_INS[name].places[0].request] = Broken('{"error":"slow_down","code":"1"}', 429)
    with pytest.raises(RateLimitedError) as raised:
        adapter.find_order("BTCUSDT", CLIENT_ID)
    assert raised.value.retry_after_s == 60
    assert exchange.slept == []


@pytest.mark.parametrize("broken", [Broken("<html></html>"), Broken("", 503), Broken(None)], ids=str)
@pytest.mark.parametrize(("name", "aside"), EVERY_ASIDE)
def test_an_order_is_not_sent_where_the_kind_of_account_is_in_doubt(
    asked: tuple[Door, CcxtAdapter], name: str, aside: str, broken: Broken
) -> None:
    door, adapter = asked
    door.broken[aside] = broken
    placement = adapter.place_order(
        OrderRequest("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True)
    )
    assert isinstance(placement, OrderRejected)
    assert [place for place, _ in door.asked] == [aside]


@pytest.mark.parametrize(("name", "place"), EVERY_PLACE, ids=label)
def test_another_order_is_not_taken_for_ours(asked: tuple[Door, CcxtAdapter], name: str, place: Place) -> None:
    """Where the exchange was asked for ours alone, that it tells of another is a doubt."""
    door, adapter = asked
    door.replies[place.request] = (200, place.holding([STAND_INS[name].other_order()]))
    if place.all_orders:
        assert adapter.find_order("BTCUSDT", CLIENT_ID) is None
    else:
        with pytest.raises(TransientError) as raised:
            adapter.find_order("BTCUSDT", CLIENT_ID)
        assert raised.value.code == "doubtful_reply"


@pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name, place in EVERY_PLACE if place.all_orders], ids=label
)
def test_an_order_without_an_id_puts_the_list_in_doubt(
    asked: tuple[Door, CcxtAdapter], name: str, place: Place
) -> None:
    door, adapter = asked
    door.replies[place.request] = (200, place.holding([{}]))
    with pytest.raises(TransientError) as raised:
        adapter.find_order("BTCUSDT", CLIENT_ID)
    assert raised.value.code == "doubtful_reply"


@pytest.mark.parametrize(
    ("name", "place"),
    [(name, place) for name, place in EVERY_PLACE if name in {"okx", "kraken", "kucoin", "gate", "coinbase"}],
    ids=label,
)
def test_our_order_on_another_market_is_a_doubt(asked: tuple[Door, CcxtAdapter], name: str, place: Place) -> None:
    """The others' names of a market that is not in use are taken by ccxt for the one that was asked for."""
    door, adapter = asked
    order = json.dumps(STAND_INS[name].order(place.tells[0]))
    for bitcoin, ether in (("BTC", "ETH"), ("XBT", "ETH"), ("btc", "eth")):
        order = order.replace(bitcoin, ether)
    door.replies[place.request] = (200, place.holding([json.loads(order)]))
    with pytest.raises(TransientError) as raised:
        adapter.find_order("BTCUSDT", CLIENT_ID)
    assert raised.value.code == "doubtful_reply"


@pytest.mark.parametrize(("name", "place"), EVERY_PLACE, ids=label)
def test_a_read_that_fails_once_is_asked_again(
    asked: tuple[Door, CcxtAdapter], exchange: Exchange, name: str, place: Place
) -> None:
    door, adapter = asked
    door.pages[place.request] = [{"message": "maintenance"}]
    assert adapter.find_order("BTCUSDT", CLIENT_ID) is None
    assert exchange.slept == [0.25]
    assert len(door.requests_to(place.request)) == 2


@pytest.mark.parametrize("name", ["kraken"])
def test_trouble_that_is_told_with_http_200_is_asked_again(
    asked: tuple[Door, CcxtAdapter], exchange: Exchange, name: str
) -> None:
    door, adapter = asked
    place = STAND_INS[name].places[0].request
    door.pages[place] = [{"error": ["EService:Unavailable"]}, {"error": ["EGeneral:Internal error"]}]
    assert adapter.find_order("BTCUSDT", CLIENT_ID) is None
    assert exchange.slept == [0.25, 1]


@pytest.mark.parametrize("name", ["kraken"])
def test_a_clock_that_stays_off_is_not_asked_about_for_ever(
    asked: tuple[Door, CcxtAdapter], exchange: Exchange, name: str
) -> None:
    door, adapter = asked
    place = STAND_INS[name].places[0].request
    door.broken[place] = Broken('{"error":["EAPI:Invalid nonce"]}')
    door.replies["GET /0/public/Time"] = (200, {"error": [], "result": {"unixtime": NOW // 1000}})
    with pytest.raises(TransientError):
        adapter.find_order("BTCUSDT", CLIENT_ID)
    assert len(door.requests_to(place)) == 2
    assert exchange.slept == []
