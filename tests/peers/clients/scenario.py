"""What every client is driven through: account, markets, orders of every kind, fills, and what is refused.

Runs in a client's own environment, so it imports nothing but the standard library. The account is new, with 10,000 USDT
and 1 BTC; prices stand still. What is expected is worked out by hand, but for prices, which are the exchange's.
"""

import itertools
import json
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from importlib.metadata import version
from typing import Any, Protocol

SYMBOL = "BTCUSDT"
CODE = re.compile(r"(?<![\d.])-[12]\d{3}(?!\d)")


@dataclass(frozen=True)
class Order:
    """An order as a client told it, in Binance's words."""

    id: str
    status: str
    filled: Decimal
    client_id: str | None = None


@dataclass(frozen=True)
class Fill:
    """A fill as a client told it."""

    price: Decimal
    qty: Decimal
    fee: Decimal
    fee_asset: str


class Peer(Protocol):
    """A client, in words that all of them have; what one has not it raises NotImplementedError for."""

    package: str

    def balances(self) -> dict[str, tuple[Decimal, Decimal]]: ...
    def market(self) -> tuple[Decimal, Decimal]: ...
    def last_price(self) -> Decimal: ...
    def best(self) -> tuple[Decimal, Decimal]: ...
    def open_times(self, interval: str) -> list[int]: ...
    def average_price(self) -> Decimal: ...
    def public_trades(self) -> int: ...
    def aggregate_trades(self) -> int: ...
    def clock(self) -> int: ...
    def fees(self) -> Decimal: ...
    def orders_placed(self) -> int: ...
    def try_out(self, qty: str, price: str) -> Any: ...
    def place(self, side: str, qty: str, price: str, *, waits: str = "GTC", client_id: str | None = None) -> Order: ...
    def place_maker(self, side: str, qty: str, price: str) -> Order: ...
    def place_at_market(self, side: str, qty: str) -> Order: ...
    def query(self, order: Order) -> Order: ...
    def query_by_client_id(self, client_id: str) -> Order: ...
    def open_orders(self) -> list[str]: ...
    def all_orders(self) -> list[str]: ...
    def cancel(self, order: Order) -> Order: ...
    def cancel_all(self) -> int: ...
    def replace(self, order: Order, qty: str, price: str) -> Order: ...
    def fills(self, order: Order) -> list[Fill]: ...
    def fills_between(self, start: int, end: int) -> int: ...
    def with_another_key(self) -> Any: ...
    def with_an_unknown_parameter(self) -> Any: ...
    def of_another_symbol(self) -> Any: ...


class Report:
    """What was seen: checks that passed, failed, or that the client has no word for."""

    def __init__(self, package: str) -> None:
        self.told: dict[str, Any] = {
            "client": package,
            "version": version(package),
            "passed": [],
            "failed": {},
            "not_offered": [],
        }

    def check(self, name: str, look: Callable[[], Any], expected: Any) -> None:
        """Compare what ``look`` returns with ``expected``."""
        try:
            seen = look()
        except NotImplementedError:
            self.told["not_offered"].append(name)
        except Exception:  # noqa: BLE001 - told, with its traceback
            self.told["failed"][name] = traceback.format_exc()[-1500:]
        else:
            self._compare(name, seen, expected)

    def refused(self, name: str, ask: Callable[[], Any], code: int, words: str = "") -> None:
        """Compare the code with which the exchange refuses, or where a client leaves it out ``words`` of it."""
        try:
            answer = ask()
        except NotImplementedError:
            self.told["not_offered"].append(name)
        except Exception as error:  # noqa: BLE001 - its words are what is looked at
            text = f"{error!r} {error} {vars(error)}"
            told = CODE.search(text)
            found = told[0] if told else str(code) if words and words in text else text
            self._compare(name, found, str(code))
        else:
            self.told["failed"][name] = f"not refused: {answer!r}"[:300]

    def _compare(self, name: str, seen: Any, expected: Any) -> None:
        if seen == expected:
            self.told["passed"].append(name)
        else:
            self.told["failed"][name] = f"{seen!r}, expected {expected!r}"[:600]


def drive(peer: Peer) -> None:
    """Drive ``peer`` through everything, and print what was seen as JSON."""
    report = Report(peer.package)
    _account_and_market(peer, report)
    _orders_that_rest(peer, report)
    _orders_that_fill(peer, report)
    _refusals(peer, report)
    print(json.dumps(report.told))


def arguments() -> tuple[str, str, str]:
    """The exchange's URL, the key and its secret."""
    _, url, key, secret = sys.argv
    return url, key, secret


def _account_and_market(peer: Peer, report: Report) -> None:
    zero = Decimal(0)
    report.check("account", lambda: peer.balances()["USDT"], (Decimal(10_000), zero))
    report.check("account of another coin", lambda: peer.balances()["BTC"], (Decimal(1), zero))
    report.check("market rules", peer.market, (Decimal("0.01"), Decimal("0.00001")))
    report.check("bid below ask around the price", lambda: _is_around(peer.best(), peer.last_price()), True)
    report.check("klines of minutes", lambda: _steps(peer.open_times("1m")), {60_000})
    report.check("klines of five minutes", lambda: _steps(peer.open_times("5m")), {300_000})
    report.check("klines begin on their grid", lambda: {at % 300_000 for at in peer.open_times("5m")}, {0})
    report.check("average price", lambda: abs(peer.average_price() / peer.last_price() - 1) < Decimal("0.1"), True)
    report.check("public trades", lambda: peer.public_trades() > 0, True)
    report.check("aggregate trades", lambda: peer.aggregate_trades() > 0, True)
    report.check("clock", lambda: peer.clock() > 1_700_000_000_000, True)
    report.check("maker fee", peer.fees, Decimal("0.001"))


