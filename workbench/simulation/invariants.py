"""What must hold whatever happens, each with a name; a breach is a finding.

Watched from outside: the requests that reach the exchange and the database, the answers that owners get, and the log.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

from botbalance.engine.arithmetic import ZERO, ExactArithmetic
from botbalance.models.decision import Decision
from botbalance.models.order import Order
from botbalance.store.compression import decompress
from botbalance.store.orders import parse_order

from workbench.audit.replay import replay
from workbench.simulated_exchange.binance_api import Reply, Request
from workbench.simulation.scheduler import Run


class Invariant(StrEnum):
    """What must hold; the name is what a finding is known by."""

    SENT_ONCE = "sent_once"
    """No client order id is sent twice."""
    NOTHING_AFTER_STOP = "nothing_after_stop"
    """No order's intent follows the answer to a stop, a switch or a change that its run had not seen."""
    NOTHING_WHILE_HALTED = "nothing_while_halted"
    """No order's intent follows the operator's halt."""
    SPENT_WITHIN_FREE = "spent_within_free"
    """The orders of a run may spend no more than what the exchange told it to be free."""
    BOOKS_EQUAL = "books_equal"
    """Once the faults have ended, every order and fill stands in the books as the exchange has it."""
    ORDER_ENDS_OR_IS_NAMED = "order_ends_or_is_named"
    """Every order reaches an end, rests, or is one of which its owner is told that nobody knows it any more."""
    HEALTHY_USER_DECIDES = "healthy_user_decides"
    """Once the faults have ended, a user whose autopilot is on has a decision in every tick."""
    ONE_RUN_AT_A_TIME = "one_run_at_a_time"
    """No order is written by a run from which another has taken the account over, nor an intent."""
    ONE_ORDER_A_PAIR = "one_order_a_pair"
    """No pair of an account has two orders of ours at a time."""
    BONUS_IS_SUM = "bonus_is_sum"
    """The bonus is the sum over all fills on the exchange."""
    DECISION_REPLAYS = "decision_replays"
    """Every decision is computed again to the same."""
    QUIET_TICK_HID_NOTHING = "quiet_tick_hid_nothing"
    """Nothing would have been traded in a tick that looked at nothing."""
    SKIP_LEAVES_TRACE = "skip_leaves_trace"
    """A tick that could not be decided has left a decision, or a line in the log that counts."""
    NO_INTERNAL_ERROR = "no_internal_error"
    """No exception that nobody expected: not in an answer, not in a tick."""
    STOP_CANCELS = "stop_cancels"
    """What rested when an owner stopped everything rests no more, or is named."""
    FILLED_ONLY_GROWS = "filled_only_grows"
    """What of an order is booked as filled never becomes less."""
    CHANGED_PAIR_WAITS = "changed_pair_waits"
    """A run that has seen an order change decides on no other one for its pair: balances may be a step behind."""
    PRICES_ARE_FRESH = "prices_are_fresh"
    """The prices that size an order are not older than they may be."""
    REFUSALS_WAIT = "refusals_wait"
    """What an exchange refuses for good is not sent again and again."""
    EXECUTE_TELLS_ALL = "execute_tells_all"
    """An execution by hand tells of each action: an order, or why none was sent."""
    KEY_STAYS_WITH_ORDERS = "key_stays_with_orders"
    """A key is not deleted while an order rests that only it can reach."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A breach of an invariant, at a step."""

    invariant: Invariant
    step: int
    user_id: str | None
    what: str


class Findings:
    """What was found, the first of each invariant and user."""

    def __init__(self) -> None:
        self.found: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """Keep a finding, the first one of its invariant and user."""
        if not any((one.invariant, one.user_id) == (finding.invariant, finding.user_id) for one in self.found):
            self.found.append(finding)


@dataclass(frozen=True, slots=True)
class Barrier:
    """What an owner was told at ``step``: from then on nothing of what was decided before."""

    step: int
    what: str


REFUSED_WITHIN_S = 300
MOST_REFUSED = 4
"""Within that time: once, and once more for each run that died before it could remember it."""
PRICES_LAST_S = 12
"""What the product lets them last, and for how long an answer may be on its way while others go on."""


