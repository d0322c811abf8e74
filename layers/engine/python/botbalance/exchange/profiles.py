"""Exchange profiles: one row an exchange, with every fact about it that is data and not code.

Adding an exchange is a row here, its replies in ``tests/fixtures/exchanges/``, and what really is code (what a key may
do, in ``key_permissions``). No other room names an exchange. Where each fact is from: ``docs/exchanges.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

type Sides = Literal["both", "buy", "sell", "none"]
"""On which sides a market takes our limit orders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLookup:
    """How an exchange finds an order by its client id, in ccxt's names.

    ``methods`` are asked in turn until one knows the order: ``fetch_order`` by the id, the others are lists in
    which the id is looked for. ``narrowed_by`` is the parameter by which the lists hold that order alone; other
    lists are read page by page, ``days`` back. ``canceled_by`` is the parameter by which an order is cancelled,
    ``id`` where the client id takes the place of the exchange's own id, and None where only the exchange's own
    will do. ``fills_by`` is the parameter by which the list of fills holds those of one order alone; None where ccxt
    has a way of its own for the fills of an order.
    """

    methods: tuple[str, ...] = ("fetch_order",)
    narrowed_by: str | None = None
    days: int = 7
    canceled_by: str | None = "clientOrderId"
    fills_by: str | None = "orderId"


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """How a list continues. A page that is not the last one is followed by a request with ``parameter`` set.

    Its value is what the reply has at ``cursor_at`` (a path of keys), or the field ``last_id`` of the page's last entry
    where the page is full, or else the number of the next page. ``pages_at`` is where the reply tells how many pages
    there are, and ``total`` the field by which it tells how many entries a group has, where pages are numbered; without
    them a page that is not full is the last one. ``size`` entries are asked for. ``more`` goes with the later pages.
    """

    size: int
    parameter: str
    cursor_at: tuple[str, ...] = ()
    last_id: str | None = None
    pages_at: tuple[str, ...] = ()
    total: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wrapping:
    """How an account tells of coins that it holds in another form.

    ``pattern`` matches the whole name and has the group ``coin``. ``spendable``: whether an order for the coin itself
    spends it; else it is held and locked. ``not_wrapped`` are names of coins that only look like it.
    """

    pattern: str
    spendable: bool
    not_wrapped: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MarketState:
    """A field of a market, as the exchange tells it, that says on which sides it trades; other values mean both."""

    name: str
    sides: Mapping[str, Sides]
    others: Sides = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeProfile:
    """One exchange, as strategies and keys name it.

    ``ccxt_class``: ccxt's class of it. ``family``: the exchange of which it is a regional or a test variant, itself for
    the others; what a key may do, and the form of replies, is told as there. ``is_test``: an environment for tests of
    the exchange's own, with play money, reached through ccxt's sandbox. ``paper_of``: the exchange at whose prices this
    one trades on paper, in books of our own; its row is that exchange's own in everything that is public.

    ``client_id_length``: how many of the canonical id's 20 characters it accepts; ``client_id_prefix`` comes before
    them and ``client_id_parameter`` carries them. ``order_states``: its own words for an order's state that ccxt leaves
    as they are, with ccxt's for the same.

    ``key_refused``, ``account_suspended``, ``never_for_pair``, ``refused`` and ``unknown_order``: regular expressions
    of its words for a refusal, beyond the classes that ccxt has for them: of the key, its rights or its addresses; of
    the whole account; of this account's orders in one pair, for good; of one order, definitely; and for an order that
    it does not know. ``region_refused``: likewise of the place from which it was asked.

    ``coin_names``: coins whose name within a wrapping is another than ccxt's. ``locked_kinds``: kinds of entries by
    which a balance tells what is held and cannot be spent, beside those that ccxt reads.

    ``fee_on_top``: a buy's fee is taken in quote, on top of what it costs. ``fee_fields`` are the fields of a fill with
    its fee's coin that ccxt does not read. ``lends``: a balance may include what is borrowed. ``lists_locked_apart``: a
    coin of which nothing is locked has no entry that says so.

    ``post_only_type``: the type of order that a market must list in ``orderTypes`` to take post-only orders; None: all
    do. ``lists_are_bare``: every list comes as it is, entry by entry as ccxt returns it.

    ``envelope``: what every reply has, an object with the list in it where one was asked for; None where a list comes
    bare. ``weight_header`` tells in each reply how much request weight this address has used in the current clock
    minute of the ``weight_per_minute`` that it may use; None where that is not told. ``ban_status``: the HTTP status by
    which it refuses this address whatever key is used, for ``ban_s`` seconds where the reply tells no time; with
    ``ban_words``, a regular expression, only where the reply has them.

    ``limits_in_info``: where rules stand that ccxt leaves in ``info``, by the rule's name. ``band_in_info``: where it
    tells how far below and above the market an order's price may be, as fractions. ``market_states``: what says
    on which sides a market trades. ``candles_reach_back``: how many candles it tells of at most, whatever time is asked
    for; None: all of them. ``candle_gaps``: an empty page of candles may lie inside of the recording, as of a
    maintenance, or before a listing.
    """

    name: str
    ccxt_class: str
    family: str
    is_test: bool = False
    paper_of: str | None = None
    key_has_password: bool = False
    client_id_length: int = 20
    client_id_prefix: str = ""
    client_id_parameter: str = "clientOrderId"
    lookup: OrderLookup = OrderLookup()
    open_orders: Paging | None = None
    fills: Paging | None = None
    balance_parameters: Mapping[str, Any] = field(default_factory=dict)
    wrappings: tuple[Wrapping, ...] = ()
    coin_names: Mapping[str, str] = field(default_factory=dict)
    locked_kinds: frozenset[str] = frozenset()
    order_states: Mapping[str, str] = field(default_factory=dict)
    key_refused: str | None = None
    account_suspended: str | None = None
    never_for_pair: str | None = None
    refused: str | None = None
    unknown_order: str | None = None
    region_refused: str | None = None
    fee_on_top: bool = False
    fee_fields: tuple[str, ...] = ()
    post_only_type: str | None = None
    lists_are_bare: bool = False
    lends: bool = False
    lists_locked_apart: bool = False
    envelope: frozenset[str] | None = None
    weight_header: str | None = None
    weight_per_minute: int | None = None
    ban_status: int = 418
    ban_words: str = ""
    ban_s: int = 60
    market_states: tuple[MarketState, ...] = ()
    limits_in_info: Mapping[str, str] = field(default_factory=dict)
    band_in_info: tuple[str, str] | None = None
    candles_reach_back: int | None = None
    candle_gaps: bool = False


