"""Senders: hand one message to its channel, once, and say what became of it. Nothing here is tried again."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

from botbalance.models.notification import Channel, Delivery
from botbalance.notifications.channels import TELEGRAM_URL, email_text, post_request
from botbalance.notifications.https import (
    BlockedAddressError,
    NoAnswerError,
    NotSentError,
    PostResponse,
    Resolve,
    post,
    resolve,
)

LONGEST_RETRY_AFTER_S = 6 * 3_600
"""Whoever asks for a longer wait is asked again then."""


class Result(StrEnum):
    """What became of handing over a message."""

    SENT = "sent"
    TRY_AGAIN = "try_again"
    """The channel did not take it."""
    REFUSED = "refused"
    """The channel will never take this message."""
    GONE = "gone"
    """The channel will never take any message: its address or its token is none any more."""
    UNKNOWN = "unknown"
    """It may have been taken, or not."""


@dataclass(frozen=True, slots=True)
class SendOutcome:
    """``error`` in words, without secrets; ``retry_after_s`` is what the channel asked for."""

    result: Result
    error: str | None = None
    retry_after_s: int | None = None


class Senders:
    """``mailer`` makes the client of SES, and ``email_from`` is from where mail comes; empty where none is sent.

    ``allows_loopback``: whether messages may go to this machine itself, unencrypted.
    """

    def __init__(
        self,
        *,
        mailer: Callable[[], Any],
        email_from: str,
        allows_loopback: bool = False,
        telegram_url: str = TELEGRAM_URL,
        resolving: Resolve = resolve,
    ) -> None:
        self._mailer = mailer
        self._email_from = email_from
        self.allows_loopback = allows_loopback
        self.sends_email = bool(email_from)
        self._telegram_url = telegram_url
        self._resolving = resolving

    def send(self, delivery: Delivery, secret: Mapping[str, str], now: int) -> SendOutcome:
        """Hand ``delivery`` to its channel, whose decrypted ``secret`` has its address."""
        if delivery.channel is Channel.EMAIL:
            return self._send_mail(delivery, secret)
        request = post_request(delivery, secret, now, telegram_url=self._telegram_url)
        try:
            answer = post(request, allows_loopback=self.allows_loopback, resolving=self._resolving)
        except BlockedAddressError as error:
            return SendOutcome(Result.REFUSED, str(error))
        except NotSentError as error:
            return SendOutcome(Result.TRY_AGAIN, str(error))
        except NoAnswerError as error:
            return SendOutcome(Result.UNKNOWN, str(error))
        return _outcome(delivery.channel, answer)

    def _send_mail(self, delivery: Delivery, secret: Mapping[str, str]) -> SendOutcome:
        if not self._email_from:
            return SendOutcome(Result.REFUSED, "whoever runs this has not set up e-mail")
        subject, text = email_text(delivery)
        try:
            self._mailer().send_email(
                FromEmailAddress=self._email_from,
                Destination={"ToAddresses": [secret["address"]]},
                Content={
                    "Simple": {
                        "Subject": {"Data": subject, "Charset": "UTF-8"},
                        "Body": {"Text": {"Data": text, "Charset": "UTF-8"}},
                    }
                },
            )
        except ClientError as error:
            return _mail_outcome(error)
        except (EndpointConnectionError, ConnectTimeoutError) as error:
            return SendOutcome(Result.TRY_AGAIN, f"the mail service was not reached ({type(error).__name__})")
        except BotoCoreError as error:
            return SendOutcome(Result.UNKNOWN, f"the mail service did not answer ({type(error).__name__})")
        return SendOutcome(Result.SENT)


def _outcome(channel: Channel, answer: PostResponse) -> SendOutcome:
    status = answer.status
    said = f"{channel} answered {status}"
    if 200 <= status < 300:
        return SendOutcome(Result.SENT)
    if 300 <= status < 400:
        return SendOutcome(Result.REFUSED, f"{said}: redirects are not followed")
    if status == 429:
        return SendOutcome(Result.TRY_AGAIN, said, _retry_after_s(answer))
    if status == 410 or (status in {401, 403, 404} and channel is not Channel.WEBHOOK):
        return SendOutcome(Result.GONE, f"{said}: the token or the address is not valid any more")
    passes = status >= 500 or status == 408 or channel is Channel.WEBHOOK
    return SendOutcome(Result.TRY_AGAIN if passes else Result.REFUSED, said)


def _retry_after_s(answer: PostResponse) -> int:
    """Seconds that the channel asks to wait: in the header, or, as Telegram and Discord have it, in the body."""
    found: Any = answer.headers.get("retry-after")
    if found is None:
        try:
            body = json.loads(answer.body)
            found = body.get("retry_after") or (body.get("parameters") or {}).get("retry_after")
        except (ValueError, AttributeError, RecursionError):
            found = None
    try:
        seconds = int(float(found)) + 1
    except (TypeError, ValueError, OverflowError):  # a date is no number; nor is what is not there
        seconds = 60
    return min(max(seconds, 1), LONGEST_RETRY_AFTER_S)


def _mail_outcome(error: ClientError) -> SendOutcome:
    code = error.response["Error"]["Code"]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    said = f"the mail service refused ({code})"
    if status == 429 or status >= 500 or code in {"TooManyRequestsException", "LimitExceededException"}:
        return SendOutcome(Result.TRY_AGAIN, said)
    return SendOutcome(Result.REFUSED, said)
