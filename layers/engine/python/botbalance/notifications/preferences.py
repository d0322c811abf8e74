"""An owner's choice of where to be told of what, and the test of it."""

import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from botbalance.errors import ConflictError, InvalidRequestError
from botbalance.models.activity import ActivityKind
from botbalance.models.notification import Channel, Delivery, NotificationSettings, StoredNotifications, Volume
from botbalance.notifications.context import TEST, NotificationContext, deliveries_to_all
from botbalance.notifications.schedule import next_digest_at
from botbalance.settings import LOOPBACK_HOSTS
from botbalance.trading.trail import new_activity

_NEEDED = {
    Channel.TELEGRAM: ("bot_token", "chat_id"),
    Channel.DISCORD: ("url",),
    Channel.SLACK: ("url",),
    Channel.EMAIL: ("address",),
    Channel.WEBHOOK: ("url",),
}
"""What has to be said of each channel."""
_HOSTS = {
    Channel.DISCORD: ("discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com"),
    Channel.SLACK: ("hooks.slack.com", "hooks.slack-gov.com"),
}


@dataclass(frozen=True, slots=True)
class SavedPreferences:
    """What was stored; ``signing_secret`` is that of a webhook for which one was made, shown this once."""

    stored: StoredNotifications
    signing_secret: str | None


def save_preferences(
    context: NotificationContext,
    user_id: str,
    wanted: Mapping[str, Any],
    channels: Mapping[Channel, Mapping[str, str]],
    *,
    own_address: str | None,
) -> SavedPreferences:
    """Store ``wanted`` (as NotificationSettings names it) and ``channels``, by what is said of each.

    One of which nothing is said stays as it is stored; one that is left out is forgotten. ``own_address`` is the
    verified e-mail address of whoever asks, None where that is not known. Raises InvalidRequestError.
    """
    before = context.table.find(user_id)
    hints, ciphertexts, signing_secret = {}, {}, None
    for channel, said in channels.items():
        if not said and before is not None and channel in before.secrets:
            hints[channel] = before.settings.channels[channel]
            continue
        secret = dict(said)
        _require_valid(context, channel, secret, own_address)
        if channel is Channel.WEBHOOK and "secret" not in secret:
            signing_secret = secret["secret"] = f"whsec_{b64encode(secrets.token_bytes(24)).decode()}"
        hints[channel] = _hint(channel, secret)
        ciphertexts[channel] = context.table.encrypt(user_id, channel, secret)
    settings = NotificationSettings.model_validate({**wanted, "user_id": user_id, "channels": hints})
    told = new_activity(
        context.trading,
        user_id,
        ActivityKind.NOTIFICATIONS_CHANGED,
        before=None if before is None else _told(before.settings),
        after=_told(settings),
    )
    next_at = next_digest_at(settings, context.now()) if hints else None
    context.table.save(settings, ciphertexts, next_at, context.trading.activity.transact_put(told))
    stored = context.table.find(user_id)
    if stored is None:
        raise ConflictError("notifications_deleted", "the settings were deleted meanwhile; store them again")
    return SavedPreferences(stored, signing_secret)


def delete_preferences(context: NotificationContext, user_id: str) -> None:
    """Forget where and what the user is told; nothing where that was not known."""
    before = context.table.find(user_id)
    if before is not None:
        told = new_activity(
            context.trading, user_id, ActivityKind.NOTIFICATIONS_DELETED, before=_told(before.settings), after={}
        )
        context.table.delete(user_id, context.trading.activity.transact_put(told))


def send_test(context: NotificationContext, user_id: str) -> list[Delivery]:
    """Send a message to every channel of the user, one that is off too; returns the deliveries, which wait.

    Raises ConflictError where there is no channel.
    """
    stored, now = context.table.find(user_id), context.now()
    if stored is None or not stored.settings.channels:
        raise ConflictError("no_channel", "no channel is set up, expected at least one: PUT notifications/ first")
    deliveries = deliveries_to_all(
        stored,
        Volume.LOUD,
        now,
        message_id=f"{now * 1000:013}#test-{uuid4().hex[:8]}",
        kind=TEST,
        title=f"{context.mark(user_id)}This is a test",
        text="BotBalance reaches you here.",
    )
    context.queue.send(context.create(stored, deliveries))
    return deliveries


def _require_valid(
    context: NotificationContext, channel: Channel, secret: Mapping[str, str], own_address: str | None
) -> None:
    missing = [name for name in _NEEDED[channel] if not secret.get(name)]
    if missing:
        raise InvalidRequestError(
            "channel_incomplete", f"channels.{channel} has no {missing[0]}, and none is stored; expected one"
        )
    is_local = context.senders.allows_loopback
    if channel is Channel.EMAIL:
        _require_own(context, secret["address"], own_address)
        return
    if "url" not in secret:
        return
    url = urlsplit(secret["url"])
    if is_local and url.hostname in LOOPBACK_HOSTS:
        return
    hosts = _HOSTS.get(channel)
    if url.scheme != "https" or not url.hostname or "@" in url.netloc or (hosts and url.hostname not in hosts):
        expected = f"https://{hosts[0]}/…" if hosts else "https://host/…, without a user in it"
        raise InvalidRequestError("invalid_url", f"channels.{channel}.url cannot be sent to, expected {expected}")


def _require_own(context: NotificationContext, address: str, own_address: str | None) -> None:
    """Mail goes to whoever asks for it alone: else anybody could have it sent to anybody."""
    if not context.senders.sends_email:
        raise InvalidRequestError(
            "email_not_set_up", "channels.email is given, and whoever runs this has not set up e-mail"
        )
    if context.senders.allows_loopback or (own_address is not None and own_address.lower() == address.lower()):
        return
    raise InvalidRequestError(
        "email_not_yours", "channels.email.address is not the verified address that you sign in with, expected that"
    )


def _hint(channel: Channel, secret: Mapping[str, str]) -> str:
    """What may be shown of where a channel leads."""
    match channel:
        case Channel.TELEGRAM:
            return f"chat …{secret['chat_id'][-4:]}"
        case Channel.EMAIL:
            name, _, domain = secret["address"].rpartition("@")
            return f"{name[:1]}…@{domain}"
        case Channel.WEBHOOK:
            return urlsplit(secret["url"]).hostname or ""
        case _:
            return f"…{secret['url'][-4:]}"


def _told(settings: NotificationSettings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude={"schema_version", "user_id"})
