"""The adapter of paper accounts: real prices, nobody's money. The second implementation of the port.

What is public is the real exchange's, and shared by all who ask for it; what is an account's is in books of our own. No
key is needed, and no request is ever sent on an account's behalf.

The books are settled whenever they are read, by the minutes that are over by then. Settling twice changes nothing, so
whoever only looks may settle without writing, and sees what the next write will book.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from botbalance.engine import Balance, Fill, InvalidInputError
from botbalance.engine.durations import MINUTE_S
from botbalance.errors import BotBalanceError, InvalidRequestError, TransientError
from botbalance.exchange.adapter import (
    CLOCK_MARGIN_S,
    ExchangeOrder,
    ExchangeOrderStatus,
    Fees,
    HourlyHigh,
    KeyPermissions,
    MarketListing,
    MinuteRange,
    OrderAccepted,
    OrderRejected,
    OrderRequest,
    OrderUnknown,
    Quote,
    SubmitResult,
    Trade,
)
from botbalance.exchange.ccxt_parsing import listed_fees
from botbalance.exchange.paper_books import Change, ToldMinutes, cancel, place, settle
from botbalance.log import logger
from botbalance.models.paper import PaperAccount, PaperOrder

MAX_VOLUME_FRACTION = Decimal("0.05")
"""Of what a minute traded, so much may have been a paper account's: nobody fills more without moving the market."""
SETTLED_AT_LEAST_EVERY_S = 1_800
"""How far settling is written down lags behind by at most, so that an exchange need not be asked for older minutes."""
MOST_UNTOLD = 2
"""After so many pairs whose minutes are not told, a run asks for no others': the exchange tells none now."""
CATCHING_UP = "paper_catching_up"


class PublicMarket(Protocol):
    """What everybody may know of one exchange's markets; had once, for all who ask."""

    def market_listings(self, symbols: Collection[str]) -> dict[str, MarketListing]:
        """See the port."""

    def spot_pairs(self) -> list[tuple[str, str]]:
        """See the port."""

    def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        """See the port; some seconds old."""

    def minute_ranges(self, symbol: str, since: int) -> list[MinuteRange]:
        """See the port."""

    def hourly_highs(self, symbol: str, since: int) -> list[HourlyHigh]:
        """See the port."""

    def minutes(self, symbol: str, since: int, margin_s: int) -> ToldMinutes:
        """The minutes from ``since`` (epoch seconds, a full minute) on that were over ``margin_s`` seconds ago.

        None of a market that is listed no more. Raises BotBalanceError where they are not told now.
        """

    def clock_offset_ms(self) -> int:
        """See the port."""


class PaperStore(Protocol):
    """Where one account's books are. ``writable``: whether this run may write them."""

    writable: bool

    def load(self) -> PaperAccount:
        """The account, as last written; raises NotFoundError where its owner has not opened one."""

    def find_ended(self, client_order_id: str) -> PaperOrder | None:
        """The order of any epoch that has ended, by its client id."""

    def save(self, account: PaperAccount, ended: Sequence[PaperOrder]) -> PaperAccount:
        """Write the account over the revision that it was read as, and its orders that ended, all or nothing.

        Raises ConflictError where somebody else wrote meanwhile, TransientError where it is not known to be written.
        """


