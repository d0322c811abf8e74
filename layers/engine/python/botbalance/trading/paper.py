"""Paper accounts: opening one, starting anew, moving money in and out of it on paper."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from botbalance.engine import InvalidInputError
from botbalance.errors import ConflictError, InvalidRequestError
from botbalance.exchange.paper_books import end_of_epoch, open_account, transfer_asset
from botbalance.exchange.profiles import is_paper
from botbalance.models.activity import ActivityKind
from botbalance.models.paper import PaperAccount, PaperEpoch, account_name
from botbalance.trading.budgets import end_account
from botbalance.trading.cancellation import cancel_orders
from botbalance.trading.context import TradingContext
from botbalance.trading.session import AccountSession, open_session
from botbalance.trading.trail import new_activity

PAPER_RESET = "paper_reset"
"""The reason of what is cancelled because its owner starts the paper account anew."""
OPTIMISTIC = (
    "Paper is optimistic: nobody stands before its orders in the queue, and they move no price. "
    "It fills an order where a whole minute has traded through its limit, and never more than a share of what traded."
)
"""What whoever reads a paper account's results has to know."""


@dataclass(frozen=True, slots=True)
class PaperState:
    """A paper account as it stands, settled, and its epochs that are over, oldest first."""

    account: PaperAccount
    earlier: list[PaperEpoch]


def find_paper(context: TradingContext, user_id: str, exchange: str) -> PaperState:
    """The account, settled; raises NotFoundError where none is open."""
    _require_paper(exchange)
    return PaperState(context.clients.paper(user_id, exchange, None).account(), context.paper.epochs(user_id, exchange))


def open_paper(context: TradingContext, user_id: str, exchange: str, balances: Mapping[str, Decimal]) -> PaperState:
    """Open the account with ``balances`` (units by asset), or start it anew: what rests is cancelled, what was stays.

    Raises InvalidRequestError for balances that cannot be, ConflictError where another run works on the account.
    """
    _require_paper(exchange)
    with open_session(context, user_id) as session:
        before = None
        if context.paper.find(user_id, exchange) is not None:
            _cancel_resting(session, exchange)
            before = context.paper.get(user_id, exchange)
        now = context.clock()
        try:
            opened = open_account(user_id, exchange, balances, now, before)
        except InvalidInputError as error:
            raise InvalidRequestError("invalid_balances", str(error)) from None
        told = new_activity(
            context,
            user_id,
            ActivityKind.PAPER_OPENED if before is None else ActivityKind.PAPER_RESET,
            subject=exchange,
            after={asset: f"{quantity:f}" for asset, quantity in balances.items()},
        )
        epoch = None if before is None else end_of_epoch(before, now)
        context.paper.save(opened, session.lease, context.activity.transact_put(told), epoch=epoch)
        _forget_look_at(session, exchange)
        if before is not None:
            end_account(session, account_name(exchange, before.epoch))
    return find_paper(context, user_id, exchange)


def transfer_on_paper(
    context: TradingContext, user_id: str, exchange: str, asset: str, quantity: Decimal
) -> PaperState:
    """Deposit ``quantity`` of ``asset``, or withdraw it where it is negative.

    Raises InvalidRequestError where less is free than is withdrawn, NotFoundError where no account is open.
    """
    _require_paper(exchange)
    with open_session(context, user_id) as session:
        settled = context.clients.paper(user_id, exchange, session.lease).account()
        try:
            after = transfer_asset(settled, asset, quantity)
        except InvalidInputError as error:
            raise InvalidRequestError("insufficient_balance", str(error)) from None
        told = new_activity(
            context, user_id, ActivityKind.PAPER_TRANSFERRED, subject=exchange, after={asset: f"{quantity:f}"}
        )
        context.paper.save(after, session.lease, context.activity.transact_put(told))
        _forget_look_at(session, exchange)
    return find_paper(context, user_id, exchange)


def forget_look(session: AccountSession) -> None:
    """Let the next look at the account be compared with nothing: what it finds is another account's, by its owner's
    doing."""
    session.remember(last_observation=None, last_look=None, refused_pairs={})


def _forget_look_at(session: AccountSession, exchange: str) -> None:
    strategy = session.context.strategies.find(session.user_id)
    if strategy is not None and strategy.exchange == exchange:
        forget_look(session)


def _cancel_resting(session: AccountSession, exchange: str) -> None:
    """Cancel what rests on the account; raises ConflictError where something goes on resting."""
    watched = session.context.orders.unreconciled(session.user_id)
    resting = [order for order in watched if order.is_active and order.exchange == exchange]
    result = cancel_orders(session, resting, {order.client_order_id: PAPER_RESET for order in resting})
    result.raise_error()
    if any(order.is_active for order in result.orders):
        raise ConflictError("orders_resting", f"orders rest on {exchange}; DELETE orders/ first")


def _require_paper(exchange: str) -> None:
    if not is_paper(exchange):
        raise InvalidRequestError(
            "no_paper_exchange", f"exchange is {exchange}, expected a paper account's: {exchange}-paper"
        )
