"""What waits: quiet hours, fills that are told together, the digest, and whatever is heard out of order."""

from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from botbalance.api.overview_schemas import OverviewView
from botbalance.errors import ConflictError
from botbalance.models.activity import ActivityKind
from botbalance.models.notification import Channel, DeliveryState
from botbalance.models.strategy import Strategy
from botbalance.notifications.preferences import delete_preferences, send_test
from botbalance.trading.overview import overview

from tests.integration.notifications.conftest import START, World

D = Decimal
HOUR_S = 3_600


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def fill(world: World, side: str = "buy", account: str = "binance") -> Any:
    exchange = account.partition("#")[0]
    after = {
        "exchange": exchange,
        "account": account,
        "symbol": "BTCUSDT",
        "base": "BTC",
        "quote": "USDT",
        "side": side,
        "price": "40000",
    }
    return world.happens(
        ActivityKind.ORDER_FILLED, subject="abc", after=after | {"base_qty": "0.01", "fee": "0.4", "fee_asset": "USDT"}
    )


@pytest.mark.parametrize("order", list(permutations(range(4)))[::3])
def test_out_of_order_and_twice_each_message_arrives_once(world: World, order: tuple[int, ...]) -> None:
    world.set_up(Channel.WEBHOOK)
    written = []
    for number in range(4):
        world.now = START + 60 * number
        action = ActivityKind.INCIDENT_RESOLVED if number % 2 else ActivityKind.INCIDENT_OPENED
        written.append(world.happens(action, subject="no_decision:", reason=f"{number}"))
    for number in order:
        world.stream(written[number])
        world.stream(written[number], written[order[0]])
        world.deliver(times=2)
    world.go_on(HOUR_S)
    told = [(body["type"], body["data"]["reason"]) for body in world.stand_in.bodies()]
    assert sorted(told) == sorted(
        (f"no_decision.{'resolved' if number % 2 else 'opened'}", str(number)) for number in range(4)
    )


def alices_strategy(**changes: Any) -> Strategy:
    parameters: dict[str, Any] = {
        "user_id": "alice",
        "exchange": "binance",
        "quote_asset": "USDT",
        "target_allocations": {"BTC": D(50), "USDT": D(50)},
        "order_size_pct": D(1),
        "order_step_pct": D("0.4"),
        "min_delta_quote": D(50),
    }
    return Strategy(**parameters | changes)


def test_an_incident_that_goes_on_is_told_once(world: World) -> None:
    world.set_up(Channel.SLACK)
    for minute in range(10):
        world.now = START + 60 * minute
        world.tell(world.happens(ActivityKind.INCIDENT_OPENED, subject="order_lost:1", reason="lost"))
    assert len(world.stand_in.received) == 1


def test_what_is_not_loud_waits_for_the_end_of_quiet_hours(world: World) -> None:
    world.now = at("2026-01-15T22:30")
    world.set_up(Channel.TELEGRAM, quiet_from=22, quiet_until=7)
    world.tell(world.happens(ActivityKind.STRATEGY_CHANGED, actor="user", after={"a": "1"}))
    assert world.stand_in.received == []
    world.tell(world.happens(ActivityKind.INCIDENT_OPENED, subject="order_lost:1", reason="lost"))
    assert len(world.stand_in.received) == 1, "trouble wakes its owner"
    world.go_on(8 * HOUR_S)
    assert len(world.stand_in.received) == 1
    world.go_on(HOUR_S)
    assert [body["text"].splitlines()[0] for body in world.stand_in.bodies()][1:] == ["The strategy was changed"]


def test_fills_are_told_by_nobody_unless_that_is_wanted(world: World) -> None:
    world.set_up(Channel.WEBHOOK)
    world.tell(fill(world))
    world.go_on(HOUR_S)
    assert world.stand_in.received == []


def test_fills_of_a_quarter_of_an_hour_are_one_message_however_the_stream_brings_them(world: World) -> None:
    world.now = at("2026-01-15T12:01")
    world.set_up(Channel.WEBHOOK, fills="loud")
    fills = []
    for minute in range(5):
        world.now = at(f"2026-01-15T12:0{1 + minute}")
        fills.append(fill(world, "sell" if minute == 4 else "buy"))
    world.tell(fills[3], fills[1])
    world.tell(*fills)
    assert world.stand_in.received == []
    world.go_on(10 * 60 + 118)
    assert world.stand_in.received == []
    world.go_on(60)
    (body,) = world.stand_in.bodies()
    assert body["type"] == "order.filled"
    assert body["data"]["title"] == "5 fills in BTCUSDT"
    assert body["data"]["text"].splitlines() == [
        *["bought 0.01 BTC at 40000 USDT on binance"] * 4,
        "sold 0.01 BTC at 40000 USDT on binance; fees 2 USDT",
    ]
    assert len(body["data"]["fills"]) == 5
    world.tell(*fills)
    world.go_on(HOUR_S)
    assert len(world.stand_in.received) == 1


