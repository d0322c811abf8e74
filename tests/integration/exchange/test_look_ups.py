"""Looking an order up and cancelling it by its client id, as each exchange allows: ccxt's classes over real HTTP.

An order that exists must be found wherever the exchange still tells of it, and only where every place was read
without doubt is it not there.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from urllib.parse import parse_qs

import pytest
from botbalance.errors import TryAgainLater, WaitUntilAllowed
from botbalance.exchange.adapter import ExchangeOrder, ExchangeOrderStatus, Refused
from botbalance.exchange.ccxt_adapter import CcxtAdapter

from tests.integration.exchange.simulated import Exchange
from tests.integration.exchange.stand_ins import (
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
    stood_in,
)
from workbench.exchange.books import epoch_ms

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
    with stood_in(exchange, name) as (door, adapter):
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
    assert adapter.reported_client_id(CLIENT_ID) == STAND_INS[name].sent_id


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
    with pytest.raises(TryAgainLater, match="do not end"):
        adapter.find_order("BTCUSDT", CLIENT_ID)
    assert len(door.requests_to(place.request)) == 10


@pytest.mark.parametrize("name", PAGED)
def test_a_list_that_gives_the_same_page_again_is_in_doubt(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = asked
    stand_in = STAND_INS[name]
    place = stand_in.places[-1]
    door.replies[place.request] = (200, place.holding([stand_in.other_order(NOW - HOUR_MS)] * 100))
    with pytest.raises(TryAgainLater, match="do not end"):
        adapter.find_order("BTCUSDT", CLIENT_ID)
    assert len(door.requests_to(place.request)) == 2


# doubt


@pytest.mark.parametrize("broken", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize(("name", "request_to"), EVERY_REQUEST)
def test_a_doubt_anywhere_is_never_that_the_order_is_not_there(
    asked: tuple[Door, CcxtAdapter], name: str, request_to: str, broken: Broken
) -> None:
    door, adapter = asked
    door.broken[request_to] = broken
    with pytest.raises(TryAgainLater) as raised:
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
    with pytest.raises(TryAgainLater):
        adapter.find_order("BTCUSDT", CLIENT_ID)


@pytest.mark.parametrize(
    ("name", "body"),
    [("coinbase", "[]"), ("coinbase", '{"iso":"x"}'), ("gate", '{"a":[]}'), ("gate", '{"a":{}}'), ("mexc", '{"a":{}}')],
)
def test_a_list_in_another_form_is_a_doubt(asked: tuple[Door, CcxtAdapter], name: str, body: str) -> None:
    door, adapter = asked
    door.broken[STAND_INS[name].places[-1].request] = Broken(body)
    with pytest.raises(TryAgainLater):
        adapter.find_order("BTCUSDT", CLIENT_ID)


@pytest.mark.parametrize("name", STAND_INS)
def test_a_limit_is_known_by_its_status_where_its_words_have_no_meaning(
    asked: tuple[Door, CcxtAdapter], exchange: Exchange, name: str
) -> None:
    door, adapter = asked
    door.broken[STAND_INS[name].places[0].request] = Broken('{"error":"slow_down","code":"1"}', 429)
    with pytest.raises(WaitUntilAllowed) as raised:
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
    placement = adapter.place_order("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True)
    assert isinstance(placement, Refused)
    assert [place for place, _ in door.asked] == [aside]


@pytest.mark.parametrize(("name", "place"), EVERY_PLACE, ids=label)
def test_another_order_is_not_taken_for_ours(asked: tuple[Door, CcxtAdapter], name: str, place: Place) -> None:
    """Where the exchange was asked for ours alone, that it tells of another is a doubt."""
    door, adapter = asked
    door.replies[place.request] = (200, place.holding([STAND_INS[name].other_order()]))
    if place.all_orders:
        assert adapter.find_order("BTCUSDT", CLIENT_ID) is None
    else:
        with pytest.raises(TryAgainLater) as raised:
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
    with pytest.raises(TryAgainLater) as raised:
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
    with pytest.raises(TryAgainLater) as raised:
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
    with pytest.raises(TryAgainLater):
        adapter.find_order("BTCUSDT", CLIENT_ID)
    assert len(door.requests_to(place)) == 2
    assert exchange.slept == []


@pytest.mark.parametrize("name", ["kraken"])
def test_only_the_order_s_own_trades_are_told_where_the_exchange_tells_all(
    asked: tuple[Door, CcxtAdapter], name: str
) -> None:
    door, adapter = asked
    trade = {
        "ordertxid": OWN_ID,
        "pair": "XBTUSDT",
        "time": NOW / 1000,
        "type": "buy",
        "ordertype": "limit",
        "price": "39000.0",
        "cost": "156.0",
        "fee": "0.4",
        "vol": "0.004",
    }
    trades = {
        "1": trade,
        "2": trade | {"ordertxid": "another"},
        "3": trade | {"ordertxid": "third", "pair": "XETHZUSD"},
    }
    door.replies["POST /0/private/TradesHistory"] = (200, {"error": [], "result": {"trades": trades, "count": 3}})
    [fill] = adapter.trades("BTCUSDT", OWN_ID)
    assert (fill.trade_id, fill.fill.base_qty, fill.fill.fee_asset) == ("1", Decimal("0.004"), "USDT")


# sending and cancelling


@pytest.mark.parametrize(("name", "aside"), EVERY_ASIDE)
def test_an_order_is_not_sent_where_a_limit_comes_before_it(
    asked: tuple[Door, CcxtAdapter], name: str, aside: str
) -> None:
    door, adapter = asked
    door.broken[aside] = Broken("", 429)
    placement = adapter.place_order("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True)
    assert isinstance(placement, Refused)
    assert placement.code == "exchange_rate_limit"
    assert [place for place, _ in door.asked] == [aside]


@pytest.mark.parametrize("name", STAND_INS)
def test_an_order_is_sent_with_its_id(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = asked
    adapter.place_order("BTCUSDT", "buy", Decimal(39_000), Decimal("0.01"), CLIENT_ID, post_only=True)
    [sent] = [request for _, request in door.asked if request.method == "POST"]
    assert re.search(rf"[=\"]{STAND_INS[name].sent_id}($|[&\"])", sent.query + "&" + sent.body)


def let_it_rest(door: Door, name: str) -> None:
    """Let every place that can tell of an order at rest hold ours."""
    stand_in = STAND_INS[name]
    for place in stand_in.places:
        if OPEN in place.tells:
            door.replies[place.request] = (200, place.holding([stand_in.order(OPEN)]))


@pytest.mark.parametrize("name", STAND_INS)
def test_an_order_is_cancelled_as_the_exchange_names_it(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = asked
    stand_in = STAND_INS[name]
    let_it_rest(door, name)
    request_to, names_it = stand_in.cancel
    door.replies[request_to] = (200, stand_in.canceled)
    adapter.cancel_order("BTCUSDT", CLIENT_ID)
    [request] = door.requests_to(request_to)
    assert names_it in request.query + request.body.replace(": ", ":")


@pytest.mark.parametrize("name", STAND_INS)
def test_cancelling_what_is_gone_is_no_error(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = asked
    door.replies[STAND_INS[name].cancel[0]] = STAND_INS[name].gone
    adapter.cancel_order("BTCUSDT", CLIENT_ID)
    if name != "coinbase":  # nothing rests there: nothing is cancelled, and a cancel that fails is not told apart
        let_it_rest(door, name)
        adapter.cancel_order("BTCUSDT", CLIENT_ID)


@pytest.mark.parametrize("name", STAND_INS)
def test_a_cancel_that_gets_no_answer_is_sent_once_and_tried_later(
    asked: tuple[Door, CcxtAdapter], exchange: Exchange, name: str
) -> None:
    door, adapter = asked
    let_it_rest(door, name)
    door.broken[STAND_INS[name].cancel[0]] = Broken("", 503)
    with pytest.raises(TryAgainLater):
        adapter.cancel_order("BTCUSDT", CLIENT_ID)
    assert len(door.requests_to(STAND_INS[name].cancel[0])) == 1
    assert exchange.slept == []


@pytest.mark.parametrize("name", [name for name, stand_in in STAND_INS.items() if OWN_ID in "".join(stand_in.cancel)])
def test_an_order_that_ended_is_not_cancelled_by_its_own_id(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    door, adapter = asked
    stand_in = STAND_INS[name]
    door.replies[stand_in.places[-1].request] = (200, stand_in.places[-1].holding([stand_in.order(FILLED)]))
    adapter.cancel_order("BTCUSDT", CLIENT_ID)
    assert door.requests_to(stand_in.cancel[0]) == []


@pytest.mark.parametrize("name", STAND_INS)
def test_what_a_former_reply_said_is_not_taken_for_the_answer(asked: tuple[Door, CcxtAdapter], name: str) -> None:
    """ccxt looks into the last reply where a cancel on Kraken failed, also where this one got none."""
    door, adapter = asked
    cancel = STAND_INS[name].cancel[0]
    if name != "coinbase":
        let_it_rest(door, name)
    door.replies[cancel] = STAND_INS[name].gone
    adapter.cancel_order("BTCUSDT", CLIENT_ID)
    let_it_rest(door, name)
    door.broken[cancel] = Broken(None)
    with pytest.raises(TryAgainLater):
        adapter.cancel_order("BTCUSDT", CLIENT_ID)
