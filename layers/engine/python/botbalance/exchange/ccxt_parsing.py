"""What ccxt's parsed replies are as facts of this house, and what is no fact.

ccxt can turn a garbage reply into an empty balance or an order without an id, raising nothing, so whatever comes back
is checked here before it counts. Numbers stay the exchange's strings until they are Decimals.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from botbalance.engine import Balance, Fill, MarketRules, Side
from botbalance.engine.arithmetic import ZERO, ExactArithmetic
from botbalance.exchange.adapter import WOULD_TAKE, ExchangeOrder, ExchangeOrderStatus, Fees, MarketListing, Trade
from botbalance.exchange.ccxt_errors import RetryableReadError, malformed_reply, would_take
from botbalance.exchange.profiles import ExchangeProfile, Paging, Sides
from botbalance.log import logger

_NAN = Decimal("NaN")

_STATUS = {
    "open": ExchangeOrderStatus.OPEN,
    "closed": ExchangeOrderStatus.FILLED,
    "canceled": ExchangeOrderStatus.CANCELED,
    "canceling": ExchangeOrderStatus.OPEN,
    "rejected": ExchangeOrderStatus.REJECTED,
    "expired": ExchangeOrderStatus.EXPIRED,
}
"""ccxt's words for an order's state; an exchange's own are in its profile."""


def parse_listings(
    profile: ExchangeProfile, markets: Mapping[str, Mapping[str, Any]], symbols: Collection[str]
) -> dict[str, MarketListing]:
    """The listings of those of ``symbols`` that are among ``markets`` as spot markets.

    A second market with the same base and quote, as a dark pool's, has another name at ccxt: it is never taken for the
    ordinary one.
    """
    listings = {}
    for market in markets.values():
        symbol = f"{market['base']}{market['quote']}"
        if symbol in symbols and market["symbol"] == f"{market['base']}/{market['quote']}":
            listings[symbol] = _listing(profile, symbol, market)
    return listings


def listed_fees(listing: MarketListing) -> Fees:
    """What a trade costs there whoever trades, as the exchange lists it or, where it does not, as ccxt knows it."""
    market = json.loads(listing.document)
    maker, taker = (number_or_none(market.get(name)) for name in ("maker", "taker"))
    if maker is None or taker is None or not maker.is_finite() or not taker.is_finite():
        raise malformed_reply("fees", {name: market.get(name) for name in ("maker", "taker")})
    with ExactArithmetic():
        return Fees(maker * 100, taker * 100)


def _listing(profile: ExchangeProfile, symbol: str, market: Mapping[str, Any]) -> MarketListing:
    info = {key: value for key, value in market["info"].items() if key not in {"permissionSets", "permissions"}}
    document = json.dumps({**market, "info": info}, default=str, separators=(",", ":"))
    return MarketListing(_rules(profile, symbol, market), document)


def _rules(profile: ExchangeProfile, symbol: str, market: Mapping[str, Any]) -> MarketRules:
    """The market's rules, those included that ccxt leaves in ``info``."""
    precision, limits, info = market["precision"], market["limits"], market["info"]
    filters = {entry.get("filterType"): entry for entry in info.get("filters") or []}
    band = filters.get("PERCENT_PRICE_BY_SIDE") or _band(profile, info)
    sides = _sides(profile, market)

    def limit(rule: str, kind: str, bound: str) -> Decimal | None:
        """None where there is none; of what ccxt and ``info`` tell, the one that leaves less."""
        told = [
            number
            for text in (limits[kind].get(bound), _field(info, profile.limits_in_info.get(rule)))
            if (number := number_or_none(text)) and number.is_finite() and number > 0
        ]
        return (max if bound == "min" else min)(told, default=None)

    return MarketRules(
        symbol=symbol,
        base=market["base"],
        quote=market["quote"],
        tick_size=amount("precision.price", precision["price"]),
        lot_size=amount("precision.amount", precision["amount"]),
        min_qty=limit("min_qty", "amount", "min") or Decimal(0),
        max_qty=limit("max_qty", "amount", "max"),
        min_price=limit("min_price", "price", "min") or Decimal(0),
        max_price=limit("max_price", "price", "max"),
        min_notional=limit("min_notional", "cost", "min") or Decimal(0),
        max_notional=limit("max_notional", "cost", "max"),
        trading=sides != "none",
        closed_side=_CLOSED_SIDE.get(sides),
        bid_multiplier_down=number_or_none(band.get("bidMultiplierDown")),
        bid_multiplier_up=number_or_none(band.get("bidMultiplierUp")),
        ask_multiplier_down=number_or_none(band.get("askMultiplierDown")),
        ask_multiplier_up=number_or_none(band.get("askMultiplierUp")),
        quote_fee_pct=_quote_fee_pct(profile, market),
    )


