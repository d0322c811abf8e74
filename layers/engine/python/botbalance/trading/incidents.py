"""Incidents: what keeps an account, or a part of it, from being traded, told when it begins and when it is over.

Which of them are open is in the account's state, and what is told of them is written with that state: an incident that
is told is there, and one that is there was told.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from botbalance.log import alarm
from botbalance.models.account_state import Ongoing, RefusedPair
from botbalance.models.activity import Activity, ActivityKind
from botbalance.models.decision import Decision
from botbalance.models.order import Order, OrderStatus
from botbalance.trading.context import TRADING_HALTED
from botbalance.trading.order_updates import lost_because
from botbalance.trading.refusals import REFUSALS_BEFORE_WAITING
from botbalance.trading.session import MOST_TOLD_AT_ONCE, AccountSession

ORDER_UNKNOWN_AFTER_S = 300
"""An order whose fate is still unknown by then is a person's business: its pair stays blocked."""
DOUBT_TOLD_AFTER_S = 60
"""A price that jumped is believed at the next look; what is doubted for longer is told."""
SKIPPED_BEFORE_TOLD = 20
"""Ticks in a row in which no decision could be made: ten minutes."""


class IncidentKind(StrEnum):
    """The first part of an incident's name."""

    ORDER_UNKNOWN = "order_unknown"
    """An order was sent, and nobody knows whether it arrived."""
    ORDER_LOST = "order_lost"
    """What became of an order, or of its fills, cannot be told from its exchange: its owner has to say it."""
    ORDERS_REFUSED = "orders_refused"
    """The exchange refuses a pair's orders again and again."""
    DOUBT = "doubt"
    """Something of the picture is not believed, so nothing is traded."""
    TRADING_HALTED = "trading_halted"
    """The operator has halted trading for everybody."""
    NO_DECISION = "no_decision"
    """Tick after tick no decision could be made."""


NO_DECISION = f"{IncidentKind.NO_DECISION}:"
"""The name of that incident: an account has one of them."""


def report_orders(session: AccountSession, orders: Iterable[Order], now: int) -> None:
    """Note which of the unreconciled ``orders`` a person has to look after, at ``now`` (epoch seconds).

    While the fate of one is unknown, each look is an alarm.
    """
    unknown, lost = {}, {}
    for order in orders:
        name = f"{order.side} {order.base_qty:f} {order.base} at {order.limit_price:f} {order.quote}"
        if order.is_lost:
            lost[order.client_order_id] = (
                f"order {order.client_order_id} ({name}) {lost_because(order)}; "
                f"say what became of it: POST orders/{order.client_order_id}/resolve/"
            )
        elif order.status is OrderStatus.PENDING and now - order.placed_at > ORDER_UNKNOWN_AFTER_S:
            unknown[order.client_order_id] = (
                f"order {order.client_order_id} ({name}) was sent to {order.exchange} and its fate is not known; "
                f"{order.symbol} gets no other one"
            )
            alarm(
                "order_unknown",
                "the fate of an order has been unknown for minutes",
                user_id=order.user_id,
                client_order_id=order.client_order_id,
                seconds=now - order.placed_at,
            )
    _note(session, IncidentKind.ORDER_UNKNOWN, unknown, now)
    _note(session, IncidentKind.ORDER_LOST, lost, now)


def report_refusals(session: AccountSession, pairs: Mapping[str, RefusedPair], now: int) -> None:
    """Note which ``pairs`` wait because the exchange refuses their orders, at ``now`` (epoch seconds)."""
    waiting = {
        symbol: f"orders in {symbol} are refused ({pair.reason}); they are tried again, ever more rarely"
        for symbol, pair in pairs.items()
        if pair.times >= REFUSALS_BEFORE_WAITING
    }
    _note(session, IncidentKind.ORDERS_REFUSED, waiting, now)


def report_anomalies(session: AccountSession, anomalies: Mapping[str, Ongoing], now: int) -> None:
    """Note what is not believed for longer than a look, at ``now`` (epoch seconds)."""
    lasting = {
        subject: anomaly.evidence for subject, anomaly in anomalies.items() if now - anomaly.since >= DOUBT_TOLD_AFTER_S
    }
    _note(session, IncidentKind.DOUBT, lasting, now)


def report_decision(session: AccountSession, decision: Decision) -> None:
    """Note whether trading is halted, and how many ticks in a row came to no decision."""
    now, reason = session.context.clock(), decision.reason or ""
    halted = decision.reason_code == TRADING_HALTED
    _note(session, IncidentKind.TRADING_HALTED, {"": reason} if halted else {}, now)
    skipped = session.state.skipped_in_a_row + 1 if decision.outcome == "skipped" and not halted else 0
    if skipped != session.state.skipped_in_a_row:
        session.remember(skipped_in_a_row=skipped)
    evidence = f"no decision could be made in {SKIPPED_BEFORE_TOLD} ticks in a row, the last one because: {reason}"
    _note(session, IncidentKind.NO_DECISION, {"": evidence} if skipped >= SKIPPED_BEFORE_TOLD else {}, now)


def report_no_tick(session: AccountSession, why: str, now: int) -> None:
    """Note that ticks have not even begun for as long as decisions may be missing, at ``now`` (epoch seconds)."""
    session.remember(skipped_in_a_row=SKIPPED_BEFORE_TOLD)
    evidence = f"no tick was worked on for {SKIPPED_BEFORE_TOLD} ticks or longer, the last one because: {why}"
    _note(session, IncidentKind.NO_DECISION, {"": evidence}, now)


def _note(session: AccountSession, kind: IncidentKind, found: Mapping[str, str], now: int) -> None:
    """Remember that of ``kind`` exactly ``found`` is open, as evidence by subject, and tell what began or is over.

    The evidence is the latest; that it has changed is not told. What is too much to be told in one write is neither
    remembered nor told yet: the next run finds it again.
    """
    before = {name: one for name, one in session.state.incidents.items() if name.partition(":")[0] == kind}
    named = {f"{kind}:{subject}": evidence for subject, evidence in found.items()}
    if {name: one.evidence for name, one in before.items()} == named:
        return
    incidents = dict(session.state.incidents)
    for name in named.keys() & before.keys():
        incidents[name] = before[name].model_copy(update={"evidence": named[name]})
    for name in sorted(named.keys() ^ before.keys()):
        if len(session.told) >= MOST_TOLD_AT_ONCE:
            break
        if name in named:
            incidents[name] = Ongoing(since=now, evidence=named[name])
            session.told.append(_activity(session, ActivityKind.INCIDENT_OPENED, name, named[name], now))
        else:
            del incidents[name]
            session.told.append(_activity(session, ActivityKind.INCIDENT_RESOLVED, name, before[name].evidence, now))
    session.remember(incidents=incidents)


def _activity(session: AccountSession, action: ActivityKind, name: str, evidence: str, now: int) -> Activity:
    return Activity.at(now, session.user_id, action, actor="system", subject=name, reason=evidence)
