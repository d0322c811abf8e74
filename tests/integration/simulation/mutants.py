"""Faults that the product once had, or that its parts keep out, put back one at a time: the simulation finds each.

Nothing of the product knows of them; a mutant replaces a function for as long as it is entered.

PYTHONHASHSEED=0 python -m tests.integration.simulation.mutants            the table: mutant, seed, steps, invariant
PYTHONHASHSEED=0 python -m tests.integration.simulation.mutants resend     one of them
"""

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from botbalance.engine import Balance
from botbalance.errors import ConflictError, TransientError
from botbalance.exchange import ccxt_adapter, ccxt_parsing
from botbalance.exchange.adapter import ExchangeOrder, ExchangeOrderStatus, OrderRequest, OrderUnknown, SubmitResult
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.exchange.ccxt_errors import SubmitStatus
from botbalance.market_data.market_rules import MarketRulesService
from botbalance.models.order import Order, OrderStatus
from botbalance.models.strategy import Strategy
from botbalance.store import accounts
from botbalance.store.accounts import LEASE_S, AccountsTable, Lease, account_key
from botbalance.store.orders import OrdersTable
from botbalance.store.strategies import StrategiesTable
from botbalance.trading import (
    credentials,
    no_trade_ticks,
    order_updates,
    rebalance,
    reconcile,
    submission,
)
from botbalance.trading import orders as trading_orders
from botbalance.trading import tick as trading_tick
from botbalance.trading.cancellation import CancelResult
from botbalance.trading.context import TradingContext
from botbalance.trading.rebalance import PlacementResult
from botbalance.trading.reconcile import Reconciliation
from botbalance.trading.session import AccountSession

from workbench.simulation.campaign import rare_garbage_collection
from workbench.simulation.episode import Episode
from workbench.simulation.invariants import Finding

SEEDS = range(1, 11)
MOST_STEPS = 20_000
USERS = 3
BUSY_TICKS = 16
"""Of an episode: few, so that what only the books tell at the end of one is told in these steps, and several exchanges
with their manners are met."""

type Mutant = Callable[[], Sequence[Any]]


def resend() -> Sequence[Any]:
    """An order of unknown fate is sent again."""
    place_order = CcxtAdapter.place_order

    def place_twice(self: CcxtAdapter, order: OrderRequest) -> SubmitResult:
        submitted = place_order(self, order)
        if isinstance(submitted, OrderUnknown) and submitted.retry_after_s is None:
            return place_order(self, order)
        return submitted

    return [patch.object(CcxtAdapter, "place_order", place_twice)]


def no_intent() -> Sequence[Any]:
    """An order is sent without an intent."""
    return [patch.object(OrdersTable, "create", lambda *_: True)]


def unknown_is_refused() -> Sequence[Any]:
    """An order whose request failed is taken for one that was refused."""
    return [patch.object(ccxt_adapter, "classify_submit_error", lambda *_, **__: SubmitStatus.REFUSED)]


def rejected_after_open() -> Sequence[Any]:
    """An order that was acknowledged can be rejected no more: its pair stays blocked."""
    apply_order_report = order_updates.apply_order_report

    def apply(session: AccountSession, order: Order, seen: ExchangeOrder, **more: Any) -> Order:
        if seen.status is ExchangeOrderStatus.REJECTED and order.status is not OrderStatus.PENDING:
            raise ConflictError("order_transition", "OPEN never becomes REJECTED")
        return apply_order_report(session, order, seen, **more)

    return [patch.object(module, "apply_order_report", apply) for module in (order_updates, submission, reconcile)]


def strategy_checked_before_the_loop() -> Sequence[Any]:
    """Whether the strategy is still the same is no part of the intent's transaction."""

    def any_strategy(self: StrategiesTable, strategy: Strategy) -> Any:
        return {
            "TableName": self._table,
            "Key": {"user_id": {"S": strategy.user_id}},
            "ConditionExpression": "attribute_exists(user_id)",
        }

    return [patch.object(StrategiesTable, "unchanged_condition", any_strategy)]


def halt_not_read_before_each_order() -> Sequence[Any]:
    """The operator's halt is read at the beginning of a tick only."""
    return [patch.object(TradingContext, "require_no_halt", lambda _: None)]


def fills_booked_twice() -> Sequence[Any]:
    """A fill that is told again is booked again."""
    new_fills = order_updates._new_fills

    def all_fills(exchange: Any, order: Order, seen: ExchangeOrder) -> Any:
        return new_fills(exchange, order.model_copy(update={"fills": ()}), seen)

    return [patch.object(order_updates, "_new_fills", all_fills)]


