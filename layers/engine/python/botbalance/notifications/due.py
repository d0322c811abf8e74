"""What is due: digests, what waited for the end of quiet hours or of a period, and what is to be tried again."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import batched

from botbalance.engine.durations import DAY_S
from botbalance.errors import BotBalanceError
from botbalance.log import alarm
from botbalance.models.account_state import AccountState
from botbalance.models.activity import Activity, ActivityKind
from botbalance.models.notification import Channel, Delivery, DeliveryState, StoredNotifications
from botbalance.models.strategy import Strategy
from botbalance.notifications.context import QUEUED_FOR_S, NotificationContext, deliveries_to_all, delivery_job
from botbalance.notifications.digest import Position, digest_text, fills_text, fills_title
from botbalance.notifications.schedule import fills_period, next_digest_at
from botbalance.store.delivery_queue import DeliveryJob
from botbalance.store.notifications import SETTINGS, Due
from botbalance.store.pagination import TimeRange
from botbalance.trading.context import TradingContext
from botbalance.trading.overview import seen_account

TOGETHER = 64
"""So many pieces are worked on at a time, until the run's time is over; the rest is due a minute later."""
ENOUGH_S = 10
"""Seconds that have to be left to begin another piece."""
_INTERRUPTED = "the function that sent it was interrupted; it may have arrived"


def queue_due(context: NotificationContext, threads: int = 8) -> int:
    """Queue what is due now; returns how many deliveries that were. One that cannot be made stops no other."""
    queued = 0
    with ThreadPoolExecutor(threads) as pool:
        for some in batched(context.table.due(context.now()), TOGETHER, strict=False):
            found = [job for jobs in pool.map(lambda due: _jobs(context, due), some) for job in jobs]
            context.queue.send(found)
            queued += len(found)
            if context.trading.deadline.seconds_left() < ENOUGH_S:
                break
    return queued


def _jobs(context: NotificationContext, due: Due) -> list[DeliveryJob]:
    try:
        return _digest(context, due.user_id) if due.item == SETTINGS else _delivery(context, due)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this message's alone; it is due again
        facts = {"user_id": due.user_id, "item": due.item, "reason": f"{type(error).__name__}: {error}"}
        expected = isinstance(error, BotBalanceError)
        alarm("message_not_made", "a message could not be made", **facts, exc_info=not expected)
        return []


def _delivery(context: NotificationContext, due: Due) -> list[DeliveryJob]:
    now, delivery = context.now(), context.table.find_delivery(due.user_id, due.item)
    if delivery is None or delivery.due_at is None or delivery.due_at > now:  # the index is a moment behind
        return []
    if delivery.state is DeliveryState.SENDING and delivery.channel is not Channel.WEBHOOK:
        context.table.replace(
            delivery.model_copy(
                update={"state": DeliveryState.UNKNOWN, "due_at": None, "settled_at": now, "error": _INTERRUPTED}
            )
        )
        return []
    if delivery.content == "fills" and not delivery.text:
        delivery = _with_fills(context, delivery)
    again = delivery.model_copy(update={"state": DeliveryState.WAITING, "due_at": now + QUEUED_FOR_S})
    queued = context.table.replace(again)
    return [] if queued is None else [delivery_job(queued)]


def _with_fills(context: NotificationContext, delivery: Delivery) -> Delivery:
    first, last = fills_period(delivery.created_at)
    fills = _read_fills(context.trading, delivery.user_id, TimeRange(first, last))
    title = _fills_mark(context, delivery.user_id, fills) + fills_title(fills)
    data = {"fills": [one.after for one in fills]}
    return delivery.model_copy(update={"title": title, "text": fills_text(fills), "data": data})


def _fills_mark(context: NotificationContext, user_id: str, fills: Sequence[Activity]) -> str:
    """The mark of the exchanges that ``fills`` were on, where all have the same; the title itself says how many were on
    paper. Older versions have not told the exchange: of their fills, the strategy's."""
    exchanges = {(one.after or {}).get("exchange") for one in fills}
    marks = {context.mark(user_id) if exchange is None else context.exchange_mark(exchange) for exchange in exchanges}
    return marks.pop() if len(marks) == 1 else ""


def _digest(context: NotificationContext, user_id: str) -> list[DeliveryJob]:
    """The digest of a user, and when the next one is due; in that order, so that none is lost."""
    now, stored = context.now(), context.table.find(user_id)
    if stored is None or stored.next_digest_at is None or stored.next_digest_at > now:
        return []
    due_at, following = stored.next_digest_at, next_digest_at(stored.settings, now)
    jobs = []
    if following is not None and stored.settings.channels:
        jobs = context.create(stored, _digest_deliveries(context, stored, due_at))
    context.table.postpone_digest(user_id, due_at, now + DAY_S if following is None else following)
    return jobs


def _digest_deliveries(context: NotificationContext, stored: StoredNotifications, due_at: int) -> list[Delivery]:
    trading, user_id, now = context.trading, stored.settings.user_id, context.now()
    strategy = trading.strategies.find(user_id)
    state = trading.accounts.find_state(user_id)
    autopilot = "there is no strategy yet"
    if strategy is not None:
        autopilot = "on" if strategy.autopilot_enabled else f"OFF ({strategy.disabled_reason or 'by hand'})"
    text = digest_text(
        None if strategy is None else _position(trading, strategy, state),
        autopilot=autopilot,
        fills=_read_fills(trading, user_id, TimeRange(max(0, now - DAY_S), now)),
        open_incidents=[incident.evidence for incident in state.incidents.values()],
        now=now,
    )
    return deliveries_to_all(
        stored,
        stored.settings.digest,
        now,
        message_id=f"{due_at * 1000:013}#digest",
        kind="digest.daily",
        title=f"{context.exchange_mark(None if strategy is None else strategy.exchange)}Your day",
        text=text,
        due_at=None,  # its owner has chosen the hour
    )


def _position(trading: TradingContext, strategy: Strategy, state: AccountState) -> Position | None:
    orders = [order for order in trading.orders.unreconciled(strategy.user_id) if order.is_active]
    account = trading.find_account(strategy.user_id, strategy.exchange)
    seen = seen_account(trading, strategy, state, orders, account)
    if seen is None:
        return None
    evaluation = seen.evaluation
    return Position(
        seen.looked_at, strategy.quote_asset, evaluation.nav, seen.bonus_quote, evaluation.drift_pct, evaluation.rows
    )


def _read_fills(trading: TradingContext, user_id: str, period: TimeRange) -> Sequence[Activity]:
    """The fills of a period, oldest first."""
    activities = trading.activity.iter_all(user_id, period)
    return [one for one in activities if one.action is ActivityKind.ORDER_FILLED][::-1]
