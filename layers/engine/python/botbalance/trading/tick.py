"""One tick of one user: reconcile, look, decide, cancel, place, log."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python

from botbalance import engine
from botbalance.accounts.portfolio import Snapshot, evaluate_snapshot
from botbalance.engine import InvalidInputError, StrategyConfig, review_resting_orders
from botbalance.errors import (
    BotBalanceError,
    ConflictError,
    CredentialsRejectedError,
    InvalidRequestError,
    RateLimitedError,
    TransientError,
)
from botbalance.log import alarm, logger
from botbalance.store.credentials import StoredKey
from botbalance.store.decisions import TICK_SECONDS, Decision
from botbalance.store.leases import LastRun, Lease
from botbalance.store.strategies import Strategy
from botbalance.trading.desk import TRADING_HALTED, Desk
from botbalance.trading.doubts import note_orders, require_belief
from botbalance.trading.placement import cancel, place_actions
from botbalance.trading.quiet import note_quiet, quiet_users, resting_order
from botbalance.trading.reconcile import reconcile


@dataclass(frozen=True, slots=True)
class Due:
    """A user whose autopilot is on: what to trade by, and the key to trade with (None where none is stored).

    ``last`` is what is known of the last run, None where nothing is. ``halt`` is why the operator has halted trading
    for everybody, None where it goes on. While it is halted, users are due whose autopilot is off, too: what rests for
    them is cancelled.
    """

    strategy: Strategy
    key: StoredKey | None
    last: LastRun | None = None
    halt: str | None = None


class Turns(NamedTuple):
    """A chunk of users at a tick: who had it by arithmetic, with what is to be logged of it, and who is due."""

    quiet: list[Decision]
    due: list[Due]


def turns(desk: Desk, users: Mapping[str, int], ts_tick: int, halt: str | None = None) -> Turns:
    """For whom of ``users`` the tick is quiet, and whose account has to be looked at, read in few requests.

    ``users`` are user ids with the version of the strategy, as dispatch found it; ``halt`` is why the operator has
    halted trading for everybody, None where it goes on. Whoever had the tick already, or has
    switched the autopilot off, is left out. Also read are the limits that exchanges have set for those who are due, and
    the prices of what they trade, which their ticks then have.
    """
    runs = desk.leases.last_runs(users)
    left = {user_id: version for user_id, version in users.items() if not _has_had(runs.get(user_id), ts_tick)}
    quiet = quiet_users(desk, left, runs) if halt is None and desk.portfolio_max_age else set()
    if quiet:
        logger.info("quiet", ts_tick=ts_tick, users=len(quiet))
        left = {user_id: version for user_id, version in left.items() if user_id not in quiet}
    found = desk.strategies.find_many(left).values()
    strategies = [strategy for strategy in found if strategy.autopilot_enabled or halt is not None]
    keys = desk.accounts.keys_of([(strategy.user_id, strategy.exchange) for strategy in strategies])
    for exchange in {strategy.exchange for strategy in strategies}:
        of_exchange = [strategy for strategy in strategies if strategy.exchange == exchange]
        desk.portfolio.prepare_prices(exchange, {symbol for strategy in of_exchange for symbol in strategy.symbols()})
    now = desk.clock()
    return Turns(
        quiet=[
            Decision(user_id=user_id, ts_tick=ts_tick, decided_at=now, outcome="quiet", engine_version=engine.VERSION)
            for user_id in sorted(quiet)
        ],
        due=[
            Due(strategy, keys.get((strategy.user_id, strategy.exchange)), runs.get(strategy.user_id), halt)
            for strategy in strategies
        ],
    )


def _has_had(last: LastRun | None, ts_tick: int) -> bool:
    """Whether a run for this tick, or a later one, was begun already."""
    return last is not None and last.last_tick >= ts_tick


def is_over(ts_tick: int, now: int) -> bool:
    """Whether the time of the tick is past (both in epoch seconds): nothing is decided for it any more."""
    return now > ts_tick + TICK_SECONDS


def strategy_tick(desk: Desk, due: Due, ts_tick: int) -> Decision | None:
    """Tick a user once for ``ts_tick`` (epoch seconds, on the grid); returns the decision.

    It is logged, unless it changed nothing: see :func:`log_unchanged`. None where the tick had its run already, or is
    older than its period. What keeps a decision from being made is its reason; a key that only its owner can mend
    switches the autopilot off.
    """
    user_id = due.strategy.user_id
    if is_over(ts_tick, desk.clock()):
        return None
    try:
        with desk.leases.held_for_tick(user_id, ts_tick, desk.clock, until=desk.until, last=due.last) as lease:
            if lease is None:
                return None
            decision = _decision(desk, lease, due, ts_tick)
    except (ConflictError, TransientError) as error:  # the lease never was this run's, so nothing was done
        lease, decision = None, _skipped(desk, user_id, ts_tick, str(error))
    if not decision.changed_nothing:
        _log(desk, [decision], lambda: desk.decisions.log(decision, lease))
    return decision


def log_unchanged(desk: Desk, decisions: Sequence[Decision]) -> None:
    """Log those of ``decisions`` that changed nothing, many at once, where they are to be logged at all.

    A worker that is killed before that loses nothing but these lines of the log.
    """
    unchanged = [decision for decision in decisions if decision.changed_nothing]
    if unchanged and desk.log_every_tick:
        _log(desk, unchanged, lambda: desk.decisions.log_unchanged(unchanged))


def _decision(desk: Desk, lease: Lease, due: Due, ts_tick: int) -> Decision:
    try:
        return (
            _decide_and_trade(desk, lease, due, ts_tick) if due.halt is None else _stand_down(desk, lease, due, ts_tick)
        )
    except CredentialsRejectedError as error:
        return _skipped(desk, lease.user_id, ts_tick, _switch_off(desk, lease.user_id, error))
    except (BotBalanceError, InvalidInputError) as error:
        return _skipped(desk, lease.user_id, ts_tick, str(error))


def _stand_down(desk: Desk, lease: Lease, due: Due, ts_tick: int) -> Decision:
    """Cancel what rests, and decide nothing: the operator has halted trading for everybody."""
    strategy = due.strategy
    account = desk.accounts.with_key(strategy.user_id, strategy.exchange, due.key)
    desk.portfolio.load_markets(account, strategy.symbols())
    looked = reconcile(desk, lease, account, strategy, account.open_orders())
    canceled: dict[str, str] = {}
    reasons = [f"{TRADING_HALTED}: {due.halt}"]
    for order in looked.unsettled:
        if order.may_trade:
            try:
                cancel(desk, lease, account, order, TRADING_HALTED)
                canceled[order.client_order_id] = TRADING_HALTED
            except RateLimitedError:
                raise
            except (TransientError, InvalidRequestError, ConflictError) as error:  # the next tick tries again
                reasons.append(str(error))
    skipped = _skipped(desk, strategy.user_id, ts_tick, "; ".join(reasons))
    return skipped.model_copy(update={"canceled": canceled})


def _decide_and_trade(desk: Desk, lease: Lease, due: Due, ts_tick: int) -> Decision:
    strategy = due.strategy
    config = strategy.config()
    account = desk.accounts.with_key(strategy.user_id, strategy.exchange, due.key)
    looked_at = desk.clock()
    snapshot = desk.portfolio.snapshot(account, strategy.symbols(), fresh=False)
    looked = reconcile(desk, lease, account, strategy, snapshot.open_orders)
    now = desk.clock()
    require_belief(lease, strategy, snapshot, looked.spent, now, price_jump_pct=desk.price_jump_pct)
    blocked = snapshot.active_symbols() | looked.blocked_symbols()
    evaluation = evaluate_snapshot(snapshot, strategy.target_allocations, config, blocked)
    active = [order for order in looked.unsettled if order.may_trade]
    resting = [resting_order(order) for order in active]
    cancels = review_resting_orders(resting, evaluation, config, now)
    if cancels or evaluation.actions:
        _require_unchanged(desk, strategy)
    troubles: list[BotBalanceError] = []
    for order in active:
        if order.client_order_id in cancels:
            try:
                cancel(desk, lease, account, order, cancels[order.client_order_id])
            except RateLimitedError:
                raise
            except (
                TransientError,
                InvalidRequestError,
                ConflictError,
            ) as error:  # its pair stays blocked; the next tick looks again
                troubles.append(error)
    placed = place_actions(
        desk, lease, account, strategy, evaluation.actions, snapshot.rules, ts_tick=ts_tick, source="autopilot"
    )
    note_orders(lease, active, placed.orders)
    if not (cancels or looked.changed or placed.stopped_by):
        note_quiet(
            desk,
            lease,
            account,
            strategy,
            snapshot,
            watched=looked.watched,
            placed=placed.orders,
            looked_at=looked_at,
        )
    reasons = [str(trouble) for trouble in troubles]
    if isinstance(placed.stopped_by, CredentialsRejectedError):
        reasons.append(_switch_off(desk, strategy.user_id, placed.stopped_by))
    elif placed.stopped_by is not None:
        reasons.append(str(placed.stopped_by))
    return Decision(
        user_id=strategy.user_id,
        ts_tick=ts_tick,
        decided_at=desk.clock(),
        outcome="decided",
        reason="; ".join(reasons) or None,
        engine_version=engine.VERSION,
        inputs=_inputs(strategy, config, snapshot, blocked) | to_jsonable_python({"open_orders": resting, "now": now}),
        evaluation=to_jsonable_python(evaluation),
        canceled={client_order_id: str(reason) for client_order_id, reason in cancels.items()},
        placed=[order.model_dump(mode="json") for order in placed.orders],
    )


def _require_unchanged(desk: Desk, strategy: Strategy) -> None:
    """Raise ConflictError where the strategy was changed, or the autopilot switched off, since this tick read it."""
    if desk.strategies.get(strategy.user_id).version != strategy.version:
        raise ConflictError("strategy_changed", "the strategy was changed during this tick; the next one goes by it")


def _switch_off(desk: Desk, user_id: str, error: CredentialsRejectedError) -> str:
    """Switch the autopilot off, with the reason; whatever else of the strategy is changed meanwhile stays.

    Returns what to log. Where it cannot be written now, the next tick meets the same refusal, and tries again.
    """
    alarm("autopilot_switched_off", "an exchange refuses a user's key", user_id=user_id, reason=str(error))
    switched_off = {"autopilot_enabled": False, "disabled_reason": str(error), "updated_at": desk.clock()}
    for _ in range(2):
        try:
            desk.strategies.save(desk.strategies.get(user_id).model_copy(update=switched_off))
        except ConflictError:
            continue
        except TransientError as trouble:
            return f"{error}; the autopilot is not switched off yet: {trouble}"
        return f"autopilot switched off: {error}"
    return f"{error}; the autopilot is not switched off yet: the strategy is being changed"


def _log(desk: Desk, decisions: Sequence[Decision], write: Callable[[], object]) -> None:
    for delay in (1, 2, None):
        try:
            write()
        except TransientError as error:
            trouble = error
        else:
            return
        if delay is not None:
            desk.sleep(delay)
    for decision in decisions:
        facts = {"user_id": decision.user_id, "ts_tick": decision.ts_tick, "reason": str(trouble)}
        alarm(
            "decision_not_logged", "a decision could not be logged", **facts, decision=decision.model_dump(mode="json")
        )


def _inputs(
    strategy: Strategy, config: StrategyConfig, snapshot: Snapshot, active_symbols: Collection[str]
) -> dict[str, Any]:
    """Everything that the engine was given, under its parameters' names; money as strings."""
    inputs: dict[str, Any] = to_jsonable_python(
        {
            "current_balances": snapshot.balances,
            "target_allocations": strategy.target_allocations,
            "market_prices": snapshot.prices,
            "strategy_config": config,
            "market_rules": snapshot.rules,
            "active_symbols": sorted(active_symbols),
        }
    )
    return inputs


def _skipped(desk: Desk, user_id: str, ts_tick: int, reason: str) -> Decision:
    return Decision(
        user_id=user_id,
        ts_tick=ts_tick,
        decided_at=desk.clock(),
        outcome="skipped",
        reason=reason,
        engine_version=engine.VERSION,
    )
