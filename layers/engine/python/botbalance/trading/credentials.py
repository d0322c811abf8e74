"""Storing, replacing and deleting a user's exchange key, so that no run loses it half-way."""

from botbalance.errors import (
    BotBalanceError,
    ConflictError,
    CredentialsRejectedError,
    InvalidRequestError,
    NotFoundError,
)
from botbalance.exchange.adapter import ExchangeAdapter, MarketGoneError
from botbalance.exchange.profiles import is_paper
from botbalance.models.activity import ActivityKind
from botbalance.models.exchange_key import ExchangeKey, StoredKey
from botbalance.models.order import Order, OrderStatus
from botbalance.trading.context import TradingContext
from botbalance.trading.orders import require_no_active_orders
from botbalance.trading.session import open_session
from botbalance.trading.trail import new_activity, tell

FATE_KNOWN_AFTER_S = 600
"""After so long the fate of every order is known whose key still works; see ``NEVER_PLACED_AFTER_S``."""


def store_key(context: TradingContext, user_id: str, exchange: str, key: ExchangeKey) -> StoredKey:
    """Store ``key`` after a signed read with it has worked; while no run works on the account, else raises
    ConflictError.

    Raises InvalidRequestError for a paper account, which needs none, for a key that the exchange refuses, and for one
    that may withdraw or may not trade, as far as it tells; and ConflictError where orders rest that this key does not
    reach, and where another user has stored this key.
    """
    if is_paper(exchange):
        raise InvalidRequestError(
            "paper_needs_no_key", f"exchange is {exchange}, which needs no key: PUT exchange/paper/ to open an account"
        )
    with open_session(context, user_id):
        try:
            _require_usable(context, user_id, exchange, key)
        except (InvalidRequestError, CredentialsRejectedError) as error:
            _tell_refused(context, user_id, exchange, error)
            raise
        existing = context.clients.find_keys([(user_id, exchange)]).get((user_id, exchange))
        action = ActivityKind.CREDENTIALS_STORED if existing is None else ActivityKind.CREDENTIALS_REPLACED
        told = new_activity(
            context,
            user_id,
            action,
            subject=exchange,
            before=None if existing is None else {"hint": existing.hint},
            after={"hint": key.api_key[-4:]},
        )
        try:
            return context.clients.save(user_id, exchange, key, context.clock(), context.activity.transact_put(told))
        except ConflictError as error:  # another user has it
            _tell_refused(context, user_id, exchange, error)
            raise


def _tell_refused(context: TradingContext, user_id: str, exchange: str, error: BotBalanceError) -> None:
    reason = f"{error.code}: {error}"
    tell(context, new_activity(context, user_id, ActivityKind.CREDENTIALS_REFUSED, subject=exchange, reason=reason))


def _require_usable(context: TradingContext, user_id: str, exchange: str, key: ExchangeKey) -> None:
    """Raise what keeps the key from being stored, after a signed read with it."""
    with context.clients.temporary(user_id, exchange, key) as client:
        try:
            client.balances()
        except CredentialsRejectedError as error:  # it was never anything else than what was sent here
            raise InvalidRequestError(error.code, str(error)) from None
        rights = client.key_permissions()
        if rights.may_withdraw:
            raise InvalidRequestError(
                "key_may_withdraw", "the key may withdraw; expected one that may read and trade, no more"
            )
        if rights.may_trade is False:
            raise InvalidRequestError("key_may_not_trade", "the key may only read; expected one that may trade, too")
        _require_same_account(context, user_id, client)


def delete_key(context: TradingContext, user_id: str, exchange: str) -> StoredKey:
    """Forget the key; returns what was known of it. Raises ConflictError while it is needed, NotFoundError without
    one."""
    with open_session(context, user_id):
        stored = context.clients.find_keys([(user_id, exchange)]).get((user_id, exchange))
        if stored is None:
            raise NotFoundError("exchange_key_not_found", f"no key for {exchange} is stored")
        strategy = context.strategies.find(user_id)
        if strategy is not None and strategy.exchange == exchange and strategy.autopilot_enabled:
            raise ConflictError("autopilot_enabled", "the autopilot trades with this key; switch it off first")
        require_no_active_orders(context, user_id, exchange)
        told = new_activity(
            context, user_id, ActivityKind.CREDENTIALS_DELETED, subject=exchange, before={"hint": stored.hint}
        )
        context.clients.forget(user_id, exchange, context.activity.transact_put(told))
        return stored


def _require_same_account(context: TradingContext, user_id: str, client: ExchangeAdapter) -> None:
    """Raise ConflictError where the key's account does not know an order that may trade: it would be lost.

    The fate of an order is known within minutes, unless its key serves no more. After ``FATE_KNOWN_AFTER_S`` an unknown
    one hinders no key.
    """
    settled_by = context.clock() - FATE_KNOWN_AFTER_S
    active = [
        order
        for order in context.orders.unreconciled(user_id)
        if order.is_active
        and order.exchange == client.exchange
        and (order.status is not OrderStatus.PENDING or order.placed_at > settled_by)
    ]
    if not active:
        return
    context.portfolio.load_markets(client, {order.symbol for order in active})
    for order in active:
        if _knows(client, order):
            continue
        if order.status is OrderStatus.PENDING:
            why = f"order {order.client_order_id} was sent with the key before and its fate is not known; try again in"
            raise ConflictError(
                "orders_resting", f"{why} {order.placed_at - settled_by} s, or with a key that knows it"
            )
        raise ConflictError(
            "orders_resting",
            f"order {order.client_order_id} rests in another account than this key's; DELETE orders/ first",
        )


def _knows(client: ExchangeAdapter, order: Order) -> bool:
    try:
        return client.find_order(order.symbol, order.client_order_id) is not None
    except MarketGoneError:
        return False
