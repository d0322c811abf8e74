"""The matching core: accounts, orders, trades. No HTTP, no floats, exact Decimals.

Accounts trade against the market, never with each other. A resting order fills at its limit when a later
candle trades through it; an order that crosses the book on arrival fills at once, whole, at the best price.
Prices are in quote per base, quantities in base, fees in percent of what is received, times in epoch ms.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from itertools import count
from random import Random

from botbalance.engine import Balance, Side, book_fill, fillable_qty, lock, new_fill, release, transfer
from botbalance.engine.arithmetic import ONE, ZERO

from workbench.simulated_exchange import errors
from workbench.simulated_exchange.market import Candle, Market, MarketSpec

CHANCE_STEPS = 1_000_000
"""How finely the probability of a partial fill is drawn."""


def epoch_ms() -> int:
    """The real time."""
    return time.time_ns() // 1_000_000


class OrderType(StrEnum):
    """An order's type, in Binance's words."""

    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"
    MARKET = "MARKET"


class TimeInForce(StrEnum):
    """How long a limit order waits: until it is cancelled, or not at all (what fills fills whole, here)."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderStatus(StrEnum):
    """An order's state, in Binance's words."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    """It was to fill at once, and could not."""

    @property
    def is_open(self) -> bool:
        """Whether it may still trade."""
        return self in {OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED}


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order as it is asked for. ``price`` is None for MARKET, which takes ``qty`` or ``quote_qty`` (in quote)."""

    symbol: str
    side: Side
    type: OrderType
    client_order_id: str
    qty: Decimal | None = None
    price: Decimal | None = None
    quote_qty: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC


@dataclass(frozen=True, slots=True)
class Order:
    """An accepted order as it stands; ``executed_quote`` is what its fills were worth in quote, before fees.

    ``price`` is 0 for MARKET, as Binance reports it.
    """

    order_id: int
    client_order_id: str
    symbol: str
    side: Side
    type: OrderType
    price: Decimal
    qty: Decimal
    executed_qty: Decimal
    executed_quote: Decimal
    quote_qty: Decimal
    status: OrderStatus
    time: int
    update_time: int
    time_in_force: TimeInForce = TimeInForce.GTC

    @property
    def remaining(self) -> Decimal:
        """What is not filled yet, in base."""
        return self.qty - self.executed_qty


@dataclass(frozen=True, slots=True)
class Trade:
    """One fill: ``commission`` is in units of ``commission_asset``, the asset that was received."""

    trade_id: int
    order_id: int
    client_order_id: str
    symbol: str
    side: Side
    price: Decimal
    qty: Decimal
    quote_qty: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    is_maker: bool


@dataclass(slots=True)
class Account:
    """One API key's account; ``balances`` of every asset that it ever held.

    ``open_ids`` are the ids of the open orders by symbol, ``newest_ids`` those of the newest order by symbol and
    client id.
    """

    api_key: str
    secret: str
    can_trade: bool
    can_withdraw: bool
    ip_restricted: bool
    opened: int
    updated: int
    balances: dict[str, Balance] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    open_ids: dict[str, set[int]] = field(default_factory=dict)
    newest_ids: dict[tuple[str, str], int] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)

    def free_balance(self, asset: str) -> Decimal:
        """What is free of an asset, in units."""
        return self.balances.get(asset, Balance()).free

    def find_open_orders(self, symbol: str) -> list[Order]:
        """The open orders on a pair, oldest first."""
        return [self.orders[order_id] for order_id in sorted(self.open_ids.get(symbol, ()))]


