"""NotificationContext: what the functions that tell owners work with."""

from dataclasses import dataclass

from botbalance.errors import TransientError
from botbalance.exchange.profiles import PROFILES, is_paper
from botbalance.models.notification import Delivery, StoredNotifications, Volume
from botbalance.notifications.schedule import send_at
from botbalance.notifications.senders import Senders
from botbalance.store.delivery_queue import DeliveryJob, DeliveryQueue
from botbalance.store.dynamodb import UNKNOWN_SCHEMA
from botbalance.store.notifications import NotificationsTable
from botbalance.trading.context import TradingContext

QUEUED_FOR_S = 120
"""A delivery that was queued and is still waiting after that is queued again: the queue may have lost it."""


@dataclass(frozen=True, slots=True)
class NotificationContext:
    """``stand_in`` is the exchange that is simulated here, if one is; ``senders`` hand messages to channels."""

    trading: TradingContext
    table: NotificationsTable
    queue: DeliveryQueue
    senders: Senders
    stand_in: str | None

    def now(self) -> int:
        """Epoch seconds."""
        return self.trading.clock()

    def mark(self, user_id: str) -> str:
        """What titles begin with where no real money is traded."""
        try:
            strategy = self.trading.strategies.find(user_id)
        except TransientError as error:
            if error.code != UNKNOWN_SCHEMA:
                raise
            strategy = None  # that it cannot be read is what there may be to tell
        return self.exchange_mark(None if strategy is None else strategy.exchange)

    def exchange_mark(self, exchange: str | None) -> str:
        """What titles begin with where what they tell of was on ``exchange`` and not with real money."""
        if exchange is not None and is_paper(exchange):
            return "[PAPER] "
        if self.stand_in is not None:
            return "[SIMULATED] "
        profile = None if exchange is None else PROFILES.get(exchange)
        return "[TEST] " if profile is not None and profile.is_test else ""

    def create(self, stored: StoredNotifications, messages: list[Delivery]) -> list[DeliveryJob]:
        """Store new deliveries; returns the jobs of those that are to be handed over now. Those that are there already
        stay as they are.

        What goes to a channel that is off has failed at once, and says so.
        """
        now, jobs = self.now(), []
        for message in messages:
            off = stored.channel_health(message.channel).off_reason
            if off is not None and message.kind != TEST:
                failed = {"state": "failed", "settled_at": now, "due_at": None, "error": f"the channel is off: {off}"}
                self.table.create(Delivery.model_validate(message.model_dump() | failed))
            elif message.due_at is not None:
                self.table.create(message)
            elif self.table.create(message.model_copy(update={"due_at": now + QUEUED_FOR_S})):
                jobs.append(delivery_job(message))
        return jobs


TEST = "test"
"""The kind of the message that says nothing but that messages arrive."""


def delivery_job(delivery: Delivery) -> DeliveryJob:
    """Make the message of the queue that asks for a delivery to be sent."""
    return DeliveryJob(user_id=delivery.user_id, delivery_id=delivery.delivery_id, attempts=delivery.attempts)


def deliveries_to_all(stored: StoredNotifications, volume: Volume, now: int, **message: object) -> list[Delivery]:
    """A message to each of its owner's channels; ``due_at`` is None where it may go now."""
    at = send_at(stored.settings, volume, now)
    more = {"created_at": now, "due_at": None if at <= now else at, "volume": volume} | message
    return [
        Delivery.model_validate({"user_id": stored.settings.user_id, "channel": channel, **more})
        for channel in stored.settings.channels
    ]
