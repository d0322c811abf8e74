"""What each channel is sent: the request of a message. Pure, but for the signature's library.

Text is plain everywhere, so that nothing in it can break a message, address anybody or become a link of another text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from standardwebhooks.webhooks import Webhook

from botbalance.models.notification import Channel, Delivery, Volume

TELEGRAM_URL = "https://api.telegram.org"
_MOST_TELEGRAM, _MOST_DISCORD, _MOST_SLACK = 4_096, 2_000, 3_900
"""Characters that a message may have."""
_DISCORD_SILENT = 4_096
"""The flag SUPPRESS_NOTIFICATIONS."""


@dataclass(frozen=True, slots=True)
class PostRequest:
    """A POST of JSON; its URL may hold a token, so it is not in the repr."""

    url: str = field(repr=False)
    body: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def post_request(
    delivery: Delivery, secret: Mapping[str, str], now: int, *, telegram_url: str = TELEGRAM_URL
) -> PostRequest:
    """The request that brings ``delivery`` to its channel, whose decrypted ``secret`` has its address and token.

    E-mail has none: see :func:`email_text`.
    """
    text = f"{delivery.title}\n{delivery.text}" if delivery.text else delivery.title
    is_silent = delivery.volume is Volume.SILENT
    match delivery.channel:
        case Channel.TELEGRAM:
            message: dict[str, Any] = {"chat_id": secret["chat_id"], "text": _cut(text, _MOST_TELEGRAM)}
            message |= {"disable_notification": is_silent, "link_preview_options": {"is_disabled": True}}
            return PostRequest(f"{telegram_url}/bot{secret['bot_token']}/sendMessage", json.dumps(message))
        case Channel.DISCORD:
            message = {"content": _cut(text, _MOST_DISCORD), "allowed_mentions": {"parse": []}}
            message |= {"flags": _DISCORD_SILENT} if is_silent else {}
            return PostRequest(secret["url"], json.dumps(message))
        case Channel.SLACK:
            return PostRequest(secret["url"], json.dumps({"text": _cut(_slack_escaped(text), _MOST_SLACK)}))
        case Channel.WEBHOOK:
            return _signed(delivery, secret, now)
        case Channel.EMAIL:
            raise ValueError("an e-mail is no POST")


def email_text(delivery: Delivery) -> tuple[str, str]:
    """An e-mail's subject and text; no amounts are in the subject."""
    return f"BotBalance: {delivery.title}", f"{delivery.title}\n\n{delivery.text}\n"


def webhook_id(delivery: Delivery) -> str:
    """By which whoever receives a message twice knows it again: the same at every attempt."""
    return f"msg_{delivery.message_id.replace('#', '_')}"


def _signed(delivery: Delivery, secret: Mapping[str, str], now: int) -> PostRequest:
    """As Standard Webhooks has it: signed with its time, so that nobody can send it again later."""
    body = json.dumps(
        {
            "type": delivery.kind,
            "timestamp": datetime.fromtimestamp(delivery.created_at, UTC).isoformat(),
            "data": {"title": delivery.title, "text": delivery.text, "volume": delivery.volume, **delivery.data},
        }
    )
    name, at = webhook_id(delivery), datetime.fromtimestamp(now, UTC)
    return PostRequest(
        secret["url"],
        body,
        {
            "webhook-id": name,
            "webhook-timestamp": str(now),
            "webhook-signature": Webhook(secret["secret"]).sign(name, at, body),
        },
    )


def _slack_escaped(text: str) -> str:
    """By Slack's rules: nothing in it is a mention or a link then."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
