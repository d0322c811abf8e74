"""Judges a soak: the exchange's books against ours, and every decision against what was true."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from botbalance import bootstrap
from botbalance.models.decision import Decision, DecisionInputs
from botbalance.models.order import Order, OrderStatus
from botbalance.settings import read_settings

from workbench.aws.resources import CREDENTIALS
from workbench.simulated_exchange.matching_engine import Order as BookedOrder
from workbench.simulated_exchange.matching_engine import OrderStatus as BookedStatus
from workbench.simulated_exchange.matching_engine import Trade

type Holdings = frozenset[tuple[str, Decimal, Decimal]]
"""What an account holds: asset, free, locked."""

_SAME_STATUS = {
    BookedStatus.NEW: OrderStatus.OPEN,
    BookedStatus.PARTIALLY_FILLED: OrderStatus.PARTIALLY_FILLED,
    BookedStatus.FILLED: OrderStatus.FILLED,
    BookedStatus.CANCELED: OrderStatus.CANCELED,
    BookedStatus.EXPIRED: OrderStatus.EXPIRED,
}
_PAGE = 100


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """What really was, of one user: the exchange's books, and what it truthfully answered.

    ``holdings``: by epoch second, every honest answer to a look at the balances. ``prices``: the market's, likewise.
    """

    user_id: str
    orders: list[BookedOrder]
    trades: list[Trade]
    holdings: Mapping[int, list[Holdings]]
    prices: Mapping[int, Mapping[str, Decimal]]


@dataclass(slots=True)
class Findings:
    """What is wrong, a line each, by the name of what it counts as; and what was looked at."""

    orders_doubled: list[str] = field(default_factory=list)
    orders_lost: list[str] = field(default_factory=list)
    fills_missed: list[str] = field(default_factory=list)
    doubtful_trades: list[str] = field(default_factory=list)
    decided: set[int] = field(default_factory=set)
    skipped: dict[int, str] = field(default_factory=dict)
    """Ticks without a decision of the engine, each with its reason."""


def init_worker(environment: dict[str, str]) -> None:
    """Make this process one that can judge: with our tables at hand."""
    os.environ |= CREDENTIALS
    bootstrap.use(bootstrap.Services(read_settings(environment)))


def audit_user(truth: GroundTruth) -> Findings:
    """Everything that is wrong with one user's orders, fills and decisions."""
    context = bootstrap.services().context
    ours = list(context.orders.iter_all(truth.user_id))
    findings = Findings()
    _judge_orders(truth, ours, findings)
    _judge_fills(truth, ours, findings)
    for decision in _decisions(truth.user_id):
        if decision.outcome == "decided":
            findings.decided.add(decision.ts_tick)
            _judge_decision(truth, decision, findings)
        else:
            findings.skipped[decision.ts_tick] = decision.reason or ""
    return findings


def _judge_orders(truth: GroundTruth, ours: list[Order], findings: Findings) -> None:
    known = {order.client_order_id: order for order in ours}
    booked: dict[str, BookedOrder] = {}
    for there in truth.orders:
        name = f"{truth.user_id} {there.client_order_id} {there.symbol}"
        if there.client_order_id in booked:
            findings.orders_doubled.append(f"{name}: placed twice")
        booked[there.client_order_id] = there
        here = known.get(there.client_order_id)
        if here is None:
            findings.orders_lost.append(f"{name}: on the exchange only")
            continue
        facts: list[tuple[str, object, object]] = [
            ("side", there.side, here.side),
            ("limit_price", there.price, here.limit_price),
            ("base_qty", there.qty, here.base_qty),
            ("filled_qty", there.executed_qty, here.filled_qty),
            ("status", _SAME_STATUS[there.status], here.status),
        ]
        findings.orders_lost += [f"{name}: {fact} is {a} there and {b} here" for fact, a, b in facts if a != b]
    for here in ours:
        if here.client_order_id not in booked and here.is_active:
            findings.orders_lost.append(f"{truth.user_id} {here.client_order_id}: {here.status} here, unknown there")


def _judge_fills(truth: GroundTruth, ours: list[Order], findings: Findings) -> None:
    booked = {
        (trade.client_order_id, str(trade.trade_id), trade.price, trade.qty, trade.commission, trade.commission_asset)
        for trade in truth.trades
    }
    known = {
        (order.client_order_id, fill.trade_id, fill.price, fill.base_qty, fill.fee, fill.fee_asset)
        for order in ours
        for fill in order.fills
    }
    findings.fills_missed += [f"{truth.user_id} {fill}: on the exchange only" for fill in sorted(booked - known)]
    findings.fills_missed += [f"{truth.user_id} {fill}: here only" for fill in sorted(known - booked)]


def _judge_decision(truth: GroundTruth, decision: Decision, findings: Findings) -> None:
    name = f"{truth.user_id} tick {decision.ts_tick}"
    if decision.placed:  # looked at when it was decided: a message that comes late decides on what is true by then
        inputs = DecisionInputs.model_validate(decision.inputs)
        balances = inputs.current_balances.items()
        held: Holdings = frozenset((asset, balance.free, balance.locked) for asset, balance in balances)
        if held not in truth.holdings.get(decision.decided_at, []):
            findings.doubtful_trades.append(f"{name}: traded on balances that the exchange never truthfully gave")
        true_prices = truth.prices.get(decision.decided_at, {})
        findings.doubtful_trades += [
            f"{name}: traded at {price} for {symbol}, which was at {true_prices.get(symbol)}"
            for symbol, price in inputs.market_prices.items()
            if price != true_prices.get(symbol)
        ]


def _decisions(user_id: str) -> Iterator[Decision]:
    cursor = None
    while True:
        page = bootstrap.services().context.decisions.page(user_id, limit=_PAGE, cursor=cursor)
        yield from page.items
        cursor = page.cursor
        if cursor is None:
            return
