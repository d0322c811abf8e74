"""Storing, replacing and deleting a user's exchange key, so that no run loses it half-way."""

from botbalance.errors import ConflictError, InvalidRequestError, NotFoundError
from botbalance.exchange.adapter import ExchangeAdapter
from botbalance.store.credentials import ExchangeKey, StoredKey
from botbalance.store.orders import OrderStatus
from botbalance.trading.desk import Desk
from botbalance.trading.strategy import require_no_orders


def store_key(desk: Desk, user_id: str, exchange: str, key: ExchangeKey) -> StoredKey:
    """Store ``key`` after a signed read with it has worked; while no run works on the account, else raises
    ConflictError.

    Raises InvalidRequestError for a key that may withdraw or may not trade, as far as the exchange tells,
    CredentialsRejectedError for one that it refuses, and ConflictError where orders rest that this key does not reach.
    """
    with desk.lease_of(user_id):
        with desk.accounts.trial(user_id, exchange, key) as account:
            account.balances()
            rights = account.key_permissions()
            if rights.may_withdraw:
                raise InvalidRequestError(
                    "key_may_withdraw", "the key may withdraw; expected one that may read and trade, no more"
                )
            if rights.may_trade is False:
                raise InvalidRequestError(
                    "key_may_not_trade", "the key may only read; expected one that may trade spot too"
                )
            _require_same_account(desk, user_id, account)
        return desk.accounts.save(user_id, exchange, key, desk.clock())


def delete_key(desk: Desk, user_id: str, exchange: str) -> StoredKey:
    """Forget the key; returns what was known of it. Raises ConflictError while it is needed, NotFoundError without
    one."""
    with desk.lease_of(user_id):
        stored = desk.accounts.keys_of([(user_id, exchange)]).get((user_id, exchange))
        if stored is None:
            raise NotFoundError("exchange_key_not_found", f"no key for {exchange} is stored")
        strategy = desk.strategies.find(user_id)
        if strategy is not None and strategy.exchange == exchange:
            if strategy.autopilot_enabled:
                raise ConflictError("autopilot_enabled", "the autopilot trades with this key; switch it off first")
            require_no_orders(desk, user_id, exchange)
        desk.accounts.forget(user_id, exchange)
        return stored


def _require_same_account(desk: Desk, user_id: str, account: ExchangeAdapter) -> None:
    """Raise ConflictError where an order that rests is unknown to the account: with another's key it would be lost."""
    resting = [
        order
        for order in desk.orders.watched(user_id)
        if order.may_trade and order.exchange == account.exchange and order.status is not OrderStatus.PENDING
    ]
    if not resting:
        return
    desk.portfolio.load_markets(account, {order.symbol for order in resting})
    for order in resting:
        if account.find_order(order.symbol, order.client_order_id) is None:
            raise ConflictError(
                "orders_resting",
                f"order {order.client_order_id} rests in another account than this key's; DELETE orders/ first",
            )
