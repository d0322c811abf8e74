"""Orders by hand: list them as they stand, cancel one or all, say what became of one that the exchange lost."""

from datetime import UTC, datetime
from decimal import Decimal

from botbalance.engine import format_decimal
from botbalance.engine.arithmetic import ExactArithmetic
from botbalance.errors import BotBalanceError, ConflictError, InvalidRequestError, RateLimitedError
from botbalance.exchange.adapter import ExchangeOrderStatus
from botbalance.exchange.profiles import is_paper
from botbalance.log import logger
from botbalance.models.activity import ActivityKind
from botbalance.models.fill import OrderFill
from botbalance.models.order import NOT_ON_EXCHANGE, Order, OrderStatus
from botbalance.store.orders import EVERY_ORDER, OrderFilter
from botbalance.store.pagination import MAX_EPOCH_S, Page, TimeRange
from botbalance.trading.cancellation import CancelResult, cancel_all, cancel_orders
from botbalance.trading.context import TradingContext
from botbalance.trading.order_updates import apply_order_not_found, apply_order_report, order_lost_error
from botbalance.trading.reconcile import reconcile
from botbalance.trading.session import AccountSession, open_session
from botbalance.trading.trail import new_activity, tell

CANCELED_BY_USER = "canceled_by_user"
RESOLVED_BY_OWNER = "resolved_by_owner"
_EXPORTED_ORDERS = 500
"""On a page: with all their fills they stay well under what a function may answer."""


def list_orders(
    context: TradingContext, user_id: str, *, limit: int, cursor: str | None, wanted: OrderFilter = EVERY_ORDER
) -> Page[Order]:
    """Those of the user's orders that are ``wanted``, newest first, the first page as up to date as possible."""
    if cursor is None:
        refresh_orders(context, user_id)
    return context.orders.page(user_id, limit=limit, cursor=cursor, wanted=wanted)


def list_fills(context: TradingContext, user_id: str, *, year: int | None, cursor: str | None) -> Page[Order]:
    """A page of the orders that may have fills in ``year`` (UTC; None: any), oldest first.

    An order may fill long after it was placed, so those of the years before are among them; those of paper accounts are
    among them too. Raises ConflictError where the account trades on paper now, and nothing else was ever traded: those
    trades never happened.
    """
    if cursor is None:
        refresh_orders(context, user_id)
        strategy = context.strategies.find(user_id)
        if strategy is not None and is_paper(strategy.exchange) and not _has_traded(context, user_id):
            raise ConflictError(
                "paper_account",
                f"exchange is {strategy.exchange}: its trades never happened, so there is nothing to tell",
            )
    until = MAX_EPOCH_S if year is None else int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp()) - 1
    wanted = OrderFilter(placed=TimeRange(0, until), oldest_first=True)
    return context.orders.page(user_id, limit=_EXPORTED_ORDERS, cursor=cursor, wanted=wanted)


def _has_traded(context: TradingContext, user_id: str) -> bool:
    """Whether anything was filled that was not on paper."""
    return any(order.fills and not is_paper(order.exchange) for order in context.orders.iter_all(user_id))


def refresh_orders(context: TradingContext, user_id: str) -> None:
    """Ask what became of the orders that rest, where that is possible, while the autopilot, which does so, is off."""
    strategy = context.strategies.find(user_id)
    if strategy is None or strategy.autopilot_enabled or not context.orders.unreconciled(user_id):
        return
    try:
        with open_session(context, user_id) as session:
            exchange = session.exchange(strategy.exchange, strategy.symbols())
            reconcile(session, {strategy.exchange: exchange.open_orders()})
    except BotBalanceError as error:  # as last known, then; each order says when that was
        logger.warning("orders not brought up to date", user_id=user_id, reason=str(error))


def cancel_one(context: TradingContext, user_id: str, client_order_id: str) -> Order:
    """Cancel one order; one that has ended already is returned as it is. Raises NotFoundError for an unknown one."""
    with open_session(context, user_id) as session:
        order = context.orders.get(user_id, client_order_id)
        if not order.is_active:
            return order
        result = cancel_orders(session, [order], {client_order_id: CANCELED_BY_USER})
        _tell_of_cancels(context, user_id, result)
    result.raise_error()
    return result.orders[0]


def cancel_by_hand(context: TradingContext, user_id: str) -> list[Order]:
    """Cancel every order of the user that may still trade; returns them as they then stand.

    One that cannot be cancelled keeps none of the others resting; what it met is raised after them.
    """
    with open_session(context, user_id) as session:
        result = cancel_all(session, CANCELED_BY_USER)
        _tell_of_cancels(context, user_id, result)
    result.raise_error()
    return result.orders