class PaperAdapter:
    """An :class:`~botbalance.exchange.adapter.ExchangeAdapter` of one user's paper account. For one thread at a time.

    ``clock`` gives epoch seconds; ``margin_s`` is by how much it may be apart from the exchange's. At most
    ``max_volume_fraction`` of a minute's volume fills orders; None: as much as there is.
    """

    def __init__(
        self,
        exchange: str,
        market: PublicMarket,
        store: PaperStore,
        clock: Callable[[], int],
        *,
        margin_s: int = CLOCK_MARGIN_S,
        max_volume_fraction: Decimal | None = MAX_VOLUME_FRACTION,
    ) -> None:
        self.exchange = exchange
        self._market = market
        self._store = store
        self._clock = clock
        self._margin_s = margin_s
        self._max_volume_fraction = max_volume_fraction
        self._known: dict[str, MarketListing] = {}
        self._untold: set[str] = set()
        """The pairs whose minutes this run has asked for in vain."""
        self._epoch: int | None = None

    def close(self) -> None:
        """Nothing is open."""

    # what is public

    def market_listings(self, symbols: Collection[str]) -> dict[str, MarketListing]:
        """See the port. The market is the real one."""
        return self._market.market_listings(symbols)

    def spot_pairs(self) -> list[tuple[str, str]]:
        """See the port. The market is the real one."""
        return self._market.spot_pairs()

    def load_listings(self, listings: Collection[MarketListing]) -> None:
        """See the port."""
        self._known = {listing.rules.symbol: listing for listing in listings}

    def quotes(self, symbols: Collection[str]) -> dict[str, Quote]:
        """See the port. The market is the real one."""
        return self._market.quotes(symbols)

    def minute_ranges(self, symbol: str, since: int) -> list[MinuteRange]:
        """See the port. The market is the real one."""
        return self._market.minute_ranges(symbol, since)

    def hourly_highs(self, symbol: str, since: int) -> list[HourlyHigh]:
        """See the port. The market is the real one."""
        return self._market.hourly_highs(symbol, since)

    def clock_offset_ms(self) -> int:
        """See the port. The market's clock."""
        return self._market.clock_offset_ms()

    def fees(self, symbol: str) -> Fees:
        """What the exchange lists: an account of one's own may pay less."""
        return listed_fees(self._listing(symbol))

    def key_permissions(self) -> KeyPermissions:
        """As of a key that may trade and do no harm: there is none."""
        return KeyPermissions(may_trade=True, may_withdraw=False, bound_to_addresses=True)

    def supports_post_only(self, symbol: str) -> bool:
        """See the port. Paper orders only ever make."""
        return True

    def exchange_client_order_id(self, client_order_id: str) -> str:
        """See the port. Ids stay as they are."""
        return client_order_id

    # what is the account's

    @property
    def epoch(self) -> int:
        """The account's epoch, as first read here; raises NotFoundError where its owner has not opened one."""
        return self._load().epoch if self._epoch is None else self._epoch

    def account(self) -> PaperAccount:
        """The account, settled."""
        return self._settled()

    def balances(self) -> dict[str, Balance]:
        """See the port. After what was traded since is settled."""
        held = self._settled().balances
        return {asset: balance for asset, balance in held.items() if balance.free or balance.locked}

    def open_orders(self) -> list[ExchangeOrder]:
        """See the port. After what was traded since is settled."""
        return [_as_reported(order) for order in self._settled().orders]

    def place_order(self, order: OrderRequest) -> SubmitResult:
        """See the port. Written in the books of the account; nothing is sent."""
        refused = order.find_refusal()
        if refused is not None:
            return refused
        try:
            return self._place(order)
        except TransientError as error:  # it may be written, or not
            return OrderUnknown(str(error))
        except (BotBalanceError, InvalidInputError) as error:
            return OrderRejected(error.code if isinstance(error, BotBalanceError) else "invalid_order", str(error))

    def find_order(self, symbol: str, client_order_id: str) -> ExchangeOrder | None:
        """See the port. After what was traded since is settled."""
        found = self._find(symbol, client_order_id)
        return None if found is None else _as_reported(found)

    def cancel_order(self, symbol: str, client_order_id: str) -> None:
        """See the port. Written in the books of the account; nothing is sent."""
        change = cancel(self._settlement([symbol], gives_up=True).account, client_order_id)
        if change is not None:
            self._store.save(change.account, change.ended)

    def trades(self, symbol: str, exchange_order_id: str) -> Sequence[Trade]:
        """See the port. The fills of one order, as its books have them."""
        found = self._find(symbol, exchange_order_id.rpartition("-")[2])
        if found is None or found.exchange_order_id != exchange_order_id:
            return []
        return [
            Trade(
                trade_id=fill.trade_id,
                exchange_order_id=exchange_order_id,
                symbol=found.symbol,
                fill=Fill(found.base, found.quote, found.side, fill.price, fill.base_qty, fill.fee, fill.fee_asset),
                traded_at_ms=fill.traded_at_ms,
            )
            for fill in found.fills
        ]

    def _place(self, wanted: OrderRequest) -> SubmitResult:
        account = self._settled()
        existing = account.open_order(wanted.client_order_id) or self._store.find_ended(wanted.client_order_id)
        if existing is not None:
            return OrderAccepted(_as_reported(existing))
        quote = self._market.quotes([wanted.symbol]).get(wanted.symbol)
        if quote is None:
            raise InvalidRequestError("market_closed", f"{wanted.symbol} has no price now: not placed")
        rules, fees = self._listing(wanted.symbol).rules, self.fees(wanted.symbol)
        placed = place(account, wanted, rules, fees, quote, self._clock(), self._margin_s)
        if isinstance(placed, OrderRejected):
            return placed
        change, order = placed
        self._store.save(change.account, change.ended)
        return OrderAccepted(_as_reported(order))

    def _find(self, symbol: str, client_order_id: str) -> PaperOrder | None:
        change = self._settlement([symbol])
        order = change.account.open_order(client_order_id)
        ended = (one for one in change.ended if one.client_order_id == client_order_id)
        return order or next(ended, None) or self._store.find_ended(client_order_id)

    def _load(self) -> PaperAccount:
        account = self._store.load()
        self._epoch = account.epoch
        return account

    def _settled(self) -> PaperAccount:
        return self._settlement().account

    def _settlement(self, symbols: Collection[str] | None = None, *, gives_up: bool = False) -> Change:
        """The account as the minutes that are over leave it; written, where this run may write and it matters.

        Only the orders of ``symbols``, where these are given. Those of a pair whose minutes are not told now rest on,
        and are settled once they are, as if all of it was seen late; where this ``gives_up``, they are a gap. Raises
        TransientError where too many minutes have to be asked for at once: the next look goes on.
        """
        account = self._load()
        over_until = (self._clock() - self._margin_s) // MINUTE_S * MINUTE_S
        due: dict[str, int] = {}
        for order in account.orders:
            if order.settled_until < over_until and (symbols is None or order.symbol in symbols):
                due[order.symbol] = min(order.settled_until, due.get(order.symbol, order.settled_until))
        told = self._minutes(due)
        if gives_up:
            told |= {symbol: ToldMinutes([], over_until, over_until) for symbol in due if symbol not in told}
        if not told:
            return Change(account)
        change = settle(account, told, self._max_volume_fraction)
        complete = all(of_symbol.complete for of_symbol in told.values())
        if self._store.writable and (_has_news(account, change) or _lags(account, change) or not complete):
            change = Change(self._store.save(change.account, change.ended), change.ended)
        if not complete:
            raise TransientError(
                CATCHING_UP, f"what traded on {self.exchange} while nobody looked is still being booked; ask again"
            )
        return change

    def _minutes(self, due: Mapping[str, int]) -> dict[str, ToldMinutes]:
        """What traded in each of the ``due`` pairs since its time, as far as it is told.

        What was not told once is not asked for again in this run, nor anything after ``MOST_UNTOLD`` failures: each may
        take as long as a request may.
        """
        told: dict[str, ToldMinutes] = {}
        for symbol, since in due.items():
            if symbol in self._untold or len(self._untold) >= MOST_UNTOLD:
                continue
            try:
                told[symbol] = self._market.minutes(symbol, since, self._margin_s)
            except BotBalanceError as error:
                logger.warning("paper pair not settled", exchange=self.exchange, symbol=symbol, reason=str(error))
                self._untold.add(symbol)
        return told

    def _listing(self, symbol: str) -> MarketListing:
        listing = self._known.get(symbol)
        if listing is None:
            raise InvalidRequestError(
                "unknown_market", f"symbol is {symbol}, expected a spot market of {self.exchange}"
            )
        return listing


def _has_news(before: PaperAccount, change: Change) -> bool:
    """Whether anything but how far it is settled has changed."""
    fills = {order.client_order_id: len(order.fills) for order in before.orders}
    return (
        bool(change.ended)
        or [(gap.symbol, gap.since) for gap in before.gaps] != [(gap.symbol, gap.since) for gap in change.account.gaps]
        or any(len(order.fills) != fills[order.client_order_id] for order in change.account.orders)
    )


def _lags(before: PaperAccount, change: Change) -> bool:
    """Whether it is long ago that it was written how far the account is settled."""
    written = {order.client_order_id: order.settled_until for order in before.orders}
    return any(
        order.settled_until - written[order.client_order_id] >= SETTLED_AT_LEAST_EVERY_S
        for order in change.account.orders
    )


def _as_reported(order: PaperOrder) -> ExchangeOrder:
    return ExchangeOrder(
        exchange_order_id=order.exchange_order_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        limit_price=order.limit_price,
        base_qty=order.base_qty,
        filled_qty=order.filled_qty,
        status=ExchangeOrderStatus(order.status.value),
    )