class MatchingEngine:
    """All accounts of the exchange, and the orders that rest in ``market``.

    ``maker_fee_pct`` and ``taker_fee_pct`` are percent of what a fill brings. When a resting order is traded
    through, only a random part of it fills with ``partial_fill_probability`` (0 to 1): from ``seed`` and from
    what the order asks for, so that it is the same however the requests of several accounts interleave.
    ``max_volume_fraction`` (0 to 1; None: no bound) is how much of a candle's volume one order fills at most. ``clock``
    gives the orders' and trades' times. Safe to use from several threads: every call holds the market's lock.
    """

    def __init__(
        self,
        market: Market,
        *,
        maker_fee_pct: Decimal = Decimal("0.1"),
        taker_fee_pct: Decimal = Decimal("0.1"),
        partial_fill_probability: Decimal = Decimal("0.2"),
        max_volume_fraction: Decimal | None = None,
        seed: int = 0,
        clock: Callable[[], int] = epoch_ms,
    ) -> None:
        if not ZERO <= partial_fill_probability <= ONE:
            raise ValueError(f"partial_fill_probability is {partial_fill_probability}, expected 0 to 1")
        self.market = market
        self.maker_fee_pct = maker_fee_pct
        self.taker_fee_pct = taker_fee_pct
        self.partial_fill_probability = partial_fill_probability
        self.max_volume_fraction = max_volume_fraction
        self._seed = seed
        self._random = Random(seed)
        self.now_ms = clock
        self._accounts: dict[str, Account] = {}
        self._resting: dict[str, dict[int, Account]] = {symbol: {} for symbol in market.specs}
        self._order_ids = count(1)
        self._trade_ids = count(1)
        market.on_candle(self._fill_resting)

    # accounts

    def open_account(
        self,
        api_key: str,
        secret: str,
        balances: Mapping[str, Decimal],
        *,
        can_trade: bool = True,
        can_withdraw: bool = False,
        ip_restricted: bool = False,
    ) -> None:
        """Open an account that ``api_key`` and ``secret`` belong to, with ``balances`` in units of each asset."""
        with self.market.exclusive():
            if api_key in self._accounts:
                raise ValueError("api_key is taken, expected one without an account")
            now = self.now_ms()
            account = Account(api_key, secret, can_trade, can_withdraw, ip_restricted, opened=now, updated=now)
            for asset, amount in balances.items():
                account.balances |= transfer(account.balances, asset, _finite(asset, amount))
            self._accounts[api_key] = account

    def transfer(self, api_key: str, asset: str, amount: Decimal) -> None:
        """Deposit ``amount`` of ``asset`` from outside, or withdraw it where it is negative."""
        with self.market.exclusive():
            account = self._accounts[api_key]
            account.balances |= transfer(account.balances, asset, _finite(asset, amount))
            account.updated = self.now_ms()

    def revoke_key(self, api_key: str) -> None:
        """Refuse ``api_key`` from now on (-2015) and cancel what it has open."""
        with self.market.exclusive():
            account = self._accounts.pop(api_key)
            for symbol in self.market.specs:
                for order in account.find_open_orders(symbol):
                    self._cancel(account, order)

    def account(self, api_key: str) -> Account | None:
        """The account of ``api_key``, for reading under ``market.exclusive()``; None where there is none."""
        return self._accounts.get(api_key)

    # audits

    def api_keys(self) -> list[str]:
        """Every account that was opened, by its key."""
        with self.market.exclusive():
            return list(self._accounts)

    def orders(self, api_key: str) -> list[Order]:
        """Every order that the account ever placed, oldest first."""
        with self.market.exclusive():
            return list(self._accounts[api_key].orders.values())

    def trades(self, api_key: str) -> list[Trade]:
        """Every fill of the account, oldest first."""
        with self.market.exclusive():
            return list(self._accounts[api_key].trades)

    def balances(self, api_key: str) -> dict[str, Balance]:
        """What the account holds of every asset that it ever held."""
        with self.market.exclusive():
            return dict(sorted(self._accounts[api_key].balances.items()))

    # orders

    def place(self, api_key: str, wanted: NewOrder) -> tuple[Order, Sequence[Trade]]:
        """Accept an order: it rests, expires, or fills at once with the trades returned. Raises ExchangeError."""
        with self.market.exclusive():
            account = self._accounts[api_key]
            spec, touch, limit, qty = self._checked(wanted)
            crosses = limit >= touch if wanted.side == "buy" else limit <= touch
            self._check_book(account, spec, wanted, limit * qty if wanted.side == "buy" else qty, crosses=crosses)
            order = self._accept(account, wanted, qty)
            if not crosses and wanted.time_in_force is not TimeInForce.GTC:
                return self._settle(account, replace(order, status=OrderStatus.EXPIRED)), ()
            if not crosses:
                self._lock_funds(account, spec, order)
                return order, ()
            order, trade = self._fill(account, order, touch, qty, is_maker=False)
            return order, (trade,)

    def validate(self, wanted: NewOrder) -> None:
        """Check all that is checked before an account's balances and open orders count. Raises ExchangeError."""
        with self.market.exclusive():
            self._checked(wanted)

    def cancel(
        self,
        api_key: str,
        symbol: str,
        *,
        order_id: int | None = None,
        client_order_id: str | None = None,
        only: OrderStatus | None = None,
    ) -> Order:
        """Cancel an open order by its id or its client id, only in a certain state where ``only`` is given.

        What has filled stays filled. Raises ExchangeError.
        """
        with self.market.exclusive():
            account = self._accounts[api_key]
            order = self._find(account, symbol, order_id, client_order_id)
            if order is None or not order.status.is_open:
                raise errors.unknown_order()
            if only not in {None, order.status}:
                raise errors.cancel_restricted()
            return self._cancel(account, order)

    def cancel_all(self, api_key: str, symbol: str) -> list[Order]:
        """Cancel every open order of the account on ``symbol``; raises ExchangeError where there is none."""
        with self.market.exclusive():
            account = self._accounts[api_key]
            found = account.find_open_orders(self._spec(symbol).symbol)
            if not found:
                raise errors.unknown_order()
            return [self._cancel(account, order) for order in found]

    def find(
        self, api_key: str, symbol: str, *, order_id: int | None = None, client_order_id: str | None = None
    ) -> Order:
        """The order of that id, or the newest of that client id. Raises ExchangeError."""
        with self.market.exclusive():
            order = self._find(self._accounts[api_key], symbol, order_id, client_order_id)
            if order is None:
                raise errors.no_such_order()
            return order

    def open_orders(self, api_key: str, symbol: str | None = None) -> list[Order]:
        """What the account has open on ``symbol``, or on every pair, oldest first."""
        with self.market.exclusive():
            symbols = [self._spec(symbol).symbol] if symbol else self.market.specs
            account = self._accounts[api_key]
            return sorted((o for s in symbols for o in account.find_open_orders(s)), key=lambda order: order.order_id)

    # matching

    def fill_now(self, api_key: str, order_id: int, *, whole: bool) -> Trade:
        """Fill what is left of a resting order at its limit, or half of that, as if it had been traded through.

        Raises ExchangeError where the order does not rest.
        """
        with self.market.exclusive():
            order = self._accounts[api_key].orders.get(order_id)
            if order is None or not order.status.is_open:
                raise errors.unknown_order()
            lot_size = self.market.specs[order.symbol].lot_size
            half = order.remaining // lot_size // 2 * lot_size
            qty = order.remaining if whole or not half else half
            return self._fill(self._accounts[api_key], order, order.price, qty, is_maker=True)[1]

    def _fill_resting(self, symbol: str, candle: Candle) -> None:
        for order_id, account in list(self._resting[symbol].items()):
            order = account.orders[order_id]
            lot_size = self.market.specs[symbol].lot_size
            most = fillable_qty(
                order.side,
                order.price,
                order.remaining,
                candle.low,
                candle.high,
                volume=candle.volume,
                max_volume_fraction=self.max_volume_fraction,
                lot_size=lot_size,
            )
            if most:
                # Whose order came first is chance where several threads trade; how much of it fills must not be.
                drawn_for = (account.api_key, symbol, order.side, order.price, order.qty, order.executed_qty)
                self._random.seed(f"{self._seed}:{drawn_for}")
                qty = self._filled_part(most, lot_size)
                self._fill(account, order, order.price, qty, is_maker=True)

    def _filled_part(self, remaining: Decimal, lot_size: Decimal) -> Decimal:
        lots = int(remaining // lot_size)
        partly = self._random.randrange(CHANCE_STEPS) < self.partial_fill_probability * CHANCE_STEPS
        return self._random.randrange(1, lots) * lot_size if partly and lots > 1 else remaining

    def _fill(
        self, account: Account, order: Order, price: Decimal, qty: Decimal, *, is_maker: bool
    ) -> tuple[Order, Trade]:
        spec = self.market.specs[order.symbol]
        fee_pct = self.maker_fee_pct if is_maker else self.taker_fee_pct
        fill = new_fill(spec.base, spec.quote, order.side, price, qty, fee_pct)
        quote_qty = fill.quote_qty
        spent = quote_qty if order.side == "buy" else qty
        account.balances |= book_fill(account.balances, fill, unlocked=spent if is_maker else ZERO)
        now = self.now_ms()
        executed_qty = order.executed_qty + qty
        status = OrderStatus.FILLED if executed_qty == order.qty else OrderStatus.PARTIALLY_FILLED
        order = self._settle(
            account,
            replace(
                order,
                executed_qty=executed_qty,
                executed_quote=order.executed_quote + quote_qty,
                status=status,
                update_time=now,
            ),
        )
        trade = Trade(
            next(self._trade_ids),
            order.order_id,
            order.client_order_id,
            order.symbol,
            order.side,
            price,
            qty,
            quote_qty,
            fill.fee,
            fill.fee_asset,
            now,
            is_maker,
        )
        account.trades.append(trade)
        return order, trade

    def _accept(self, account: Account, wanted: NewOrder, qty: Decimal) -> Order:
        now = self.now_ms()
        order = Order(
            next(self._order_ids),
            wanted.client_order_id,
            wanted.symbol,
            wanted.side,
            wanted.type,
            price=wanted.price if wanted.price is not None else ZERO,
            qty=qty,
            executed_qty=ZERO,
            executed_quote=ZERO,
            quote_qty=wanted.quote_qty if wanted.quote_qty is not None else ZERO,
            status=OrderStatus.NEW,
            time=now,
            update_time=now,
            time_in_force=wanted.time_in_force,
        )
        account.newest_ids[order.symbol, order.client_order_id] = order.order_id
        return self._settle(account, order)

    def _lock_funds(self, account: Account, spec: MarketSpec, order: Order) -> None:
        asset, amount = _reserve(spec, order)
        account.balances |= lock(account.balances, asset, amount)
        self._resting[order.symbol][order.order_id] = account

    def _cancel(self, account: Account, order: Order) -> Order:
        asset, amount = _reserve(self.market.specs[order.symbol], order)
        account.balances |= release(account.balances, asset, amount)
        return self._settle(account, replace(order, status=OrderStatus.CANCELED, update_time=self.now_ms()))

    def _settle(self, account: Account, order: Order) -> Order:
        """Store the order as it stands now, and whether it is open."""
        account.orders[order.order_id] = order
        account.updated = order.update_time
        open_ids = account.open_ids.setdefault(order.symbol, set())
        if order.status.is_open:
            open_ids.add(order.order_id)
        else:
            open_ids.discard(order.order_id)
            self._resting[order.symbol].pop(order.order_id, None)
        return order

    # checks

    def _spec(self, symbol: str) -> MarketSpec:
        if symbol not in self.market.specs:
            raise errors.invalid_symbol()
        return self.market.specs[symbol]

    def _checked(self, wanted: NewOrder) -> tuple[MarketSpec, Decimal, Decimal, Decimal]:
        """The market of an order that its filters let through, the best price, the order's limit and its quantity."""
        spec = self._spec(wanted.symbol)
        if not self.market.is_trading(spec.symbol):
            raise errors.market_closed()
        bid, ask = self.market.bid_ask(spec.symbol)
        touch = ask if wanted.side == "buy" else bid
        limit = touch if wanted.price is None else wanted.price
        qty = _quantity(wanted, limit, spec)
        self._check_filters(spec, wanted, limit, qty)
        return spec, touch, limit, qty

    def _check_filters(self, spec: MarketSpec, wanted: NewOrder, limit: Decimal, qty: Decimal) -> None:
        """The filters that Binance applies before its matching engine; the price band is around the last price."""
        if wanted.price is not None:
            if not spec.min_price <= limit <= spec.max_price or limit % spec.tick_size:
                raise errors.filter_failure("PRICE_FILTER")
            if wanted.side == "buy":
                lowest, highest = spec.bid_multiplier_down, spec.bid_multiplier_up
            else:
                lowest, highest = spec.ask_multiplier_down, spec.ask_multiplier_up
            last = self.market.last_price(spec.symbol)
            if not last * lowest <= limit <= last * highest:
                raise errors.filter_failure("PERCENT_PRICE_BY_SIDE")
        if not spec.min_qty <= qty <= spec.max_qty or qty % spec.lot_size:
            raise errors.filter_failure("LOT_SIZE")
        notional = limit * qty
        if notional < spec.min_notional or (wanted.price is not None and notional > spec.max_notional):
            raise errors.filter_failure("NOTIONAL")

    def _check_book(
        self, account: Account, spec: MarketSpec, wanted: NewOrder, spent: Decimal, *, crosses: bool
    ) -> None:
        """What Binance's matching engine refuses; ``spent`` is in quote for a buy, in base for a sell."""
        open_here = account.find_open_orders(spec.symbol)
        if len(open_here) >= spec.max_num_orders and wanted.type is not OrderType.MARKET:
            raise errors.too_many_open_orders()
        if any(order.client_order_id == wanted.client_order_id for order in open_here):
            raise errors.duplicate_order()
        if crosses and wanted.type is OrderType.LIMIT_MAKER:
            raise errors.would_take()
        if spent > account.free_balance(spec.quote if wanted.side == "buy" else spec.base):
            raise errors.insufficient_balance()

    def _find(self, account: Account, symbol: str, order_id: int | None, client_order_id: str | None) -> Order | None:
        """By id where there is one; a client id may have been used again, so its newest order counts."""
        self._spec(symbol)
        if order_id is None:
            order_id = account.newest_ids.get((symbol, client_order_id or ""))
        order = account.orders.get(order_id or 0)
        if order is None or order.symbol != symbol or client_order_id not in {None, order.client_order_id}:
            return None
        return order


def _finite(asset: str, amount: Decimal) -> Decimal:
    if not amount.is_finite():
        raise ValueError(f"{asset} is {amount}, expected a finite Decimal")
    return amount


def _reserve(spec: MarketSpec, order: Order) -> tuple[str, Decimal]:
    """The asset and amount that the order's unfilled part ties up."""
    if order.side == "buy":
        return spec.quote, order.remaining * order.price
    return spec.base, order.remaining


def _quantity(wanted: NewOrder, touch: Decimal, spec: MarketSpec) -> Decimal:
    """The order's quantity in base; one given in quote is rounded down to whole lots at the best price."""
    if wanted.qty is not None:
        return wanted.qty
    if wanted.quote_qty is None:
        raise errors.mandatory("quantity")
    return wanted.quote_qty // (touch * spec.lot_size) * spec.lot_size
