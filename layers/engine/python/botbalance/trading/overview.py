"""Overview: where an account stands, from what is known already. Asks no exchange, so that it may be asked often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from botbalance.engine import Evaluation, InvalidInputError, hold_value_from_nav, sum_exactly
from botbalance.engine.valuation import pairs_by_symbol
from botbalance.errors import InvalidRequestError
from botbalance.log import logger
from botbalance.models.account_state import AccountState, BudgetState, FillTotals
from botbalance.models.decision import Decision
from botbalance.models.order import Order
from botbalance.models.strategy import Strategy
from botbalance.trading.bonus import bonus_of_totals, traded_assets
from botbalance.trading.budgets import PausedPairs
from botbalance.trading.context import TradingContext
from botbalance.trading.pauses import Pause, build_pauses
from botbalance.trading.rebalance import decision_inputs, evaluate_inputs

QUOTES_SHOWN_S = 600
"""Prices older than that are not shown as those of now; those of the look are shown instead."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The holdings as the last run saw them, valued by the newest prices that are known; times in epoch seconds.

    ``priced_at`` is how old the oldest of these prices is; ``bonus_quote`` what rebalancing has added, where known.
    """

    looked_at: int
    priced_at: int
    evaluation: Evaluation
    bonus_quote: Decimal | None

    @property
    def hold_quote(self) -> Decimal | None:
        """What the portfolio would be worth had nothing been traded; None where that is not known."""
        return None if self.bonus_quote is None else hold_value_from_nav(self.evaluation.nav, self.bonus_quote)


@dataclass(frozen=True, slots=True)
class Overview:
    """Where an account stands at ``now`` (epoch seconds), as far as that is known without asking the exchange.

    ``seen`` is None before the first run, or where the markets of the strategy are not known at the moment. ``orders``
    are those that may still trade, newest first. ``halt`` is why the operator has halted trading for everybody.
    ``strategy`` is None where none is stored yet; ``has_key`` tells whether a key is, for its exchange or, without
    one, for any; of a paper account, which needs none, whether it is open.
    """

    now: int
    strategy: Strategy | None
    has_key: bool
    seen: Seen | None
    orders: list[Order]
    last_decision: Decision | None
    halt: str | None
    nobody_told: bool
    """Whether the autopilot is on, and trouble would reach its owner by no channel."""
    pauses: list[Pause]


def overview(context: TradingContext, user_id: str) -> Overview:
    """Where the user's account stands."""
    strategy = context.strategies.find(user_id)
    keys = {key.exchange for key in context.clients.stored_keys(user_id)}
    account = "" if strategy is None else context.find_account(user_id, strategy.exchange)
    orders = [order for order in context.orders.unreconciled(user_id) if order.is_active]
    orders.sort(key=lambda order: (order.placed_at, order.client_order_id), reverse=True)
    decisions = context.decisions.page(user_id, limit=1).items
    state = context.accounts.find_state(user_id)
    return Overview(
        now=context.clock(),
        strategy=strategy,
        # The name of a paper account that is open has its epoch.
        has_key=bool(keys) if strategy is None else account != strategy.exchange or strategy.exchange in keys,
        seen=None if strategy is None else seen_account(context, strategy, state, orders, account),
        orders=orders,
        last_decision=decisions[0] if decisions else None,
        halt=context.operator.halt_reason(),
        nobody_told=strategy is not None and strategy.autopilot_enabled and not _tells_trouble(context, user_id),
        pauses=build_pauses(state, state.account_budgets(account)),
    )


def _tells_trouble(context: TradingContext, user_id: str) -> bool:
    stored = context.notifications.find(user_id)
    return stored is not None and stored.tells_trouble


def seen_account(
    context: TradingContext, strategy: Strategy, state: AccountState, orders: Sequence[Order], account: str
) -> Seen | None:
    """The ``account``, by its name, as its last run saw it, with its ``orders`` that may still trade; None where that
    is not known."""
    look = state.last_look
    symbols = strategy.symbols()
    if look is None or look.exchange != strategy.exchange or any(symbol not in look.prices for symbol in symbols):
        return None
    now = context.clock()
    totals = None if state.fill_totals is None else state.fill_totals.get(account, {})
    further = pairs_by_symbol(traded_assets(totals or {}), strategy.quote_asset)
    markets = context.portfolio.recent_markets(
        strategy.exchange, {*symbols, *further}, max_age_s=QUOTES_SHOWN_S, now=now
    )
    if any(symbol not in markets.rules for symbol in symbols):
        return None
    prices = {symbol: markets.prices.get(symbol, look.prices[symbol]) for symbol in symbols}
    priced_at = min((markets.priced_at.get(symbol, look.at) for symbol in symbols), default=look.at)
    budgets = state.account_budgets(account) if strategy.autopilot_enabled else BudgetState()
    paused = PausedPairs.of({}, budgets, now)
    inputs = decision_inputs(
        strategy,
        balances=look.balances,
        prices=prices,
        rules=markets.rules,
        blocked={order.symbol for order in orders},
        pauses=paused,
        now=now,
    )
    try:
        evaluation = evaluate_inputs(inputs)
    except InvalidInputError as error:  # a strategy that was changed since, and cannot be decided on as it is
        logger.info("overview without figures", user_id=strategy.user_id, reason=str(error))
        return None
    known = {asset: markets.prices[symbol] for symbol, asset in further.items() if symbol in markets.prices}
    return Seen(look.at, priced_at, evaluation, _bonus(totals, evaluation, known))


def _bonus(
    totals: Mapping[str, FillTotals] | None, evaluation: Evaluation, further: Mapping[str, Decimal]
) -> Decimal | None:
    """What all fills have added; None where it is being counted, or an asset of a fill has no price here."""
    if totals is None:
        return None
    prices = {**further, **{row.asset: row.price for row in evaluation.rows if row.price is not None}}
    try:
        return sum_exactly(bonus_of_totals(totals, prices).values())
    except InvalidRequestError:
        return None