def _band(profile: ExchangeProfile, info: Mapping[str, Any]) -> dict[str, Decimal]:
    """The multipliers of the market's price within which an order's price has to be, where ``info`` tells them."""
    if profile.band_in_info is None:
        return {}
    down, up = (number_or_none(info.get(name)) if is_number(info.get(name)) else None for name in profile.band_in_info)
    band: dict[str, Decimal] = {}
    with ExactArithmetic():
        for side in ("bid", "ask"):
            if down is not None and 0 < down < 1:
                band[f"{side}MultiplierDown"] = 1 - down
            if up is not None and up > 0:
                band[f"{side}MultiplierUp"] = 1 + up
    return band


_CLOSED_SIDE: dict[Sides, Side] = {"buy": "sell", "sell": "buy"}


def _sides(profile: ExchangeProfile, market: Mapping[str, Any]) -> Sides:
    """On which sides a market trades: by what the exchange tells of it, else by what ccxt makes of that."""
    told: set[Sides] = set()
    for state in profile.market_states:
        value = _field(market["info"], state.name)
        if value is not None:
            told.add(state.sides.get(str(value), state.others))
    if not told:
        return "none" if market.get("active") is False else "both"
    if "none" in told or {"buy", "sell"} <= told:
        return "none"
    return next(iter(told - {"both"}), "both")


def _field(info: Mapping[str, Any], name: str | None) -> Any:
    return None if name is None else info.get(name)


def _quote_fee_pct(profile: ExchangeProfile, market: Mapping[str, Any]) -> Decimal:
    """What a buy costs in quote on top of its notional, in percent; ccxt gives the fee as a fraction."""
    if not profile.fee_on_top and market.get("feeSide") != "quote":
        return Decimal(0)
    with ExactArithmetic():
        return (number_or_none(market.get("taker")) or Decimal(0)) * 100


def parse_balances(
    profile: ExchangeProfile, account: Mapping[str, Any], managed: Collection[str]
) -> dict[str, Balance]:
    """What an account holds, by coin, from ccxt's balance; zero balances are left out.

    Coins in a wrapping count as the coin itself: free where the exchange spends them as such, else locked. What is owed
    is not owned. Raises RetryableReadError, naming it, where one of ``managed`` cannot be read; any other is told as it
    is where it is a number, and as an empty balance where it is none.
    """
    parts: dict[str, list[Balance]] = {}
    unreadable: dict[str, Balance] = {}
    for name in account["free"]:
        coin, spendable = _unwrapped(profile, name, managed)
        balance = _balance(profile, account, name)
        if not _is_readable(profile, balance):
            if coin in managed:
                raise malformed_reply(
                    f"balance of {coin}", {kind: account[kind].get(name) for kind in ("free", "used")}
                )
            logger.warning("balance not understood", exchange=profile.name, asset=name)
            unreadable[name] = balance if balance.free.is_finite() and balance.locked.is_finite() else Balance()
            continue
        if not spendable:
            with ExactArithmetic():
                balance = Balance(locked=balance.free + balance.locked)
        if balance.free or balance.locked:
            parts.setdefault(coin, []).append(balance)
    held = {coin: _together(balances) for coin, balances in parts.items()}
    for coin in managed:
        if coin in held and held[coin].free < 0:
            raise malformed_reply(f"balance of {coin}", held[coin])
    return held | unreadable


def _balance(profile: ExchangeProfile, account: Mapping[str, Any], name: str) -> Balance:
    """What ccxt tells of one coin, less what is owed of it; NaN where there is no number.

    ``free`` is below zero where orders rest for more than there is, as where they may draw on a wrapping.
    """
    free, locked, total = (_told(account[kind].get(name)) for kind in ("free", "used", "total"))
    debt = number_or_none(account.get("debt", {}).get(name)) or ZERO
    with ExactArithmetic():
        if profile.lists_locked_apart and total is None and not (free is None and locked is None):
            free, locked = free or ZERO, locked or ZERO
        if free is None or locked is None:
            return Balance(_NAN, _NAN)
        if not profile.lends or not (free.is_finite() and locked.is_finite()):
            return Balance(free, locked)
        owned = max(ZERO, free + locked - max(ZERO, debt))
        locked = min(max(ZERO, locked), owned)
        return Balance(owned - locked, locked)


def _is_readable(profile: ExchangeProfile, balance: Balance) -> bool:
    """Whether it can be so: finite numbers from zero on, save what may be drawn from a wrapping."""
    if not (balance.free.is_finite() and balance.locked.is_finite()) or balance.locked < 0:
        return False
    draws_on_wrapping = any(wrapping.spendable for wrapping in profile.wrappings)
    return balance.free >= 0 or draws_on_wrapping


