"""The users of one message at a tick: for whom it is quiet, who has to be looked at, and what is logged together."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextvars import copy_context
from dataclasses import dataclass

from botbalance.deadline import bounded_by
from botbalance.errors import TransientError
from botbalance.executors import executor
from botbalance.log import alarm, logger
from botbalance.models.decision import Decision
from botbalance.models.exchange_key import StoredKey
from botbalance.models.strategy import Strategy
from botbalance.store.accounts import LastRun
from botbalance.store.dynamodb import UNKNOWN_SCHEMA
from botbalance.trading.context import TradingContext
from botbalance.trading.missed_ticks import report_missed_ticks
from botbalance.trading.no_trade_ticks import noted_symbols, users_inside_region, valid_notes

UNKNOWN_VERSION = 0
"""Of the strategy of a user who is due whatever the autopilot's switch says: no strategy has it."""


@dataclass(frozen=True, slots=True)
class TickJob:
    """A user to be ticked: what to trade by, and the key to trade with (None where none is stored).

    ``halt`` is why the operator has halted trading for everybody, None where it goes on. While it is halted, users are
    ticked whose autopilot is off, too: what rests for them is cancelled. So are, from time to time, those who have
    orders left: what became of these is booked.
    """

    strategy: Strategy
    key: StoredKey | None
    halt: str | None = None


def due_jobs(
    context: TradingContext, users: Mapping[str, int], ts_tick: int, halt: str | None = None
) -> Iterator[TickJob]:
    """Yield the users whose account has to be looked at; for the others of ``users`` the tick is quiet.

    ``users`` are user ids with the version of the strategy, as dispatch found it; ``halt`` is why the operator has
    halted trading for everybody, None where it goes on. Users who had the tick already, or have switched the autopilot
    off since, are left out. The limits and the prices that their ticks need are read as well, all in few requests.
    Users come exchange by exchange, as soon as its prices are there: nobody waits for an exchange on which others
    trade. Where exchanges fail, the first error is raised after the users of all others.
    """
    with bounded_by(context.deadline):
        # While it is halted nothing is quiet, and users come in any order: whoever had the tick finds it claimed.
        runs = context.accounts.last_runs(users) if halt is None else {}
        left = {user_id: version for user_id, version in users.items() if not already_ran(runs.get(user_id), ts_tick)}
        noted = valid_notes(context, left, runs) if halt is None and context.portfolio_max_age else {}
        unnoted = _jobs(context, {user_id: version for user_id, version in left.items() if user_id not in noted}, halt)
    symbols: defaultdict[str, set[str]] = defaultdict(set)
    for note in noted.values():
        symbols[note.exchange] |= noted_symbols(note)
    for job in unnoted:
        symbols[job.strategy.exchange].update(job.strategy.symbols())

    def due_here(exchange: str) -> list[TickJob]:
        context.portfolio.prepare_prices(exchange, symbols[exchange])
        here = {user_id: note for user_id, note in noted.items() if note.exchange == exchange}
        quiet = users_inside_region(context, exchange, here)
        if quiet:
            logger.info("quiet", ts_tick=ts_tick, users=len(quiet))
        moved = _jobs(context, {user_id: left[user_id] for user_id in here if user_id not in quiet}, halt)
        return [*(job for job in unnoted if job.strategy.exchange == exchange), *moved]

    trouble = None
    with executor(len(symbols) or 1) as pool:
        with bounded_by(context.deadline):
            looks = [pool.submit(copy_context().run, due_here, exchange) for exchange in symbols]
        while looks:
            wait(looks, return_when=FIRST_COMPLETED)
            done = [one for one in looks if one.done()]
            looks = [one for one in looks if one not in done]
            for one in done:
                if (error := one.exception()) is None:
                    yield from one.result()
                else:
                    trouble = trouble or error
    if trouble is not None:
        raise trouble


def _jobs(context: TradingContext, users: Mapping[str, int], halt: str | None) -> list[TickJob]:
    """Of those ``users`` who are still to be ticked."""
    found = context.strategies.find_many(users)
    unread = users.keys() - found.keys()
    if unread:
        report_missed_ticks(context, unread, UNKNOWN_SCHEMA)
    # What was read may be a moment old, and older than what dispatch has seen.
    stale = [
        user_id
        for user_id, strategy in found.items()
        if strategy.version < users[user_id] or (users[user_id] == UNKNOWN_VERSION and not strategy.is_ticked)
    ]
    strategies = [
        strategy
        for strategy in (found | {user_id: context.strategies.get(user_id) for user_id in stale}).values()
        if strategy.is_ticked or halt is not None or users[strategy.user_id] == UNKNOWN_VERSION
    ]
    keys = context.clients.find_keys([(strategy.user_id, strategy.exchange) for strategy in strategies])
    return [TickJob(one, keys.get((one.user_id, one.exchange)), halt) for one in strategies]


def already_ran(last: LastRun | None, ts_tick: int) -> bool:
    """Whether a run for this tick, or a later one, was begun already."""
    return last is not None and last.last_tick >= ts_tick


def log_noops(context: TradingContext, decisions: Sequence[Decision]) -> None:
    """Log those of ``decisions`` that changed nothing, many at once, where they are to be logged at all.

    A worker that is killed before that loses nothing but these lines of the log.
    """
    noops = [decision for decision in decisions if decision.is_noop]
    if noops and context.log_every_tick:
        log_decisions(context, noops, lambda: context.decisions.log_noops(noops))


def log_decisions(context: TradingContext, decisions: Sequence[Decision], write: Callable[[], object]) -> None:
    """Log ``decisions`` by ``write``, which is tried again; what they came to is in the alarm where that fails."""
    for delay in (1, 2, None):
        try:
            write()
        except TransientError as error:
            trouble = error
        else:
            return
        if delay is not None:
            context.sleep(delay)
    for decision in decisions:
        facts = {"user_id": decision.user_id, "ts_tick": decision.ts_tick, "reason": str(trouble)}
        came_to = decision.model_dump(mode="json", exclude={"inputs", "evaluation"})  # which tell what a user has
        alarm("decision_not_logged", "a decision could not be logged", **facts, decision=came_to)
