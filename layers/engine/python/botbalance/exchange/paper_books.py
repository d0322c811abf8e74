"""The books of a paper account: what placing, cancelling, minutes and transfers do to them. Pure.

Fills are the engine's rule, and the arithmetic is its ledger: the same as the backtest's and the simulated exchange's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha1
from typing import Any

from botbalance.engine import (
    Balance,
    Fill,
    InsufficientBalanceError,
    MarketRules,
    Side,
    book_fill,
    fillable_qty,
    lock,
    new_fill,
    release,
    transfer,
)
from botbalance.engine.arithmetic import ONE, PERCENT, ZERO, ExactArithmetic
from botbalance.engine.durations import MINUTE_S
from botbalance.exchange.adapter import WOULD_TAKE, Fees, MinuteRange, OrderRejected, OrderRequest, Quote
from botbalance.models.fill import OrderFill
from botbalance.models.paper import (
    GAPS_KEPT,
    PaperAccount,
    PaperEpoch,
    PaperGap,
    PaperOrder,
    PaperStatus,
    paper_order_id,
)

MOST_FILLS = 1_000
"""Of all open orders of an account together: they lie in one item, and take up to 200 bytes each."""


@dataclass(frozen=True, slots=True)
class ToldMinutes:
    """The minutes of one market that are over, as its exchange tells them, oldest first.

    ``since`` and ``until`` in epoch seconds: of all minutes that open from ``since`` on and before ``until``, those are
    here in which it traded. Of what is before ``since`` it tells nothing any more. ``complete``: whether that is all
    that it can tell now; False where more has to be asked for.
    """

    minutes: Sequence[MinuteRange]
    since: int
    until: int
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """The account as it is after something was done, and its orders that ended with it."""

    account: PaperAccount
    ended: tuple[PaperOrder, ...] = ()


def open_account(
    user_id: str, exchange: str, balances: Mapping[str, Decimal], now: int, before: PaperAccount | None
) -> PaperAccount:
    """A new epoch of the account, with ``balances`` in units by asset; ``before`` is the one that ends, if any.

    Raises InvalidInputError for a balance below zero.
    """
    opened: dict[str, Balance] = {}
    for asset, quantity in balances.items():
        opened |= transfer(opened, asset, quantity)
    return PaperAccount(
        user_id=user_id,
        exchange=exchange,
        epoch=1 if before is None else before.epoch + 1,
        started_at=now,
        start_balances=dict(balances),
        balances=opened,
        revision=0 if before is None else before.revision,
    )


def end_of_epoch(account: PaperAccount, now: int) -> PaperEpoch:
    """What stays of the epoch that ends at ``now`` (epoch seconds)."""
    with ExactArithmetic():
        held = {asset: balance.free + balance.locked for asset, balance in account.balances.items()}
    return PaperEpoch(
        epoch=account.epoch,
        started_at=account.started_at,
        ended_at=now,
        start_balances=account.start_balances,
        transfers=account.transfers,
        balances=held,
    )


def transfer_asset(account: PaperAccount, asset: str, quantity: Decimal) -> PaperAccount:
    """Deposit ``quantity`` of ``asset``, or withdraw it where it is negative; raises InsufficientBalanceError."""
    changes = transfer(account.balances, asset, quantity)
    with ExactArithmetic():
        net = account.transfers.get(asset, ZERO) + quantity
    return account.model_copy(
        update={"balances": account.balances | changes, "transfers": account.transfers | {asset: net}}
    )


def place(
    account: PaperAccount, wanted: OrderRequest, rules: MarketRules, fees: Fees, quote: Quote, now: int, margin_s: int
) -> tuple[Change, PaperOrder] | OrderRejected:
    """Accept an order at ``now`` (epoch seconds), or refuse it as its exchange would.

    It rests until a minute trades through it, the first of them being the one that opens ``margin_s`` seconds later, or
    after that. One that would trade at once is refused where it is post-only, and else trades whole at the best price.
    """
    refused = _filter_failure(wanted, rules, quote)
    if refused is not None:
        return refused
    touch = _touch(wanted.side, quote)
    crosses = touch is not None and (
        wanted.limit_price >= touch if wanted.side == "buy" else wanted.limit_price <= touch
    )
    if crosses and wanted.post_only:
        return OrderRejected(WOULD_TAKE, f"a {wanted.side} at {wanted.limit_price:f} would trade at once, at {touch:f}")
    order = _accepted(account, wanted, rules, fees, now, margin_s)
    try:
        if crosses and touch is not None:
            change = _take(account, order, touch, fees.taker_pct, now)
            return change, change.ended[0]
        locked = lock(account.balances, order.locked_asset, order.locked)
    except InsufficientBalanceError as error:
        return OrderRejected("insufficient_funds", str(error))
    rests = account.model_copy(update={"balances": account.balances | locked, "orders": (*account.orders, order)})
    return Change(rests), order


def cancel(account: PaperAccount, client_order_id: str) -> Change | None:
    """Give up an open order: what its unfilled part tied up is free again. None where none is open by that id."""
    order = account.open_order(client_order_id)
    if order is None:
        return None
    balances = dict(account.balances)
    ended = _canceled(balances, order)
    left = tuple(other for other in account.orders if other is not order)
    return Change(account.model_copy(update={"balances": balances, "orders": left}), (ended,))


def _canceled(balances: dict[str, Balance], order: PaperOrder) -> PaperOrder:
    """The order without its unfilled part, which ``balances`` then show."""
    balances |= release(balances, order.locked_asset, order.locked)
    return order.model_copy(update={"status": PaperStatus.CANCELED, "locked": ZERO})


def settle(account: PaperAccount, told: Mapping[str, ToldMinutes], max_volume_fraction: Decimal | None) -> Change:
    """Book what the minutes of ``told``, by symbol, do to the open orders: each fill once, whoever settles how often.

    At most ``max_volume_fraction`` (0 to 1; None: no bound) of what a minute traded is the account's. Minutes that the
    exchange tells no more of are noted as a gap, and fill nothing. What is left of an order is given up with the fill
    that makes the open orders' ``MOST_FILLS``.
    """
    balances = dict(account.balances)
    orders = {order.client_order_id: order for order in account.orders}
    gaps = list(account.gaps)
    for symbol, of_symbol in told.items():
        resting = [order.client_order_id for order in account.orders if order.symbol == symbol]
        unknown_since = min((orders[key].settled_until for key in resting), default=of_symbol.since)
        if unknown_since < of_symbol.since:
            _add_gap(gaps, PaperGap(symbol=symbol, since=unknown_since, until=of_symbol.since))
        for minute in of_symbol.minutes:
            if minute.opens_at < of_symbol.until:
                _book_minute(balances, orders, resting, minute, max_volume_fraction)
        for key in resting:
            until = max(orders[key].settled_until, of_symbol.until)
            orders[key] = orders[key].model_copy(update={"settled_until": until})
    return Change(
        account.model_copy(
            update={
                "balances": balances,
                "orders": tuple(order for order in orders.values() if order.status is PaperStatus.OPEN),
                "gaps": tuple(gaps[-GAPS_KEPT:]),
            }
        ),
        tuple(order for order in orders.values() if order.status is not PaperStatus.OPEN),
    )


def _add_gap(gaps: list[PaperGap], gap: PaperGap) -> None:
    """Add ``gap``; one that goes on where another of its pair ends is the same."""
    for place, before in enumerate(gaps):
        if (before.symbol, before.until) == (gap.symbol, gap.since):
            gaps[place] = before.model_copy(update={"until": gap.until})
            return
    gaps.append(gap)


def _book_minute(
    balances: dict[str, Balance],
    orders: dict[str, PaperOrder],
    resting: Sequence[str],
    minute: MinuteRange,
    max_volume_fraction: Decimal | None,
) -> None:
    """Fill those of ``resting`` that the minute fills, the oldest first; all together no more than the share."""
    share = None
    if max_volume_fraction is not None:
        with ExactArithmetic():
            share = minute.volume * max_volume_fraction
    for key in resting:
        order = orders[key]
        if order.status is not PaperStatus.OPEN or minute.opens_at < order.settled_until:
            continue
        base_qty = fillable_qty(
            order.side,
            order.limit_price,
            order.remaining,
            minute.low,
            minute.high,
            volume=share,
            max_volume_fraction=ONE,
            lot_size=order.lot_size,
        )
        if not base_qty:
            continue
        if share is not None:
            with ExactArithmetic():
                share -= base_qty
        orders[key] = _filled(balances, order, base_qty, minute.opens_at)
        resting_fills = sum(len(other.fills) for other in orders.values() if other.status is PaperStatus.OPEN)
        if orders[key].status is PaperStatus.OPEN and resting_fills >= MOST_FILLS:
            orders[key] = _canceled(balances, orders[key])


def _filled(balances: dict[str, Balance], order: PaperOrder, base_qty: Decimal, opens_at: int) -> PaperOrder:
    """The order after a fill at its limit in the minute from ``opens_at`` on, which ``balances`` then show."""
    fill = _paper_fill(order, order.limit_price, base_qty, order.maker_fee_pct)
    whole = base_qty == order.remaining
    unlocked = order.locked if whole else _cost(order.side, order.limit_price, base_qty, order.quote_fee_pct)
    balances |= book_fill(balances, fill, unlocked=unlocked)
    with ExactArithmetic():
        locked = order.locked - unlocked
    booked = _booked(order, fill, opens_at, (opens_at + MINUTE_S) * 1000 - 1)
    changes: dict[str, Any] = {"fills": (*order.fills, booked), "locked": locked}
    return order.model_copy(update=changes | ({"status": PaperStatus.FILLED} if whole else {}))


def _take(account: PaperAccount, order: PaperOrder, price: Decimal, fee_pct: Decimal, now: int) -> Change:
    """Trade the whole order at once at ``price``; raises InsufficientBalanceError."""
    fill = _paper_fill(order, price, order.base_qty, fee_pct)
    balances = account.balances | book_fill(account.balances, fill)
    taken = order.model_copy(
        update={
            "fills": (_booked(order, fill, now, now * 1000),),
            "locked": ZERO,
            "status": PaperStatus.FILLED,
        }
    )
    return Change(account.model_copy(update={"balances": balances}), (taken,))


def _accepted(
    account: PaperAccount, wanted: OrderRequest, rules: MarketRules, fees: Fees, now: int, margin_s: int
) -> PaperOrder:
    """The order with everything that its fills will be made of."""
    return PaperOrder(
        exchange_order_id=paper_order_id(account.epoch, wanted.client_order_id),
        client_order_id=wanted.client_order_id,
        symbol=wanted.symbol,
        base=rules.base,
        quote=rules.quote,
        side=wanted.side,
        limit_price=wanted.limit_price,
        base_qty=wanted.base_qty,
        lot_size=rules.lot_size,
        maker_fee_pct=fees.maker_pct,
        quote_fee_pct=rules.quote_fee_pct,
        locked_asset=rules.quote if wanted.side == "buy" else rules.base,
        locked=_cost(wanted.side, wanted.limit_price, wanted.base_qty, rules.quote_fee_pct),
        placed_at=now,
        settled_until=-(-(now + margin_s) // MINUTE_S) * MINUTE_S,
    )


def _filter_failure(wanted: OrderRequest, rules: MarketRules, quote: Quote) -> OrderRejected | None:
    """What the market's rules refuse about the order."""
    if not rules.takes(wanted.side):
        return OrderRejected("market_closed", f"{wanted.symbol} takes no {wanted.side} orders now")
    with ExactArithmetic():
        wrong = next(_broken_filters(wanted, rules, quote.last), None)
    return None if wrong is None else OrderRejected("invalid_order", wrong)