def _together(balances: Sequence[Balance]) -> Balance:
    with ExactArithmetic():
        total = sum((balance.free + balance.locked for balance in balances), ZERO)
        locked = max(ZERO, min(sum((balance.locked for balance in balances), ZERO), total))
        return Balance(total - locked, locked)


def _unwrapped(profile: ExchangeProfile, name: str, managed: Collection[str]) -> tuple[str, bool]:
    """The coin that an account means by ``name``, and whether it can be spent as such."""
    if name in managed:
        return name, True
    for wrapping in profile.wrappings:
        found = re.fullmatch(wrapping.pattern, name)
        if found is not None and name not in wrapping.not_wrapped:
            coin = found["coin"]
            return profile.coin_names.get(coin, coin), wrapping.spendable
    return name, True


def _told(text: Any) -> Decimal | None:
    """A number, NaN for what is none, None where nothing is told."""
    if text is None:
        return None
    number = number_or_none(text)
    return _NAN if number is None else number


def parse_order(profile: ExchangeProfile, order: Mapping[str, Any]) -> ExchangeOrder:
    """An order from ccxt's form of it; raises RetryableReadError where it cannot be understood."""
    status = _status(profile, order)
    if not order.get("id") or not order.get("symbol") or order.get("side") not in {"buy", "sell"} or not status:
        raise malformed_reply("order", {key: order.get(key) for key in ("id", "symbol", "side", "status")})
    filled_qty = amount("filled", order.get("filled"))
    if status is ExchangeOrderStatus.FILLED and not filled_qty:
        raise malformed_reply("order", f"{order['id']} is filled, with a quantity of 0")
    base_qty = amount("amount", order.get("amount"))
    if status is ExchangeOrderStatus.FILLED and filled_qty < base_qty:  # Bybit's that was cancelled half filled
        status = ExchangeOrderStatus.CANCELED
    client_id = order.get("clientOrderId")
    return ExchangeOrder(
        exchange_order_id=str(order["id"]),
        client_order_id=str(client_id) if client_id else None,
        symbol=str(order["symbol"]).replace("/", ""),
        side=order["side"],
        limit_price=_limit_price(order),
        base_qty=base_qty,
        filled_qty=filled_qty,
        status=status,
        reason=_rejection(order) if status is ExchangeOrderStatus.REJECTED else None,
    )


def _rejection(order: Mapping[str, Any]) -> str:
    """Why the exchange rejected an order that it had acknowledged, as far as it tells (Bybit does)."""
    told = str((order.get("info") or {}).get("rejectReason") or "no reason is told")
    return f"{WOULD_TAKE if would_take(told) else 'rejected'}: {told}"


def parse_open_order(profile: ExchangeProfile, order: Mapping[str, Any]) -> ExchangeOrder:
    """An order of the account's list of open ones, whoever placed it.

    One that cannot be understood is UNREADABLE: it has no client id, so that what is ours is looked up by itself, and
    its numbers mean nothing. Raises RetryableReadError where not even its id and its market are told.
    """
    try:
        return parse_order(profile, order)
    except RetryableReadError as error:
        if not order.get("id") or not order.get("symbol"):
            raise
        logger.warning("order not understood", exchange=profile.name, order=str(order["id"]), reason=str(error))
        return ExchangeOrder(
            exchange_order_id=str(order["id"]),
            client_order_id=None,
            symbol=str(order["symbol"]).replace("/", ""),
            side="sell" if order.get("side") == "sell" else "buy",
            limit_price=ZERO,
            base_qty=ZERO,
            filled_qty=ZERO,
            status=ExchangeOrderStatus.UNREADABLE,
        )


def _status(profile: ExchangeProfile, order: Mapping[str, Any]) -> ExchangeOrderStatus | None:
    word = str(order.get("status"))
    return _STATUS.get(profile.order_states.get(word, word))


def parse_trades(profile: ExchangeProfile, trade: Mapping[str, Any], rules: MarketRules) -> list[Trade]:
    """A fill from ccxt's form of it. A second fee is a booking of its own: the same fill, with a quantity of 0."""
    if not trade.get("id") or not trade.get("order") or trade.get("side") not in {"buy", "sell"}:
        raise malformed_reply("trade", {key: trade.get(key) for key in ("id", "order", "side")})
    fees = _fees(profile, trade) or {rules.quote: ZERO}
    trades = []
    for at, (asset, cost) in enumerate(fees.items()):
        fill = Fill(
            base=rules.base,
            quote=rules.quote,
            side=trade["side"],
            price=_amount_above_zero("price", trade.get("price")),
            base_qty=ZERO if at else _amount_above_zero("amount", trade.get("amount")),
            fee=cost,
            fee_asset=asset,
        )
        trade_id = f"{trade['id']}-{asset}" if at else str(trade["id"])
        trades.append(Trade(trade_id, str(trade["order"]), rules.symbol, fill, int(trade["timestamp"])))
    return trades