def fee_in_what_was_received() -> Sequence[Any]:
    """The fee is booked in the coin that was received, whichever it was taken in."""
    new_fills = order_updates._new_fills

    def in_received(exchange: Any, order: Order, seen: ExchangeOrder) -> Any:
        received = order.base if order.side == "buy" else order.quote
        return tuple(fill.model_copy(update={"fee_asset": received}) for fill in new_fills(exchange, order, seen))

    return [patch.object(order_updates, "_new_fills", in_received)]


def never_placed_at_once() -> Sequence[Any]:
    """An order that is not found once was never placed, however young it is."""
    return [
        patch.object(order_updates, "NOT_FOUND_BELIEVED_AFTER", 1),
        patch.object(order_updates, "NEVER_PLACED_AFTER_S", -1),
        patch.object(order_updates, "CHECK_GIVEN_UP_S", 0),
    ]


def never_given_up() -> Sequence[Any]:
    """An order that was never placed stays of unknown fate for ever."""
    return [patch.object(order_updates, "NOT_FOUND_BELIEVED_AFTER", 10**9)]


def lease_is_no_lock() -> Sequence[Any]:
    """Whoever wants the account takes it, and nobody's writes are checked."""
    acquire = AccountsTable.acquire

    def take(self: AccountsTable, user_id: str, now: int, *, ts_tick: int | None = None) -> Any:
        lease, state = acquire(self, user_id, now, ts_tick=ts_tick)
        return replace(lease, ends_at=now + LEASE_S), state

    def anybody(self: Lease) -> Any:
        return {
            "TableName": self.table,
            "Key": account_key(self.user_id),
            "ConditionExpression": "attribute_exists(user_id)",
            "ExpressionAttributeValues": {},
        }

    return [
        patch.object(accounts, "LEASE_S", 0),
        patch.object(AccountsTable, "acquire", take),
        patch.object(Lease, "held_condition", anybody),
    ]


def stop_cancels_nothing() -> Sequence[Any]:
    """A stop switches the autopilot off, and that is all."""
    return [
        patch.object(module, "cancel_all", lambda *_: CancelResult([], {}))
        for module in (trading_orders, sys.modules["botbalance.trading.autopilot"])
        if hasattr(module, "cancel_all")
    ]


def stale_strategy_passes_silently() -> Sequence[Any]:
    """Whoever has just switched the autopilot on is left out of a tick without a trace."""
    find_many = StrategiesTable.find_many

    def as_if_new(self: StrategiesTable, user_ids: Collection[str]) -> dict[str, Strategy]:
        found = find_many(self, user_ids)
        return {
            user_id: strategy if strategy.is_ticked else strategy.model_copy(update={"version": 10**9})
            for user_id, strategy in found.items()
        }

    return [patch.object(StrategiesTable, "find_many", as_if_new)]


def quiet_for_ever() -> Sequence[Any]:
    """Once an account was left in order, nobody looks at it again."""
    return [patch.object(no_trade_ticks, "_still_inside", lambda *_: True)]


def stranger_s_dust_stops_all() -> Sequence[Any]:
    """A negative dust of a coin that nobody manages keeps the account from being read."""
    parse_balances = ccxt_parsing.parse_balances

    def strict(profile: Any, account: Mapping[str, Any], managed: Collection[str]) -> dict[str, Balance]:
        if any(Decimal(str(amount or 0)) < 0 for amount in account["free"].values()):
            raise TransientError("doubtful_reply", "a balance is negative")
        return parse_balances(profile, account, managed)

    return [patch.object(ccxt_adapter, "parse_balances", strict)]


def stranger_s_order_stops_all() -> Sequence[Any]:
    """A stranger's order with a status that nobody knows keeps the open orders from being read."""
    return [patch.object(ccxt_adapter, "parse_open_order", ccxt_parsing.parse_order)]


def gone_market_stays_listed() -> Sequence[Any]:
    """Nobody looks again which markets there are when the exchange knows one of them no more."""
    return [patch.object(MarketRulesService, "recheck", lambda *_: None)]


def key_deleted_beside_orders() -> Sequence[Any]:
    """A key is deleted although orders rest that only it can reach."""
    return [patch.object(credentials, "require_no_active_orders", lambda *_: None)]


def execute_says_nothing() -> Sequence[Any]:
    """An execution answers that all is well, whatever it did not send."""
    place_actions = rebalance.place_actions

    def placed_or_not(*some: Any, **more: Any) -> PlacementResult:
        return replace(place_actions(*some, **more), not_placed=[], stopped_by=None)

    return [patch.object(rebalance, "place_actions", placed_or_not)]


def lost_order_is_not_named() -> Sequence[Any]:
    """An order that rested and that the exchange no longer knows is only counted; its owner is never told."""
    apply = order_updates.apply_order_not_found

    def counted(session: AccountSession, order: Order, **more: Any) -> Order:
        return order if order.status is not OrderStatus.PENDING and order.is_active else apply(session, order, **more)

    return [patch.object(order_updates, "apply_order_not_found", counted)]