class Witness:
    """Sees every request with its effect, and every answer; knows nothing of how the code works."""

    def __init__(
        self,
        findings: Findings,
        orders_table: str,
        strategies_table: str,
        operator_table: str,
        fencing_token_of: Callable[[str], int],
        seconds: Callable[[], int],
    ) -> None:
        """``fencing_token_of`` tells which token a user's account has now, ``seconds`` the time."""
        self._findings = findings
        self._fencing_token_of = fencing_token_of
        self._seconds = seconds
        self._orders = orders_table
        self._strategies = strategies_table
        self._operator = operator_table
        self._sent: dict[tuple[str, str], int] = {}
        self._barriers: defaultdict[str, list[Barrier]] = defaultdict(list)
        self._strategy_written: defaultdict[str, list[int]] = defaultdict(list)
        """By user, at which steps."""
        self._booked: dict[tuple[str, str], tuple[str, Decimal]] = {}
        self._refused: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._priced_at = 0
        self.autopilot_off: set[str] = set()
        self.halted = False
        self.intents = 0
        self.fills = 0

    # the exchange

    def exchange_answered(self, run: Run | None, step: int, request: Request, said: Reply | None) -> None:
        """A request has had its effect; ``said`` is the reply if it was sent whole."""
        if request.method == "POST" and request.path == "/api/v3/order":
            client_id = request.parameters.get("newClientOrderId", "")
            key = (request.api_key or "", client_id)
            if key in self._sent:
                self._add(Invariant.SENT_ONCE, step, user_of_key(key[0]), f"{client_id} was sent at {self._sent[key]}")
            self._sent[key] = step
        if said is not None and said.status == 200 and request.path == "/api/v3/ticker/24hr":
            self._priced_at = self._seconds()
        if run is not None and said is not None and request.path == "/api/v3/account" and said.status == 200:
            try:
                balances = json.loads(said.text)["balances"]
                run.facts["free"] = {one["asset"]: Decimal(one["free"]) for one in balances}
            except (ValueError, KeyError, TypeError):  # garbage says nothing
                return
            run.facts["spent"] = defaultdict(Decimal)

    # the database

    def database_carried_out(self, run: Run | None, step: int, operation: str, request: Mapping[str, Any]) -> None:
        """A request to the database has had its effect."""
        if run is None:
            return
        if operation in {"GetItem", "BatchGetItem", "Query"}:
            for table in (request.get("TableName"), *request.get("RequestItems", ())):
                if table in {self._strategies, self._operator}:
                    run.facts[table] = step
        if operation == "UpdateItem" and ":tick" in request.get("ExpressionAttributeValues", ()):
            run.facts.setdefault("claimed", set()).add(request["Key"]["user_id"]["S"])
        if operation == "PutItem" and request["TableName"] == self._strategies:
            self._strategy_written[request["Item"]["user_id"]["S"]].append(step)
        if operation == "TransactWriteItems":
            for part in request["TransactItems"]:
                put = part.get("Put", {})
                if put.get("TableName") == self._strategies:
                    self._strategy_written[put["Item"]["user_id"]["S"]].append(step)
                if put.get("TableName") != self._orders:
                    continue
                if "not_exists" in put.get("ConditionExpression", ""):
                    self._intent_written(run, step, parse_order(put["Item"]))
                else:
                    self._order_written(run, step, put["Item"])

    def _order_written(self, run: Run, step: int, item: Mapping[str, Any]) -> None:
        """An order is written over: what is booked of it only grows."""
        user_id, client_order_id = item["user_id"]["S"], item["client_order_id"]["S"]
        order = parse_order(item)
        if order.fencing_token != self._fencing_token_of(user_id):
            what = f"{client_order_id} is written by a run that has lost the account"
            self._add(Invariant.ONE_RUN_AT_A_TIME, step, user_id, what)
        now = item["status"]["S"], order.filled_qty
        before = self._booked.get((user_id, client_order_id), ("PENDING", ZERO))
        self._booked[user_id, client_order_id] = now
        if now[1] < before[1]:
            what = f"{client_order_id} was filled by {before[1]}, and now by {now[1]}"
            self._add(Invariant.FILLED_ONLY_GROWS, step, user_id, what)
        if now != before:
            run.facts.setdefault("changed", set()).add((user_id, item["symbol"]["S"]))

    def _intent_written(self, run: Run, step: int, order: Order) -> None:
        self.intents += 1
        if order.fencing_token != self._fencing_token_of(order.user_id):
            what = f"{order.client_order_id} is meant to be sent by a run that has lost the account"
            self._add(Invariant.ONE_RUN_AT_A_TIME, step, order.user_id, what)
        if (order.user_id, order.symbol) in run.facts.get("changed", ()):
            what = f"{order.client_order_id} on {order.symbol}, of which an order changed in the same run"
            self._add(Invariant.CHANGED_PAIR_WAITS, step, order.user_id, what)
        if order.placed_at - self._priced_at > PRICES_LAST_S:
            what = f"{order.client_order_id} is sized by prices of {order.placed_at - self._priced_at} s before"
            self._add(Invariant.PRICES_ARE_FRESH, step, order.user_id, what)
        read_at = run.facts.get(self._strategies, run.began_at_step)
        for barrier in self._barriers[order.user_id]:
            if barrier.step > read_at:
                what = f"{order.client_order_id} is meant to be sent after: {barrier.what} (step {barrier.step})"
                self._add(Invariant.NOTHING_AFTER_STOP, step, order.user_id, what)
        if order.source == "autopilot" and order.user_id in self.autopilot_off:
            what = f"{order.client_order_id} is meant to be sent with the autopilot off"
            self._add(Invariant.NOTHING_AFTER_STOP, step, order.user_id, what)
        if self.halted and run.facts.get("requests_when_halted", 0) < run.facts.get("requests", 0) - 3:
            self._add(Invariant.NOTHING_WHILE_HALTED, step, order.user_id, order.client_order_id)
        if "free" in run.facts:
            with ExactArithmetic():
                asset = order.quote if order.side == "buy" else order.base
                amount = order.base_qty * (order.limit_price if order.side == "buy" else Decimal(1))
                run.facts["spent"][asset] += amount
                free = run.facts["free"].get(asset, ZERO)
                if run.facts["spent"][asset] > free:
                    what = f"{run.facts['spent'][asset]} {asset} of {free} free"
                    self._add(Invariant.SPENT_WITHIN_FREE, step, order.user_id, what)

    # owners

    def told(self, user_id: str, step: int, what: str) -> None:
        """An owner was answered that ``what`` is done: nothing decided before may be sent after."""
        self._barriers[user_id].append(Barrier(step, what))

    def told_of_strategy(self, user_id: str, step: int, what: str) -> None:
        """Likewise of a strategy: who reads it between its write and the answer decides by the new one."""
        self.told(user_id, next(reversed(self._strategy_written[user_id]), step), what)

    def strategy_written_since(self, user_id: str, step: int) -> int:
        """The first step from ``step`` on at which the strategy was written; ``step`` where it was not."""
        return next((at for at in self._strategy_written[user_id] if at >= step), step)

    def strategy_written_after(self, user_id: str, step: int) -> bool:
        """Whether the strategy was written after ``step``."""
        return next(reversed(self._strategy_written[user_id]), 0) > step

    def sent_at(self, api_key: str, client_order_id: str) -> int:
        """The step at which an order was sent."""
        return self._sent[api_key, client_order_id]

    def refused_for_good(self, user_id: str, symbol: str, step: int) -> None:
        """The exchange has told that the user may never trade that market."""
        now = self._seconds()
        lately = [at for at in self._refused[user_id, symbol] if now - at < REFUSED_WITHIN_S]
        self._refused[user_id, symbol] = [*lately, now]
        if len(lately) >= MOST_REFUSED:
            what = f"{symbol} was refused {len(lately) + 1} times in {REFUSED_WITHIN_S} s"
            self._add(Invariant.REFUSALS_WAIT, step, user_id, what)

    def halt_set(self, runs: Iterable[Run]) -> None:
        """The operator has halted trading."""
        self.halted = True
        for run in runs:
            run.facts["requests_when_halted"] = run.facts.get("requests", 0)

    def failed(self, invariant: Invariant, step: int, user_id: str | None, what: str) -> None:
        """Somebody else has seen a breach."""
        self._add(invariant, step, user_id, what)

    def _add(self, invariant: Invariant, step: int, user_id: str | None, what: str) -> None:
        self._findings.add(Finding(invariant, step, user_id, what))


def user_of_key(api_key: str) -> str:
    """Whose key it is here."""
    return api_key.removeprefix("key-of-")


def parse_decision(item: Mapping[str, Any]) -> Decision:
    """The decision in an item of its table."""
    return _parsed(item["document"]["B"])


@lru_cache(1024)
def _parsed(document: bytes) -> Decision:
    return Decision.model_validate_json(decompress(document))


def replay_differences(decision: Decision) -> list[str]:
    """What today's engine answers otherwise."""
    return replay(decision).differences
