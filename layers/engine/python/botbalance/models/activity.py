"""Activity: who changed what for a user, and what the system did by itself."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, Self
from uuid import uuid4

from pydantic import BaseModel, Field

Actor = Literal["user", "system", "operator"]
"""The account's owner, BotBalance by itself, or whoever runs it."""


class ActivityKind(StrEnum):
    """What was done, as ``subject.verb``. A name, once written, keeps its meaning for good."""

    CREDENTIALS_STORED = "credentials.stored"
    CREDENTIALS_REPLACED = "credentials.replaced"
    CREDENTIALS_DELETED = "credentials.deleted"
    CREDENTIALS_REFUSED = "credentials.refused"
    """A key was not stored, for the reason that is told."""
    STRATEGY_CREATED = "strategy.created"
    STRATEGY_CHANGED = "strategy.changed"
    AUTOPILOT_ENABLED = "autopilot.enabled"
    AUTOPILOT_DISABLED = "autopilot.disabled"
    TRADING_STOPPED = "trading.stopped"
    """The stop: the autopilot off, and every resting order cancelled as far as that is told."""
    ORDERS_PLACED = "orders.placed"
    """By hand; what the autopilot places is in its decisions."""
    ORDERS_CANCELED = "orders.canceled"
    """By hand, one or all."""
    ORDER_RESOLVED = "order.resolved"
    """Its owner's word on an order that the exchange no longer knows."""
    ORDER_FILLED = "order.filled"
    """What was newly filled of an order, by whomever it was placed."""
    INCIDENT_OPENED = "incident.opened"
    """Something keeps the account, or a part of it, from being traded; ``reason`` is the evidence."""
    INCIDENT_RESOLVED = "incident.resolved"
    """It does no longer; ``reason`` is what the evidence was."""
    TRADING_PAUSED = "trading.paused"
    """A budget holds ``subject``, a pair, or the whole account where there is none; ``reason`` is the evidence."""
    TRADING_RESUMED = "trading.resumed"
    """A pause or a doubt has ended, by its owner's word, or, where it was for an hour, by itself."""
    BUDGET_WARNED = "budget.warned"
    """A budget's warning level is reached; ``reason`` is the evidence."""
    NOTIFICATIONS_CHANGED = "notifications.changed"
    NOTIFICATIONS_DELETED = "notifications.deleted"
    PAPER_OPENED = "paper.opened"
    PAPER_RESET = "paper.reset"
    """A paper account starts anew, with other balances; what was before stays as it is."""
    PAPER_TRANSFERRED = "paper.transferred"
    """A deposit on paper, or a withdrawal."""


class Activity(BaseModel, frozen=True):
    """One thing that was done to a user's account; never changed once written.

    ``activity_id`` sorts by time: epoch milliseconds in 13 digits, ``#``, and a random part. ``before`` and ``after``
    hold what changed and nothing else, without secrets; numbers are decimal strings. ``request_id`` is the API
    request's, as in the answer's ``X-Request-Id``; None for what no request did.
    """

    schema_version: Literal[1] = 1
    user_id: str
    activity_id: str = Field(pattern=r"^[0-9]{13}#[0-9a-f]{12}$")
    actor: Actor
    action: ActivityKind
    subject: str | None = None
    """Which one: an exchange, an order's client id; None where there is only one."""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    reason: str | None = None
    request_id: str | None = None

    @property
    def occurred_at(self) -> int:
        """Epoch seconds."""
        return int(self.activity_id[:13]) // 1000

    @classmethod
    def at(
        cls,
        now: int,
        user_id: str,
        action: ActivityKind,
        *,
        actor: Actor = "user",
        subject: str | None = None,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        reason: str | None = None,
        request_id: str | None = None,
    ) -> Self:
        """What happens at ``now`` (epoch seconds); of ``before`` and ``after`` only what differs is kept."""
        old, new = changes(before, after)
        return cls(
            user_id=user_id,
            activity_id=f"{now * 1000:013}#{uuid4().hex[:12]}",
            actor=actor,
            action=action,
            subject=subject,
            before=old,
            after=new,
            reason=reason,
            request_id=request_id,
        )


def changes(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What differs between the two, by its old and its new value; what only one has is in that one alone.

    >>> changes({"step": "0.4", "size": "1"}, {"step": "0.5", "size": "1"})
    ({'step': '0.4'}, {'step': '0.5'})
    """
    if before is None or after is None:
        return (None if before is None else dict(before)), (None if after is None else dict(after))
    differing = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return (
        {name: before[name] for name in differing if name in before},
        {name: after[name] for name in differing if name in after},
    )