def order_in_the_look_that_saw_a_fill() -> Sequence[Any]:
    """A pair gets an order in the look that has just booked a fill there."""

    def blocked_symbols(self: Reconciliation) -> set[str]:
        return {order.symbol for order in self.unsettled if order.is_active}

    return [patch.object(Reconciliation, "blocked_symbols", blocked_symbols)]


def old_prices_size_orders() -> Sequence[Any]:
    """However long a look took, its prices size orders."""
    return [patch.object(rebalance, "_require_fresh_prices", lambda *_: None)]


def refusals_are_repeated() -> Sequence[Any]:
    """What an exchange refuses for good is sent again in every tick."""
    return [patch.object(rebalance, "waiting_pairs", lambda *_: {})]


def left_out_without_a_trace() -> Sequence[Any]:
    """Whoever's tick could not be decided is left out, and nothing is written of it."""
    return [patch.object(trading_tick, "log_tick", lambda *_: None)]


def fees_left_out_of_the_bonus() -> Sequence[Any]:
    """The bonus is what the fills brought, without what they cost."""
    as_engine_fills = Order.as_engine_fills

    def free_of_charge(self: Order) -> Any:
        fills = tuple(fill.model_copy(update={"fee": fill.fee * 0}) for fill in self.fills)
        return as_engine_fills(self.model_copy(update={"fills": fills}))

    return [patch.object(Order, "as_engine_fills", free_of_charge)]


def filled_is_what_is_told_last() -> Sequence[Any]:
    """The cumulative quantity goes down where a lagging answer says so."""
    return [patch.object(order_updates, "_filled_qty", lambda order, seen: min(order.base_qty, seen.filled_qty))]


def one_trouble_is_everybody_s() -> Sequence[Any]:
    """What one order meets ends the reconciliation of all."""
    up_to_date = reconcile._up_to_date

    def raising(session: AccountSession, order: Order, open_orders: Sequence[ExchangeOrder]) -> Order:
        try:
            return up_to_date(session, order, open_orders)
        except (TransientError, ConflictError) as error:
            raise RuntimeError(str(error)) from error

    return [patch.object(reconcile, "_up_to_date", raising)]


MUTANTS: Mapping[str, Mutant] = {
    mutant.__name__: mutant
    for mutant in (
        resend,
        no_intent,
        unknown_is_refused,
        rejected_after_open,
        strategy_checked_before_the_loop,
        halt_not_read_before_each_order,
        fills_booked_twice,
        fee_in_what_was_received,
        never_placed_at_once,
        never_given_up,
        lease_is_no_lock,
        stop_cancels_nothing,
        stale_strategy_passes_silently,
        quiet_for_ever,
        stranger_s_dust_stops_all,
        stranger_s_order_stops_all,
        gone_market_stays_listed,
        key_deleted_beside_orders,
        execute_says_nothing,
        lost_order_is_not_named,
        order_in_the_look_that_saw_a_fill,
        old_prices_size_orders,
        refusals_are_repeated,
        left_out_without_a_trace,
        fees_left_out_of_the_bonus,
        filled_is_what_is_told_last,
        one_trouble_is_everybody_s,
    )
}


@contextmanager
def put_back(name: str) -> Iterator[None]:
    """Let the product be wrong in that way."""
    with ExitStack() as stack:
        for patched in MUTANTS[name]():
            stack.enter_context(patched)
        yield


def found_by(seed: int, most_steps: int = MOST_STEPS) -> tuple[Finding, int] | None:
    """What the episodes of ``seed`` find within so many steps, and after how many."""
    steps = number = 0
    while steps < most_steps:
        episode = Episode(f"{seed}:{number}", users=USERS, busy_ticks=BUSY_TICKS)
        findings = episode.run()
        if findings and steps + findings[0].step <= most_steps:
            return findings[0], steps + findings[0].step
        steps += episode.world.scheduler.steps
        number += 1
    return None


def hunt(name: str) -> tuple[int, int, Finding] | None:
    """The first of the seeds that finds a mutant, after how many steps, and how."""
    with put_back(name), rare_garbage_collection():
        for seed in SEEDS:
            found = found_by(seed)
            if found is not None:
                return seed, found[1], found[0]
    return None


def main(names: Sequence[str]) -> int:
    """Print the table; returns how many were not found."""
    missed = 0
    for name in names or MUTANTS:
        found = hunt(name)
        missed += found is None
        row = "not found" if found is None else f"{found[0]} | {found[1]} | {found[2].invariant}"
        print(f"| {name} | {row} |", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