def _fees(profile: ExchangeProfile, trade: Mapping[str, Any]) -> dict[str, Decimal]:
    """What a fill cost, by coin; below zero where the exchange pays for making the market."""
    info = trade.get("info") or {}
    told = [fee for fee in trade.get("fees") or [trade.get("fee")] if fee and fee.get("cost") is not None]
    fees: dict[str, Decimal] = {}
    for fee in told:
        cost = number_or_none(fee["cost"])
        asset = next((str(info[name]) for name in profile.fee_fields if info.get(name)), fee.get("currency"))
        if cost is None or not cost.is_finite() or (cost and not asset):
            raise malformed_reply("fee", fee)
        if cost and asset:
            with ExactArithmetic():
                fees[str(asset)] = fees.get(str(asset), ZERO) + cost
    return fees


def with_fee_as_a_cost(fill: dict[str, Any]) -> dict[str, Any]:
    """A fill of Bitget's; ccxt turns the sign of every fee, but only classic accounts tell them as negative numbers."""
    told = fill["info"].get("feeDetail")
    if not isinstance(told, list) or not told or "fee" not in told[0]:
        return fill
    return fill | {"fees": [{"cost": one.get("fee"), "currency": one.get("feeCoin")} for one in told]}


def is_content(profile: ExchangeProfile, reply: Any) -> bool:
    """Whether the exchange can have said ``reply``: not a text, nothing, or only a message."""
    envelope = profile.envelope
    if not isinstance(reply, dict):
        return isinstance(reply, list) and envelope is None
    return not reply.keys() <= {"msg", "message"} and (not envelope or not envelope.isdisjoint(reply))


def holds_content(reply: Any) -> bool:
    """Whether a reply has a list or an object, even an empty one, where content could be; ``{}`` and text have none."""
    if isinstance(reply, dict):
        return any(isinstance(value, list | dict) for name, value in reply.items() if name not in {"error", "errors"})
    return isinstance(reply, list)


def next_page(paging: Paging, reply: Any, number: int) -> Any:
    """What asks for the page after ``reply``, which is the page of that number, from 1 on; None after the last one."""
    if paging.cursor_at:
        return _at(reply, paging.cursor_at) or None
    if paging.pages_at:
        return number + 1 if int(_at(reply, paging.pages_at) or 0) > number else None
    if paging.total is not None:
        groups = reply if isinstance(reply, list) else []
        return number + 1 if any(int(group.get(paging.total) or 0) > number * paging.size for group in groups) else None
    if count_entries(reply) < paging.size:
        return None
    return number + 1 if paging.last_id is None else _longest_list(reply)[-1][paging.last_id]


def _at(reply: Any, path: Sequence[str]) -> Any:
    for key in path:
        reply = reply.get(key) if isinstance(reply, dict) else None
    return reply


def _longest_list(reply: Any) -> list[Any]:
    """The longest list in ``reply``, however deep it lies."""
    if isinstance(reply, dict):
        return max(map(_longest_list, reply.values()), key=len, default=[])
    return reply if isinstance(reply, list) else []


def count_entries(reply: Any) -> int:
    """How many entries the longest list in ``reply`` has, however deep it lies."""
    return len(_longest_list(reply))


def ended_at_ms(order: Mapping[str, Any]) -> int:
    """When the order last changed, as far as the exchange tells, else when it was placed."""
    return int(order.get("lastUpdateTimestamp") or order.get("lastTradeTimestamp") or order["timestamp"])


def number_or_none(text: Any) -> Decimal | None:
    """``text`` as a number, which may be NaN; None where it is none."""
    try:
        return None if text is None else Decimal(str(text))
    except InvalidOperation:
        return None


def is_number(text: Any) -> bool:
    """Whether ``text`` tells a finite number."""
    number = number_or_none(text)
    return number is not None and number.is_finite()


def amount(field: str, text: Any) -> Decimal:
    """A finite number from zero on; raises RetryableReadError for anything else."""
    number = number_or_none(text)
    if number is None or not number.is_finite() or number < 0:
        raise malformed_reply(field, repr(text))
    return number


def _amount_above_zero(field: str, text: Any) -> Decimal:
    number = amount(field, text)
    if not number:
        raise malformed_reply(field, repr(text))
    return number


def _limit_price(order: Mapping[str, Any]) -> Decimal:
    """The order's limit in quote per base; 0 for somebody's order without one, as a stop order is."""
    if order.get("price") is None and order.get("type") not in {None, "limit"}:
        return Decimal(0)
    return _amount_above_zero("price", order.get("price"))