def _broken_filters(wanted: OrderRequest, rules: MarketRules, last: Decimal | None) -> Iterator[str]:
    """What of the order no filter lets pass; the price band is around the ``last`` price."""
    price, base_qty, notional = wanted.limit_price, wanted.base_qty, wanted.limit_price * wanted.base_qty
    if last is None or rules.round_price(wanted.side, price, last) != price:
        yield f"limit_price is {price:f}, expected a multiple of {rules.tick_size:f} within the limits"
    if base_qty % rules.lot_size or base_qty < rules.min_qty:
        yield f"base_qty is {base_qty:f}, expected a multiple of {rules.lot_size:f}, {rules.min_qty:f} or more"
    if rules.max_qty is not None and base_qty > rules.max_qty:
        yield f"base_qty is {base_qty:f}, expected at most {rules.max_qty:f}"
    if notional < rules.min_notional:
        yield f"the order is worth {notional:f}, expected {rules.min_notional:f} or more"
    if rules.max_notional is not None and notional > rules.max_notional:
        yield f"the order is worth {notional:f}, expected at most {rules.max_notional:f}"


def _touch(side: Side, quote: Quote) -> Decimal | None:
    """The best price that an order of ``side`` would trade at; the last one where the exchange tells no book."""
    best = quote.ask if side == "buy" else quote.bid
    return quote.last if best is None else best


def _cost(side: Side, price: Decimal, base_qty: Decimal, quote_fee_pct: Decimal) -> Decimal:
    """What ``base_qty`` at ``price`` ties up: base for a sell; quote for a buy, with the fee where it is in quote."""
    if side == "sell":
        return base_qty
    with ExactArithmetic():
        return price * base_qty * (ONE + quote_fee_pct * PERCENT)


def _paper_fill(order: PaperOrder, price: Decimal, base_qty: Decimal, fee_pct: Decimal) -> Fill:
    in_quote = bool(order.quote_fee_pct)
    return new_fill(order.base, order.quote, order.side, price, base_qty, fee_pct, fee_in_quote=in_quote)


def _booked(order: PaperOrder, fill: Fill, moment: int, traded_at_ms: int) -> OrderFill:
    """The fill, by an id that says which order it is of, and when: the same however often it is found."""
    return OrderFill(
        trade_id=sha1(f"{order.exchange_order_id}:{moment}".encode(), usedforsecurity=False).hexdigest()[:20],
        price=fill.price,
        base_qty=fill.base_qty,
        fee=fill.fee,
        fee_asset=fill.fee_asset,
        traded_at_ms=traded_at_ms,
    )