_BINANCE = ExchangeProfile(
    name="binance",
    ccxt_class="binance",
    family="binance",
    fills=Paging(size=1000, parameter="fromId", last_id="id"),
    post_only_type="LIMIT_MAKER",
    lists_are_bare=True,
    balance_parameters={"omitZeroBalances": True},
    # Flexible Earn. LDO is a coin of its own.
    wrappings=(Wrapping(r"LD(?P<coin>.+)", spendable=False, not_wrapped=frozenset({"LDO"})),),
    order_states={"PENDING_NEW": "open", "PENDING_CANCEL": "canceling", "EXPIRED_IN_MATCH": "expired"},
    account_suspended=r"This action is disabled on this account",
    never_for_pair=r"symbol is not permitted for this account",
    weight_header="x-mbx-used-weight-1m",
    weight_per_minute=6000,
    market_states=(
        MarketState("status", {"TRADING": "both"}, others="none"),
        MarketState("isSpotTradingAllowed", {"False": "none"}),
    ),
)
_OKX = ExchangeProfile(
    name="okx",
    ccxt_class="okx",
    family="okx",
    key_has_password=True,
    # Filled orders are told by id; of those cancelled without a fill all traces are gone after two hours.
    lookup=OrderLookup(methods=("fetch_order", "fetch_closed_orders", "fetch_canceled_orders"), fills_by="ordId"),
    open_orders=Paging(size=100, parameter="after", last_id="ordId"),
    fills=Paging(size=100, parameter="after", last_id="billId"),
    order_states={"mmp_canceled": "canceled"},
    key_refused=r'"50(120|119)"',
    account_suspended=r'"(50100|50019|50022)"',
    never_for_pair=r'"51155"',  # not in this region, by local law
    region_refused=r'"51773"',
    lends=True,
    envelope=frozenset({"code"}),
    market_states=(MarketState("state", {"live": "both"}, others="none"),),
    limits_in_info={"max_qty": "maxLmtSz", "max_notional": "maxLmtAmt"},
    candle_gaps=True,
)
_BYBIT = ExchangeProfile(
    name="bybit",
    ccxt_class="bybit",
    family="bybit",
    # By id only the last 500, and only after ccxt has asked what kind of account this is.
    lookup=OrderLookup(
        methods=("fetch_open_orders", "fetch_canceled_and_closed_orders"),
        narrowed_by="orderLinkId",
        canceled_by="orderLinkId",
    ),
    open_orders=Paging(size=50, parameter="cursor", cursor_at=("result", "nextPageCursor")),
    fills=Paging(size=100, parameter="cursor", cursor_at=("result", "nextPageCursor")),
    order_states={"Triggered": "open", "Untriggered": "open", "Deactivated": "canceled"},
    never_for_pair=r'"retCode":\s*10029\b',
    region_refused=r'"retCode":\s*10024\b',
    ban_status=403,
    ban_words=r"(?i)too frequent",
    ban_s=600,  # without a request
    fee_fields=("feeCurrency",),
    lends=True,
    envelope=frozenset({"retCode"}),
    market_states=(MarketState("status", {"Trading": "both"}, others="none"),),
)
_KRAKEN = ExchangeProfile(
    name="kraken",
    ccxt_class="kraken",
    family="kraken",
    client_id_length=18,  # a UUID, 32 hex digits or at most 18 free characters: 20 hex digits are refused
    lookup=OrderLookup(
        methods=("fetch_open_orders", "fetch_closed_orders"), narrowed_by="clientOrderId", fills_by=None
    ),
    wrappings=(
        Wrapping(r"(?P<coin>ETH)2(?:\.S)?", spendable=False),  # how it called what was staked first
        Wrapping(r"(?P<coin>.+)\.F", spendable=True),
        # Staked for so many days, bonded, opted in, tokenized, on a parachain, or not released yet.
        Wrapping(r"(?P<coin>.+?)(?:\d\d)?\.(?:[SBMTP]|HOLD)", spendable=False),
    ),
    coin_names={"XBT": "BTC", "XDG": "DOGE"},
    order_states={"pending": "open"},
    never_for_pair=r"EAccount:Invalid permissions:\w+ trading restricted",
    refused=r'"(EOrder:(Cost minimum not met|Post only order|Tick size check failed)|EQuery:Unknown asset pair)"',
    fee_on_top=True,
    envelope=frozenset({"error"}),
    market_states=(
        MarketState("status", {"online": "both", "post_only": "both", "limit_only": "both"}, others="none"),
    ),
    limits_in_info={"min_notional": "costmin"},
    candles_reach_back=720,
)
_KUCOIN = ExchangeProfile(
    name="kucoin",
    ccxt_class="kucoin",
    family="kucoin",
    key_has_password=True,
    # By id only what still rests.
    lookup=OrderLookup(methods=("fetch_order", "fetch_closed_orders")),
    open_orders=Paging(size=500, parameter="currentPage", pages_at=("data", "totalPage")),
    fills=Paging(size=500, parameter="currentPage", pages_at=("data", "totalPage")),
    never_for_pair=r'"code":\s*"126005"',
    region_refused=r'"code":\s*"400302"',
    fee_on_top=True,
    envelope=frozenset({"code"}),
    market_states=(MarketState("enableTrading", {"False": "none"}),),
    limits_in_info={"min_notional": "minFunds"},
)
_GATE = ExchangeProfile(
    name="gate",
    ccxt_class="gate",
    family="gate",
    client_id_prefix="t-",  # its own, for what users choose
    # By id what rests, and what ended for an hour.
    lookup=OrderLookup(methods=("fetch_order", "fetch_closed_orders"), canceled_by="id", fills_by="order_id"),
    open_orders=Paging(size=100, parameter="page", total="total"),
    fills=Paging(size=1000, parameter="page"),
    order_states=dict.fromkeys(
        (
            "poc",
            "fok",
            "stp",
            "small",
            "depth_not_enough",
            "trader_not_enough",
            "liquidate_cancelled",
            "price_protect_cancelled",
        ),
        "canceled",
    ),
    never_for_pair=r'"TRADE_RESTRICTED"',
    market_states=(
        MarketState("trade_status", {"tradable": "both", "buyable": "buy", "sellable": "sell"}, others="none"),
    ),
    limits_in_info={"max_qty": "max_base_amount", "max_notional": "max_quote_amount"},
    band_in_info=("down_rate", "up_rate"),
    candle_gaps=True,
)
_COINBASE = ExchangeProfile(
    name="coinbase",
    ccxt_class="coinbase",
    family="coinbase",
    client_id_parameter="client_order_id",  # ccxt drops the unified name there
    lookup=OrderLookup(methods=("fetch_open_orders", "fetch_orders"), canceled_by=None, fills_by="order_ids"),
    open_orders=Paging(size=100, parameter="cursor", cursor_at=("cursor",)),
    fills=Paging(size=100, parameter="cursor", cursor_at=("cursor",)),
    balance_parameters={"v3": True},  # the older list, which ccxt takes, does not tell what is locked
    order_states=dict.fromkeys(("PENDING", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED"), "open"),
    key_refused=r'"error":\s*"Unauthorized"',
    # Its answer to a new order says whether there is one; only not where it does not know itself why.
    refused=r'"success":\s*false.*"error":\s*"(?!UNKNOWN_FAILURE)\w',
    fee_on_top=True,
    envelope=frozenset(),
    market_states=(
        MarketState("status", {"delisted": "none"}),
        *(MarketState(flag, {"True": "none"}) for flag in ("is_disabled", "view_only", "cancel_only")),
        *(MarketState(flag, {"True": "none"}) for flag in ("trading_disabled", "auction_mode")),
    ),
    candle_gaps=True,
)
_BITGET = ExchangeProfile(
    name="bitget",
    ccxt_class="bitget",
    family="bitget",
    key_has_password=True,
    # By id only what still rests.
    lookup=OrderLookup(methods=("fetch_order", "fetch_canceled_and_closed_orders")),
    open_orders=Paging(size=100, parameter="idLessThan", last_id="orderId"),
    fills=Paging(size=100, parameter="idLessThan", last_id="tradeId"),
    order_states={"init": "open"},
    account_suspended=r'"code":\s*"50010"',
    lends=True,
    envelope=frozenset({"code"}),
    market_states=(MarketState("status", {"online": "both"}, others="none"),),
    candle_gaps=True,
)
_HTX = ExchangeProfile(
    name="htx",
    ccxt_class="htx",
    family="htx",
    lists_locked_apart=True,
    locked_kinds=frozenset({"lock", "bank"}),
    # The id counts for two hours after an order was placed, and for eight while it rests.
    lookup=OrderLookup(
        methods=("fetch_order", "fetch_open_orders", "fetch_orders"), days=2, canceled_by=None, fills_by=None
    ),
    open_orders=Paging(size=100, parameter="from", last_id="id", more={"direct": "next"}),
    order_states=dict.fromkeys(("pre-submitted", "submitting"), "open"),
    envelope=frozenset({"status", "code"}),
    market_states=(
        MarketState("state", {"online": "both"}, others="none"),
        MarketState("api-trading", {"enabled": "both"}, others="none"),
    ),
    limits_in_info={"max_qty": "limit-order-max-order-amt"},
)
_MEXC = ExchangeProfile(
    name="mexc",
    ccxt_class="mexc",
    family="mexc",
    lookup=OrderLookup(methods=("fetch_order", "fetch_orders")),
    fills=Paging(size=100, parameter="endTime", last_id="time"),  # the newest first; the last one comes again
    order_states={"PARTIALLY_CANCELED": "canceled"},
    key_refused=r'"code":\s*(10072|700006)\b',
    never_for_pair=r'"code":\s*70011\b',
    # It has these codes from Binance; ccxt gives them their meaning on Binance only.
    unknown_order=r'"code":\s*-20(11|13)\b',
    market_states=(
        MarketState("status", {"1": "both", "ENABLED": "both"}, others="none"),
        MarketState("isSpotTradingAllowed", {"False": "none"}),
        MarketState("tradeSideType", {"2": "buy", "3": "sell", "4": "none"}),
    ),
    candle_gaps=True,
)

DEFAULT_EXCHANGE = _BINANCE.name
"""The exchange of a strategy that names none, and the one that the simulated exchange is like."""

_REAL = (
    _BINANCE,
    _OKX,
    _BYBIT,
    _KRAKEN,
    _KUCOIN,
    _GATE,
    _COINBASE,
    _BITGET,
    _HTX,
    _MEXC,
    # In Europe, on hosts and with keys of their own.
    replace(_OKX, name="myokx", ccxt_class="myokx"),
    replace(_BYBIT, name="bybiteu", ccxt_class="bybiteu"),
    replace(_GATE, name="gateeu", ccxt_class="gateeu"),
)
"""Where real money trades."""
_TEST = (
    # For tests, with play money. On paper none of them trades: nearly nobody else does there.
    replace(_BINANCE, name="binance-testnet", is_test=True),
    replace(_BYBIT, name="bybit-testnet", is_test=True),
    replace(_OKX, name="okx-demo", is_test=True),
)


def _on_paper(profile: ExchangeProfile) -> ExchangeProfile:
    """Its row for paper accounts. No request is ever sent under its name, and no key is asked for."""
    return replace(
        profile,
        name=f"{profile.name}-paper",
        paper_of=profile.name,
        key_has_password=False,
        client_id_length=20,
        client_id_prefix="",
        weight_header=None,
        weight_per_minute=None,
    )


PROFILES: Mapping[str, ExchangeProfile] = MappingProxyType(
    {profile.name: profile for profile in (*_REAL, *_TEST, *map(_on_paper, _REAL))}
)
"""Every exchange that can be chosen, by name."""
DEFAULT_PAPER_EXCHANGE = _on_paper(_BINANCE).name
"""The paper account of who names none."""


def is_paper(exchange: str) -> bool:
    """Whether it is a paper account: real prices, and books of our own."""
    return market_exchange(exchange) != exchange


def market_exchange(exchange: str) -> str:
    """The exchange whose markets and prices count there: itself, or the one that it trades on paper at."""
    profile = PROFILES.get(exchange)
    return exchange if profile is None or profile.paper_of is None else profile.paper_of


def exchanges_at(market: str) -> list[ExchangeProfile]:
    """Those that trade at the prices of ``market``: itself, and its paper accounts."""
    return [profile for profile in PROFILES.values() if market_exchange(profile.name) == market]


def ccxt_modules() -> list[str]:
    """The modules of ccxt that are needed, sorted: the classes', and their parents'."""
    return sorted({name for profile in PROFILES.values() for name in (profile.ccxt_class, profile.family)})


if __name__ == "__main__":
    print(*ccxt_modules())
