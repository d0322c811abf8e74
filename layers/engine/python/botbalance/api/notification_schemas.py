"""The shapes of where and what an owner is told, and of the messages that were sent."""

from collections.abc import Collection
from typing import Annotated, Any, Self
from zoneinfo import available_timezones

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from botbalance.api.fields import NoText, RequestModel, ResponseModel, example
from botbalance.models.notification import (
    Channel,
    ChannelHealth,
    Delivery,
    DeliveryState,
    NotificationSettings,
    StoredNotifications,
    Volume,
)

_LONGEST_URL = 500
Url = Annotated[
    str, StringConstraints(min_length=8, max_length=_LONGEST_URL, pattern=r"^https?://[!-~]+$"), Field(default=None)
]
BotToken = Annotated[str, StringConstraints(pattern=r"^[0-9]{5,15}:[A-Za-z0-9_-]{30,60}$"), Field(default=None)]
ChatId = Annotated[str, StringConstraints(pattern=r"^(-?[0-9]{1,20}|@[A-Za-z0-9_]{4,32})$"), Field(default=None)]
Address = Annotated[
    str,
    StringConstraints(max_length=254, pattern=r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"),
    Field(default=None),
]
SigningSecret = Annotated[
    str,
    StringConstraints(pattern=r"^whsec_[A-Za-z0-9+/]{32,86}={0,2}$"),
    Field(default=None, description="At least 24 bytes in base64; without one, it is made and shown once."),
]
Hour = Annotated[int, Field(ge=0, le=23), NoText]
_EVENTS = "loud, silent (no sound, and not in quiet hours) or off."


class TelegramRequest(RequestModel):
    """A bot of yours (from @BotFather) and the chat that it writes to. Empty: as it is stored."""

    bot_token: BotToken
    chat_id: ChatId


class DiscordRequest(RequestModel):
    """A webhook of one of your channels: https://discord.com/api/webhooks/… Empty: as it is stored."""

    url: Url


class SlackRequest(RequestModel):
    """An incoming webhook of your workspace: https://hooks.slack.com/services/… Empty: as it is stored."""

    url: Url


class EmailRequest(RequestModel):
    """The address that you sign in with. Empty: as it is stored."""

    address: Address


class WebhookRequest(RequestModel):
    """An address of yours that takes signed messages, as Standard Webhooks has it. Empty: as it is stored."""

    url: Url
    secret: SigningSecret


class ChannelsRequest(RequestModel):
    """Where to; one that is left out is forgotten."""

    telegram: TelegramRequest | None = None
    discord: DiscordRequest | None = None
    slack: SlackRequest | None = None
    email: EmailRequest | None = None
    webhook: WebhookRequest | None = None


class NotificationsRequest(RequestModel):
    """Where and what you want to be told. What is left out takes its default."""

    model_config = example(
        channels={"webhook": {"url": "https://example.com/botbalance"}},
        trouble="loud",
        changes="silent",
        fills="off",
        digest="silent",
        time_zone="Europe/Berlin",
        digest_hour=8,
        quiet_from=22,
        quiet_until=7,
    ) | {"extra": "forbid", "defer_build": True}

    channels: ChannelsRequest
    trouble: Volume = Field(default=Volume.LOUD, description=f"What keeps the account from being traded: {_EVENTS}")
    changes: Volume = Field(default=Volume.SILENT, description=f"What was changed, by whomever: {_EVENTS}")
    fills: Volume = Field(default=Volume.OFF, description=f"Fills, at most once in a quarter of an hour: {_EVENTS}")
    digest: Volume = Field(default=Volume.SILENT, description=f"Your day, also the sign of life: {_EVENTS}")
    time_zone: Annotated[
        str, StringConstraints(max_length=64), Field(description="By the IANA's name: Europe/Berlin.")
    ] = "UTC"
    digest_hour: Hour = Field(default=8, description="When the digest comes, in your time zone.")
    quiet_from: Hour | None = Field(default=None, description="Quiet hours begin; null, with quiet_until: none do.")
    quiet_until: Hour | None = None

    @model_validator(mode="after")
    def _require_times(self) -> Self:
        if self.time_zone not in available_timezones():
            raise PydanticCustomError("time_zone", "time_zone: a name of the IANA's, such as Europe/Berlin or UTC")
        if (self.quiet_from is None) != (self.quiet_until is None) or (
            self.quiet_from is not None and self.quiet_from == self.quiet_until
        ):
            raise PydanticCustomError("quiet_hours", "quiet_from and quiet_until: two different hours, or neither")
        return self

    def preferences(self) -> dict[str, Any]:
        """All of it but the channels."""
        return self.model_dump(exclude={"channels"})

    def addresses(self) -> dict[Channel, dict[str, str]]:
        """What is said of each channel that is wanted."""
        said = self.channels.model_dump(exclude_none=True)
        return {Channel(name): fields for name, fields in said.items()}


class ChannelView(ResponseModel):
    """A channel: where it leads, as far as that may be shown, and how it does. One that is off is tried no more."""

    model_config = example(
        channel="webhook", hint="example.com", on=True, off_reason=None, failing_since=None, last_sent_at=1_700_000_010
    )

    channel: Channel
    hint: str
    on: bool
    off_reason: str | None
    failing_since: int | None
    last_sent_at: int | None

    @classmethod
    def of(cls, channel: Channel, hint: str, health: ChannelHealth) -> "ChannelView":
        """Tell of a channel, its address shortened to ``hint``."""
        return cls(channel=channel, hint=hint, on=health.off_reason is None, **health.model_dump())


class NotificationsView(ResponseModel):
    """Where and what you are told. ``available`` are the channels that can be set up here.

    ``signing_secret`` is that of a webhook, in the answer to the request that made it and never again.
    """

    channels: list[ChannelView]
    available: list[Channel]
    trouble: Volume
    changes: Volume
    fills: Volume
    digest: Volume
    time_zone: str
    digest_hour: int
    quiet_from: int | None
    quiet_until: int | None
    signing_secret: str | None

    @classmethod
    def of(
        cls, stored: StoredNotifications | None, *, sends_email: bool, signing_secret: str | None = None
    ) -> "NotificationsView":
        """What is stored, or the defaults, as the API shows it."""
        settings = NotificationSettings(user_id="") if stored is None else stored.settings
        channels = (
            []
            if stored is None
            else [ChannelView.of(name, hint, stored.channel_health(name)) for name, hint in settings.channels.items()]
        )
        available: Collection[Channel] = [name for name in Channel if sends_email or name is not Channel.EMAIL]
        shown = settings.model_dump(exclude={"channels", "user_id", "schema_version"})
        return cls(channels=channels, available=list(available), signing_secret=signing_secret, **shown)


class DeliveryView(ResponseModel):
    """A message to one channel: ``unknown`` where it was sent and no answer came, so that it may have arrived."""

    model_config = example(
        message_id="1700000010000#digest",
        channel="telegram",
        kind="digest.daily",
        title="Your day",
        text="Autopilot: on",
        state="sent",
        attempts=1,
        created_at=1_700_000_010,
        next_attempt_at=None,
        settled_at=1_700_000_011,
        error=None,
    )

    message_id: str
    channel: Channel
    kind: str
    title: str
    text: str
    state: DeliveryState
    attempts: int
    created_at: int
    next_attempt_at: int | None
    settled_at: int | None
    error: str | None

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryView":
        """Tell of one message and how it went."""
        return cls.model_validate(
            {**delivery.model_dump(include=set(cls.model_fields)), "next_attempt_at": delivery.due_at}
        )


class DeliveriesView(ResponseModel):
    """A page of messages, newest first."""

    deliveries: list[DeliveryView]
    cursor: str | None

    @classmethod
    def of(cls, deliveries: list[Delivery], cursor: str | None) -> "DeliveriesView":
        """Tell of a page of messages; ``cursor`` leads to the next, None: there is none."""
        return cls(deliveries=[DeliveryView.of(delivery) for delivery in deliveries], cursor=cursor)
