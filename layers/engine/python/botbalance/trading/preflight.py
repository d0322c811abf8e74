"""The doctor: whether a user's account is ready for the autopilot, item by item, and what to do where it is not."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from botbalance.engine import InvalidInputError, WarningCode, format_decimal
from botbalance.errors import BotBalanceError, ConflictError
from botbalance.exchange.adapter import ExchangeAdapter, KeyPermissions
from botbalance.exchange.profiles import is_paper
from botbalance.models.order import Order
from botbalance.trading.context import TradingContext
from botbalance.trading.order_updates import lost_because
from botbalance.trading.paper import OPTIMISTIC
from botbalance.trading.plan import Plan, preview_plan

CLOCK_WARNS_MS = 1_000
CLOCK_FAILS_MS = 5_000
"""Exchanges refuse a request that is signed this far from their own time, or soon would."""


class CheckStatus(StrEnum):
    """What an item of the check came to."""

    PASS = "pass"  # noqa: S105  # nosec B105  # no password
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    """The exchange does not tell."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was checked: what was found, and what to do about it where something should be done."""

    name: str
    verdict: CheckStatus
    found: str
    remedy: str | None = None


def check_account(context: TradingContext, user_id: str) -> list[CheckResult]:
    """Every item of the check, in the order of what depends on what.

    Where no decision could be made at all, that is the only item, and fails. Raises NotFoundError without a strategy.
    """
    strategy = context.strategies.get(user_id)
    try:
        plan = preview_plan(context, strategy)
    except (BotBalanceError, InvalidInputError) as error:
        remedy = f"mend this first; {strategy.exchange} was asked with the stored key and strategy"
        return [CheckResult("account", CheckStatus.FAIL, str(error), remedy)]
    return list(_items(context, plan))


def require_ready(context: TradingContext, plan: Plan) -> None:
    """Raise ConflictError, naming each item and its remedy, where the check of the account that ``plan`` is of
    fails."""
    failing = [item for item in _items(context, plan) if item.verdict is CheckStatus.FAIL]
    if failing:
        said = "; ".join(f"{item.name}: {item.found}: {item.remedy}" for item in failing)
        raise ConflictError("check_failed", f"the account is not ready: {said}")


def _items(context: TradingContext, plan: Plan) -> Iterator[CheckResult]:
    account = context.clients.get(plan.strategy.user_id, plan.strategy.exchange)
    context.portfolio.load_markets(account, plan.strategy.symbols())
    if is_paper(plan.strategy.exchange):
        yield CheckResult(
            "account", CheckStatus.PASS, f"the paper account is open, and a decision can be made. {OPTIMISTIC}"
        )
    else:
        yield CheckResult(
            "account", CheckStatus.PASS, f"{plan.strategy.exchange} accepts the key, and a decision can be made"
        )
        yield from _ask("key_permissions", lambda: _key_rights(account.key_permissions(), context.egress_address))
    yield from _ask("clock", lambda: [_clock(account.clock_offset_ms())])
    yield from _ask("fees", lambda: [_fees(plan, account)])
    yield _orders(plan, account)
    yield _markets(plan)
    yield _sizes(plan)
    watched = context.orders.unreconciled(plan.strategy.user_id)
    yield _balances(plan, account, watched)
    yield _lost_orders(watched)
    yield _refused_pairs(plan)
    if not is_paper(plan.strategy.exchange):
        yield _egress(context.egress_address)


def _ask(name: str, ask: Callable[[], list[CheckResult]]) -> list[CheckResult]:
    """What ``ask`` finds; where the exchange does not answer, that."""
    try:
        return ask()
    except BotBalanceError as error:
        return [CheckResult(name, CheckStatus.UNKNOWN, str(error), "check again in a while")]


def _key_rights(rights: KeyPermissions, egress_address: str) -> list[CheckResult]:
    address = egress_address or "the address from which this runs"
    items = [
        _right("key_trades", told=rights.may_trade, right=True, found="trade spot", remedy="let the key trade spot"),
        _right("key_withdraws", told=rights.may_withdraw, right=False, found="withdraw", remedy="forbid that"),
    ]
    match rights.bound_to_addresses:
        case None:
            items.append(
                CheckResult(
                    "key_addresses", CheckStatus.UNKNOWN, "the exchange does not tell whether it is bound to any"
                )
            )
        case True:
            items.append(CheckResult("key_addresses", CheckStatus.PASS, "the key works from listed addresses only"))
        case False:
            found = "the key works from any address: who steals it can use it, and some exchanges delete such keys"
            items.append(CheckResult("key_addresses", CheckStatus.WARN, found, f"bind it to {address}"))
    return items


def _right(name: str, *, told: bool | None, right: bool, found: str, remedy: str) -> CheckResult:
    if told is None:
        return CheckResult(
            name, CheckStatus.UNKNOWN, f"the exchange does not tell whether the key may {found}", "look it up there"
        )
    said = f"the key may {'' if told else 'not '}{found}"
    return (
        CheckResult(name, CheckStatus.PASS, said)
        if told is right
        else CheckResult(name, CheckStatus.FAIL, said, remedy)
    )