@pytest.mark.parametrize(
    ("accounts", "title", "fees"),
    [
        (["binance-paper#1"] * 2, "[PAPER] 2 fills in BTCUSDT", " on binance-paper#1; fees 0.8 USDT"),
        (["binance"] * 2, "2 fills in BTCUSDT", " on binance; fees 0.8 USDT"),
        (["binance-paper#1", "binance"], "2 fills in BTCUSDT, 1 of them on paper", "-paper#1; fees 0.4 USDT"),
        (["binance-testnet"] * 2, "[TEST] 2 fills in BTCUSDT", " on binance-testnet; fees 0.8 USDT"),
    ],
)
def test_fills_are_marked_by_where_they_were_and_paper_is_summed_apart(
    world: World, accounts: list[str], title: str, fees: str
) -> None:
    world.set_up(Channel.WEBHOOK, fills="loud")
    world.tell(*[fill(world, "sell", account) for account in accounts])
    world.go_on(HOUR_S)
    (body,) = world.stand_in.bodies()
    assert body["data"]["title"] == title
    assert body["data"]["text"].splitlines()[-1].endswith(fees)


def test_the_digest_comes_once_a_day_at_its_owner_s_hour_whatever_happened(world: World) -> None:
    world.now = at("2026-01-15T12:00")
    world.set_up(Channel.WEBHOOK, digest="silent", digest_hour=8, time_zone="Europe/Berlin")
    world.services.strategies.save(
        alices_strategy(
            autopilot_enabled=False,
            disabled_reason="the exchange refuses the API key",
        )
    )
    for account in ("binance", "binance-paper#1", "binance-paper#1"):
        fill(world, account=account)
    times = []
    for _ in range(3 * 24):
        before = len(world.stand_in.received)
        world.go_on(HOUR_S)
        times += [world.now] * (len(world.stand_in.received) - before)
    assert times == [at(f"2026-01-{day}T07:00") for day in (16, 17, 18)]
    first, second, _ = (body["data"]["text"].splitlines() for body in world.stand_in.bodies())
    assert first[0] == "Autopilot: OFF (the exchange refuses the API key)"
    assert "1 fill on binance in the last day; fees 0.4 USDT" in first
    assert "2 fills on binance-paper#1 in the last day; fees 0.8 USDT" in first
    assert "0 fills in the last day" in second
    assert "The account was not looked at yet, so there are no figures." in first


def test_a_digest_is_not_made_twice_by_two_schedules_at_once(world: World) -> None:
    world.now = at("2026-01-15T12:00")
    world.set_up(Channel.WEBHOOK, digest="silent", digest_hour=13)
    world.now = at("2026-01-15T13:00:30")
    stored = world.context.table.find("alice")
    assert stored is not None
    assert world.due() == 1
    assert world.due() == 0
    world.deliver(times=2)
    assert len(world.stand_in.received) == 1


def test_a_job_that_the_queue_lost_is_queued_again(world: World) -> None:
    world.set_up(Channel.WEBHOOK)
    world.stream(world.happens(ActivityKind.INCIDENT_OPENED, subject="order_lost:1", reason="lost"))
    world.services.sqs.purge_queue(QueueUrl=world.services.settings.delivery_queue_url)
    world.go_on(119)
    assert world.stand_in.received == []
    world.go_on(60)
    assert len(world.stand_in.received) == 1


def test_nobody_is_told_who_has_not_asked_and_nobody_of_somebody_else(world: World) -> None:
    world.set_up(Channel.WEBHOOK)
    world.tell(world.happens(ActivityKind.INCIDENT_OPENED, "bob", subject="order_lost:1", reason="bob's"))
    assert world.stand_in.received == []
    assert world.deliveries("bob") == []


def test_what_waits_when_settings_are_deleted_is_named_as_failed(world: World) -> None:
    world.set_up(Channel.WEBHOOK)
    world.stream(world.happens(ActivityKind.INCIDENT_OPENED, subject="order_lost:1", reason="lost"))
    delete_preferences(world.context, "alice")
    world.deliver()
    assert world.stand_in.received == []
    (failed,) = world.deliveries()
    assert (failed.state, failed.error) == (DeliveryState.FAILED, "the channel is not set up any more")