def _orders_that_rest(peer: Peer, report: Report) -> None:
    low = str((peer.last_price() * Decimal("0.9")).quantize(Decimal("0.01")))
    lower = str((peer.last_price() * Decimal("0.8")).quantize(Decimal("0.01")))
    report.check("an order that is tried", lambda: bool(peer.try_out("0.01", low)), False)
    report.check("none is open", peer.open_orders, [])
    order = peer.place("BUY", "0.01", low, client_id="peer-1")
    report.check("an order that rests", lambda: (order.status, order.filled), ("NEW", 0))
    report.check("query", lambda: peer.query(order).status, "NEW")
    report.check("query by client id", lambda: peer.query_by_client_id("peer-1").id, order.id)
    report.check("open orders", peer.open_orders, [order.id])
    locked = Decimal("0.01") * Decimal(low)
    report.check("what it ties up", lambda: peer.balances()["USDT"], (10_000 - locked, locked))
    report.check("cancel", lambda: peer.cancel(order).status, "CANCELED")
    report.check("query after the cancel", lambda: peer.query(order).status, "CANCELED")
    report.check("what was tied up is free", lambda: peer.balances()["USDT"], (Decimal(10_000), Decimal(0)))
    report.check("an order that only makes", lambda: peer.place_maker("BUY", "0.01", low).status, "NEW")
    report.check("cancel of all", peer.cancel_all, 1)

    def replaced() -> list[str]:
        new = peer.replace(peer.place("BUY", "0.01", low), "0.02", lower)
        try:
            return ["only the new one"] if peer.open_orders() == [new.id] else peer.open_orders()
        finally:
            peer.cancel(new)

    report.check("an order in another's place", replaced, ["only the new one"])
    report.check("all orders", lambda: order.id in peer.all_orders(), True)
    report.check("how many orders were placed", lambda: peer.orders_placed() > 0, True)
    for waits in ("IOC", "FOK"):
        report.check(f"{waits} that cannot fill", partial(_expired, peer, waits, low), ("EXPIRED", 0))


def _orders_that_fill(peer: Peer, report: Report) -> None:
    bid, ask = peer.best()
    high = str((ask * Decimal("1.01")).quantize(Decimal("0.01")))
    bought = peer.place("BUY", "0.01", high)
    fill = Fill(ask, Decimal("0.01"), Decimal("0.00001"), "BTC")
    report.check("an order that crosses", lambda: (bought.status, bought.filled), ("FILLED", Decimal("0.01")))
    report.check("its fills", lambda: peer.fills(bought), [fill])
    report.check(
        "what was bought",
        lambda: (peer.balances()["BTC"][0], peer.balances()["USDT"][0]),
        (Decimal("1.00999"), 10_000 - ask * Decimal("0.01")),
    )
    at_once = peer.place("SELL", "0.01", str(bid), waits="IOC")
    report.check("IOC that can fill", lambda: (at_once.status, at_once.filled), ("FILLED", Decimal("0.01")))
    fee = bid * Decimal("0.01") * Decimal("0.001")
    report.check("a sell's fills", lambda: peer.fills(at_once), [Fill(bid, Decimal("0.01"), fee, "USDT")])
    report.check("at market", lambda: peer.place_at_market("BUY", "0.001").status, "FILLED")
    report.check("fills of a day", lambda: peer.fills_between(0, 86_400_000), 0)


def _refusals(peer: Peer, report: Report) -> None:
    price = peer.last_price()
    low = str((price * Decimal("0.9")).quantize(Decimal("0.01")))
    gone = peer.place("BUY", "0.01", low)
    peer.cancel(gone)
    unknown = Order("987654321", "NEW", Decimal(0))
    report.refused("cancel of an order that is gone", lambda: peer.cancel(gone), -2011)
    report.refused("query of an unknown order", lambda: peer.query(unknown), -2013)
    report.refused("more than there is", lambda: peer.place("BUY", "5", low), -2010, "insufficient balance")
    report.refused(
        "an order that would take",
        lambda: peer.place_maker("BUY", "0.01", str(peer.best()[1])),
        -2010,
        "would immediately match and take",
    )
    report.refused("too little", lambda: peer.place("BUY", "0.00001", low), -1013)
    report.refused("a market that is not there", peer.of_another_symbol, -1121)
    report.refused("a key that is not there", peer.with_another_key, -2015)
    report.refused("an unknown parameter", peer.with_an_unknown_parameter, -1104)
    report.refused("more than a day of fills", lambda: peer.fills_between(0, 86_400_001), -1127)


def _is_around(best: tuple[Decimal, Decimal], last: Decimal) -> bool:
    return best[0] < last < best[1]


def _steps(times: list[int]) -> set[int]:
    return {later - earlier for earlier, later in itertools.pairwise(times)}


def _expired(peer: Peer, waits: str, price: str) -> tuple[str, Decimal]:
    order = peer.place("BUY", "0.01", price, waits=waits)
    return order.status, order.filled
