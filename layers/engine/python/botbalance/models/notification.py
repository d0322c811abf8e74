"""Where an owner wants to be told of what, and each message on its way there."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel


class Channel(StrEnum):
    """A way to an owner; each at most once."""

    TELEGRAM = "telegram"
    DISCORD = "discord"
    SLACK = "slack"
    EMAIL = "email"
    WEBHOOK = "webhook"


class Volume(StrEnum):
    """How a kind of message is told. What is silent makes no sound where the channel can do without, and waits for the
    end of quiet hours."""

    LOUD = "loud"
    SILENT = "silent"
    OFF = "off"


class NotificationSettings(BaseModel, frozen=True):
    """What an owner wants to be told, and when; hours are whole ones of ``time_zone``, by the IANA's name.

    ``channels`` has what may be shown of each channel's address. Quiet hours last from ``quiet_from`` until
    ``quiet_until``; None, both of them, where there are none.
    """

    schema_version: Literal[1] = 1
    user_id: str
    channels: dict[Channel, str] = {}
    trouble: Volume = Volume.LOUD
    """What keeps the account from being traded."""
    changes: Volume = Volume.SILENT
    """What was changed, by whomever, and what is doubted for a while."""
    fills: Volume = Volume.OFF
    digest: Volume = Volume.SILENT
    """Once a day, whatever happened: it is the sign of life, too."""
    time_zone: str = "UTC"
    digest_hour: int = 8
    quiet_from: int | None = None
    quiet_until: int | None = None


class ChannelHealth(BaseModel, frozen=True):
    """How a channel does; times in epoch seconds. One that is off is not tried any more."""

    off_reason: str | None = None
    failing_since: int | None = None
    last_sent_at: int | None = None


@dataclass(frozen=True, slots=True)
class StoredNotifications:
    """Settings as they are stored, with each channel's ciphertext and health; the next digest in epoch seconds."""

    settings: NotificationSettings
    secrets: dict[Channel, bytes]
    health: dict[Channel, ChannelHealth]
    next_digest_at: int | None

    def channel_health(self, channel: Channel) -> ChannelHealth:
        """How a channel fares; as new where nothing is known of it."""
        return self.health.get(channel, ChannelHealth())

    @property
    def tells_trouble(self) -> bool:
        """Whether trouble reaches its owner by at least one channel."""
        return self.settings.trouble is not Volume.OFF and any(
            self.channel_health(channel).off_reason is None for channel in self.settings.channels
        )


class DeliveryState(StrEnum):
    """Where a message is on its way."""

    WAITING = "waiting"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It may have arrived: it was sent and no answer came. It is not sent again."""


class Delivery(BaseModel, frozen=True):
    """One message to one channel. Times in epoch seconds.

    ``message_id`` is the same for a message however often it is made: it begins with its time in 13 digits of
    milliseconds. ``content``: ``fills`` where the text is made of the fills of a period once that is over.
    """

    schema_version: Literal[1] = 1
    user_id: str
    message_id: str
    channel: Channel
    kind: str
    title: str
    text: str
    volume: Volume
    content: Literal["text", "fills"] = "text"
    data: dict[str, Any] = {}
    created_at: int
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    """How often it was handed to the channel, or was about to be."""
    retries: int = 0
    """How often the channel could not take it; what it asks us to wait for is not counted."""
    first_tried_at: int | None = None
    due_at: int | None = None
    """When to look after it next; None once it is settled."""
    settled_at: int | None = None
    error: str | None = None
    revision: int = 0

    @property
    def delivery_id(self) -> str:
        """What names it among its user's."""
        return f"delivery#{self.message_id}#{self.channel}"
