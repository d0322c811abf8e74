"""What may become of an order, written down without looking at the code that does it."""

from botbalance.models.order import Order, OrderStatus

S = OrderStatus
NEXT: dict[OrderStatus, set[OrderStatus]] = {
    S.PENDING: set(S),
    S.OPEN: {S.OPEN, S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.EXPIRED},
    S.PARTIALLY_FILLED: {S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.EXPIRED},
    # It was given up, and is there after all; or it filled before it was cancelled, and that is told late.
    S.CANCELED: {S.CANCELED, S.OPEN, S.PARTIALLY_FILLED, S.FILLED, S.EXPIRED},
    S.EXPIRED: {S.EXPIRED, S.FILLED},
    S.FILLED: {S.FILLED},
    S.REJECTED: {S.REJECTED},
}
"""Every status that may follow another in one write."""
NEVER_CHANGING = (
    "user_id",
    "exchange",
    "symbol",
    "base",
    "quote",
    "side",
    "limit_price",
    "base_qty",
    "quote_amount",
    "source",
    "ts_tick",
    "order_index",
    "placed_at",
)


class History:
    """Every order as it was written, write by write; ``problems`` is what was wrong with one."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._latest: dict[str, Order] = {}

    def note(self, order: Order) -> None:
        """``order`` was written, or read, as this."""
        name = f"{order.symbol} {order.client_order_id} revision {order.revision}"
        before = self._latest.get(order.client_order_id)
        self._latest[order.client_order_id] = order
        if not 0 <= order.filled_qty <= order.base_qty:
            self.problems.append(f"{name}: {order.filled_qty} of {order.base_qty} filled")
        if order.fills_qty > order.filled_qty:
            self.problems.append(f"{name}: {order.fills_qty} booked, {order.filled_qty} filled")
        if len({fill.trade_id for fill in order.fills}) < len(order.fills):
            self.problems.append(f"{name}: a fill is booked twice")
        if before is None:
            if order.revision == 0 and order.status is not S.PENDING:
                self.problems.append(f"{name}: {order.status} before it was sent")
        elif order.revision == before.revision:
            if order != before:
                self.problems.append(f"{name}: written twice, {before} and {order}")
        elif order.revision < before.revision:
            self.problems.append(f"{name}: written over revision {before.revision}")
        else:
            self._compare(name, before, order)

    def _compare(self, name: str, before: Order, order: Order) -> None:
        known = order.revision == before.revision + 1
        if order.status not in (NEXT[before.status] if known else _reachable(before.status)):
            self.problems.append(f"{name}: {before.status} became {order.status}")
        if order.filled_qty < before.filled_qty:
            self.problems.append(f"{name}: {before.filled_qty} filled, then {order.filled_qty}")
        if not set(before.fills) <= set(order.fills):
            self.problems.append(f"{name}: a fill that was booked is gone")
        if order.fencing_token < before.fencing_token:
            self.problems.append(f"{name}: written under lease {order.fencing_token} after {before.fencing_token}")
        changed = [field for field in NEVER_CHANGING if getattr(order, field) != getattr(before, field)]
        if changed:
            self.problems.append(f"{name}: {', '.join(changed)} changed")
        if before.exchange_order_id not in {None, order.exchange_order_id}:
            self.problems.append(f"{name}: {before.exchange_order_id} there, then {order.exchange_order_id}")


def _reachable(status: OrderStatus) -> set[OrderStatus]:
    """Every status that may follow in any number of writes."""
    found = {status}
    while more := {later for earlier in found for later in NEXT[earlier]} - found:
        found |= more
    return found