def _tell_of_cancels(context: TradingContext, user_id: str, result: CancelResult) -> None:
    if result.orders:
        after = {order.client_order_id: str(order.status) for order in result.orders}
        tell(context, new_activity(context, user_id, ActivityKind.ORDERS_CANCELED, after=after))


def resolve_order(
    context: TradingContext, user_id: str, client_order_id: str, filled_qty: Decimal | None, price: Decimal | None
) -> Order:
    """Book its owner's word on an order that is lost; returns it as it then stands.

    ``filled_qty`` is all that was filled of it, in base, at ``price`` (quote per base) as far as it is not booked yet;
    None: no more than what the exchange has told of, the rest was cancelled.
    Raises NotFoundError for an unknown order, ConflictError for one that the exchange still tells of, and
    InvalidRequestError for quantities that cannot be.
    """
    with open_session(context, user_id) as session:
        order = _look_up_again(session, context.orders.get(user_id, client_order_id))
        if not order.is_lost:
            raise ConflictError(
                "order_not_lost",
                f"order {client_order_id} is {order.status}, expected one that its exchange no longer tells of",
            )
        now = context.clock()
        resolved = _resolved(order, order.filled_qty if filled_qty is None else filled_qty, price, now)
        told = new_activity(
            context,
            user_id,
            ActivityKind.ORDER_RESOLVED,
            subject=client_order_id,
            before={"status": str(order.status), "filled_qty": format_decimal(order.filled_qty)},
            after={"status": str(resolved.status), "filled_qty": format_decimal(resolved.fills_qty)},
        )
        return session.update_order(order, resolved, told)


def _look_up_again(session: AccountSession, order: Order) -> Order:
    """``order`` as its exchange tells of it now, where it could not be asked before, or told no trades.

    Raises ConflictError where it rests, and RateLimitedError where it may not be asked now.
    """
    if not order.is_lost or order.reason == NOT_ON_EXCHANGE:
        return order
    try:
        exchange = session.exchange(order.exchange, [order.symbol])
        seen = exchange.find_order(order.symbol, order.client_order_id)
        if seen is not None and seen.status is not ExchangeOrderStatus.OPEN:
            return apply_order_report(session, order, seen)
    except (RateLimitedError, ConflictError):
        raise
    except BotBalanceError as error:  # its owner's word it is
        logger.info("order not looked up", client_order_id=order.client_order_id, reason=str(error))
        return order
    if seen is None:
        return apply_order_not_found(session, order)
    raise ConflictError("order_not_lost", f"order {order.client_order_id} rests on {order.exchange}; cancel it")


def _resolved(order: Order, filled_qty: Decimal, price: Decimal | None, now: int) -> Order:
    if not order.filled_qty <= filled_qty <= order.base_qty:
        raise InvalidRequestError(
            "invalid_quantity",
            f"filled_qty is {format_decimal(filled_qty)}, expected from {format_decimal(order.filled_qty)}, "
            f"which the exchange has told of, to {format_decimal(order.base_qty)}",
        )
    fills = order.fills
    with ExactArithmetic():
        rest = filled_qty - order.fills_qty
    if rest:
        if price is None:
            raise InvalidRequestError("invalid_price", "price is missing, expected what the rest was filled at")
        fills += (
            OrderFill(
                trade_id=f"{RESOLVED_BY_OWNER}-{now}",
                price=price,
                base_qty=rest,
                fee=Decimal(0),
                fee_asset=order.quote,
                traded_at_ms=now * 1000,
            ),
        )
    return order.model_copy(
        update={
            "status": OrderStatus.FILLED if filled_qty == order.base_qty else OrderStatus.CANCELED,
            "filled_qty": filled_qty,
            "fills": fills,
            "reason": RESOLVED_BY_OWNER,
            "resolved_by": order.user_id,
            "resolved_at": now,
            "updated_at": now,
        }
    )


def require_no_active_orders(context: TradingContext, user_id: str, exchange: str) -> None:
    """Raise ConflictError while an order on ``exchange`` may trade that nobody could look after any more."""
    active = [order for order in context.orders.unreconciled(user_id) if order.is_active and order.exchange == exchange]
    for order in active:
        if order.is_lost:
            raise order_lost_error(order)
    if active:
        ids = ", ".join(order.client_order_id for order in active)
        raise ConflictError("orders_resting", f"orders rest on {exchange} ({ids}); DELETE orders/ first")