def _clock(offset_ms: int) -> CheckResult:
    found = f"the exchange's clock is {abs(offset_ms)} ms {'ahead of' if offset_ms > 0 else 'behind'} ours"
    if abs(offset_ms) > CLOCK_FAILS_MS:
        return CheckResult("clock", CheckStatus.FAIL, found, "set the clock of the machine that this runs on")
    verdict = CheckStatus.WARN if abs(offset_ms) > CLOCK_WARNS_MS else CheckStatus.PASS
    return CheckResult("clock", verdict, found, "set the clock soon" if verdict is CheckStatus.WARN else None)


def _fees(plan: Plan, account: ExchangeAdapter) -> CheckResult:
    targets = {
        symbol: plan.strategy.target_allocations[plan.snapshot.rules[symbol].base] for symbol in plan.snapshot.rules
    }
    if not targets:
        return CheckResult("fees", CheckStatus.PASS, "nothing but the quote asset is held, so nothing is paid")
    largest = max(targets, key=lambda symbol: targets[symbol])  # an account's tier is the same for nearly every pair
    fees, step = account.fees(largest), plan.strategy.order_step_pct
    maker, taker = format_decimal(fees.maker_pct), format_decimal(fees.taker_pct)
    found = f"a resting order in {largest} pays {maker} %, one that trades at once {taker} %"
    if fees.maker_pct >= step:
        remedy = f"raise order_step_pct, which is {format_decimal(step)}, above the fee"
        return CheckResult(
            "fees", CheckStatus.WARN, f"{found}: a fill costs more than it is away from the market", remedy
        )
    return CheckResult("fees", CheckStatus.PASS, found)


def _orders(plan: Plan, account: ExchangeAdapter) -> CheckResult:
    without = [symbol for symbol in plan.strategy.symbols() if not account.supports_post_only(symbol)]
    if without and plan.strategy.post_only:
        found = f"no post-only orders in {', '.join(without)}"
        return CheckResult("order_types", CheckStatus.FAIL, found, "set post_only to false, or drop these assets")
    return CheckResult("order_types", CheckStatus.PASS, "limit orders, post-only, and found again by their client id")


def _markets(plan: Plan) -> CheckResult:
    closed = [symbol for symbol, rules in plan.snapshot.rules.items() if not rules.trading]
    if closed:
        return CheckResult(
            "markets", CheckStatus.WARN, f"not trading now: {', '.join(closed)}", "wait, or drop these assets"
        )
    return CheckResult("markets", CheckStatus.PASS, f"{len(plan.snapshot.rules)} markets are trading")


def _sizes(plan: Plan) -> CheckResult:
    doubts = {
        WarningCode.NEVER_TRADES,
        WarningCode.OUTSIDE_PRICE_LIMITS,
        WarningCode.OSCILLATION,
        WarningCode.OSCILLATION_AHEAD,
        WarningCode.NEVER_BOUGHT,
    }
    found = [warning.message for warning in plan.evaluation.warnings if warning.code in doubts]
    if found:
        remedy = "change order_size_pct, order_step_pct, min_delta_quote or min_delta_pct"
        return CheckResult("sizes", CheckStatus.WARN, "; ".join(found), remedy)
    return CheckResult(
        "sizes", CheckStatus.PASS, f"an order of {format_decimal(plan.evaluation.quote_amount)} passes in every market"
    )


def _balances(plan: Plan, account: ExchangeAdapter, watched: Sequence[Order]) -> CheckResult:
    ours = {account.exchange_client_order_id(order.client_order_id) for order in watched}
    strangers = [order.symbol for order in plan.snapshot.open_orders if order.client_order_id not in ours]
    found = []
    if strangers:
        found.append(f"orders that this system did not place rest in {', '.join(sorted(set(strangers)))}")
    if plan.evaluation.unmanaged:
        found.append(f"not in target_allocations, so left alone: {', '.join(plan.evaluation.unmanaged)}")
    if found:
        remedy = "cancel what locks funds or blocks a pair, and name the assets that shall be traded"
        return CheckResult("balances", CheckStatus.WARN, "; ".join(found), remedy)
    return CheckResult("balances", CheckStatus.PASS, "everything that is held can be traded")


def _lost_orders(watched: Sequence[Order]) -> CheckResult:
    lost = [order for order in watched if order.is_lost]
    if lost:
        found = "; ".join(f"{order.client_order_id} in {order.symbol} {lost_because(order)}" for order in lost)
        calls = ", ".join(f"POST orders/{order.client_order_id}/resolve/" for order in lost)
        return CheckResult("lost_orders", CheckStatus.WARN, found, f"say what became of each: {calls}")
    return CheckResult("lost_orders", CheckStatus.PASS, "the exchange knows every order that rests")


def _refused_pairs(plan: Plan) -> CheckResult:
    if plan.waiting:
        found = "; ".join(f"{symbol}: {pair.reason} ({pair.times} times)" for symbol, pair in plan.waiting.items())
        remedy = "mend what the exchange names; each pair is tried again by itself"
        return CheckResult("refusals", CheckStatus.WARN, found, remedy)
    return CheckResult("refusals", CheckStatus.PASS, "no pair's orders are refused again and again")


def _egress(address: str) -> CheckResult:
    if address:
        return CheckResult("egress_address", CheckStatus.PASS, f"exchanges see {address}")
    found = "exchanges may see this come from any address, so no key can be bound to one"
    return CheckResult(
        "egress_address",
        CheckStatus.WARN,
        found,
        "deploy with FixedEgressIp=true, or run it behind an address of yours",
    )