def test_a_test_reaches_a_channel_that_is_off_and_switches_it_on(world: World) -> None:
    with pytest.raises(ConflictError, match="no channel"):
        send_test(world.context, "alice")
    world.set_up(Channel.WEBHOOK)
    world.stand_in.answers = [(410, {}, "")]
    world.tell(world.happens(ActivityKind.INCIDENT_OPENED, subject="order_lost:1", reason="lost"))
    stored = world.context.table.find("alice")
    assert stored is not None
    assert not stored.tells_trouble
    send_test(world.context, "alice")
    world.deliver()
    again = world.context.table.find("alice")
    assert again is not None
    assert again.tells_trouble


def test_what_this_version_does_not_understand_holds_up_nothing_else(world: World) -> None:
    world.set_up(Channel.WEBHOOK)
    written = world.happens(ActivityKind.INCIDENT_OPENED, subject="order_lost:1", reason="lost")
    image = {"user_id": {"S": "alice"}, "document": {"S": '{"schema_version": 9}'}}
    good = {"user_id": {"S": "alice"}, "document": {"S": written.model_dump_json()}}
    records = [{"eventName": "INSERT", "dynamodb": {"NewImage": one}} for one in (image, good)]
    assert world._runtime.invoke("notify.collect.lambda_handler", {"Records": records})["queued"] == 1


@pytest.mark.parametrize(("document", "told_bob"), [("settings", 0), ("strategy", 1), ("incident", 0)])
def test_what_another_version_wrote_of_one_user_holds_up_nobody_else(
    world: World, caplog: pytest.LogCaptureFixture, document: str, told_bob: int
) -> None:
    """Whose strategy cannot be read is told all the same: it may be told just that."""
    settings, subject = world.services.settings, "order_lost:1"
    for user in ("alice", "bob"):
        world.set_up(Channel.WEBHOOK, user_id=user)
    table, item = {
        "settings": (settings.notifications_table, {"item": {"S": "settings"}}),
        "strategy": (settings.strategies_table, {}),
        "incident": (settings.notifications_table, {"item": {"S": f"incident#{subject}"}}),
    }[document]
    world.services.dynamodb.update_item(
        TableName=table,
        Key={"user_id": {"S": "bob"}} | item,
        UpdateExpression="SET document = :document",
        ExpressionAttributeValues={":document": {"S": '{"activities": 9, "schema_version": 9}'}},
    )
    happened = [world.happens(ActivityKind.INCIDENT_OPENED, user, subject=subject) for user in ("bob", "alice")]
    world.tell(*happened)
    assert (len(world.deliveries("bob")), len(world.deliveries("alice"))) == (told_bob, 1)
    assert len(world.stand_in.received) == told_bob + 1
    told = [record.__dict__ for record in caplog.records if "alarm" in record.__dict__]
    assert [(alarm["alarm"], alarm["user_id"]) for alarm in told] == [("unknown_schema", "bob")] * (1 - told_bob)


def test_a_message_that_cannot_be_made_stops_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.now = at("2026-01-15T12:00")
    for user in ("alice", "bob", "carol"):
        world.set_up(Channel.WEBHOOK, user_id=user, digest="silent", digest_hour=13)
    world.now = at("2026-01-15T13:00")
    whole = type(world.services.context.accounts).find_state

    def broken(table: Any, user_id: str) -> Any:
        if user_id == "bob":
            raise KeyError("of another version")
        return whole(table, user_id)

    with monkeypatch.context() as patch:
        patch.setattr(type(world.services.context.accounts), "find_state", broken)
        assert world.due() == 2
    assert world.due() == 1, "a minute later it can be made"


def test_where_real_money_runs_and_nobody_would_hear_of_trouble_the_overview_says_so(world: World) -> None:
    def says(stand_in: str | None = None) -> bool:
        return OverviewView.of(overview(world.services.context, "alice"), stand_in).nobody_told

    assert not says(), "there is no strategy yet"
    strategy = alices_strategy()
    stored = world.services.strategies.save(strategy)
    assert not says(), "the autopilot is off"
    world.services.strategies.save(stored.model_copy(update={"autopilot_enabled": True}))
    assert says()
    assert not says("binance"), "that money is nobody's"
    world.set_up(Channel.WEBHOOK)
    assert not says()
    world.set_up(Channel.WEBHOOK, trouble="off")
    assert says()
    world.set_up(Channel.WEBHOOK)
    world.stand_in.answers = [(410, {}, "")]
    world.tell(world.happens(ActivityKind.INCIDENT_OPENED, subject="order_lost:1", reason="lost"))
    assert says(), "its only channel is off"
