# /// script
# requires-python = ">=3.13"
# dependencies = ["freqtrade==2026.9"]
# ///
"""freqtrade's own class for Binance: a whole bot's way through ccxt, with its synchronous and asynchronous clients."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from freqtrade.enums import CandleType
from freqtrade.exchange import Binance, common
from scenario import Fill, Order, arguments, drive

PAIR = "BTC/USDT"
# It waits longer and longer before it asks again: here nothing gets better meanwhile.
common.time.sleep = lambda _: None
STATES = {"open": "NEW", "closed": "FILLED", "canceled": "CANCELED", "expired": "EXPIRED"}


def _exchange(url: str, key: str, secret: str) -> Binance:
    ccxt_config = {
        "urls": {"api": {"public": f"{url}/api/v3", "private": f"{url}/api/v3", "sapi": f"{url}/sapi/v1"}},
        "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False},
    }
    config = {
        "dry_run": False,
        "runmode": "live",
        "stake_currency": "USDT",
        "trading_mode": "spot",
        "margin_mode": "",
        "candle_type_def": CandleType.SPOT,
        "timeframe": "5m",
        "order_types": {"entry": "limit", "exit": "limit", "stoploss": "market", "stoploss_on_exchange": False},
        "order_time_in_force": {"entry": "GTC", "exit": "GTC"},
        "entry_pricing": {"price_side": "same", "use_order_book": False},
        "exit_pricing": {"price_side": "same", "use_order_book": False},
        "exchange": {
            "name": "binance",
            "key": key,
            "secret": secret,
            "pair_whitelist": [PAIR],
            "enable_ws": False,
            "ccxt_config": ccxt_config,
            "ccxt_async_config": ccxt_config,
        },
    }
    return Binance(config)


class Freqtrade:
    package = "freqtrade"

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._url = url
        self._exchange = _exchange(url, key, secret)

    def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        held = self._exchange.get_balances()
        return {coin: (_exact(one["free"]), _exact(one["used"])) for coin, one in held.items() if isinstance(one, dict)}

    def market(self) -> tuple[Decimal, Decimal]:
        precision = self._exchange.markets[PAIR]["precision"]
        return _exact(precision["price"]), _exact(precision["amount"])

    def last_price(self) -> Decimal:
        return _exact(self._exchange.fetch_ticker(PAIR)["last"])

    def best(self) -> tuple[Decimal, Decimal]:
        book = self._exchange.fetch_l2_order_book(PAIR, 5)
        return _exact(book["bids"][0][0]), _exact(book["asks"][0][0])

    def open_times(self, interval: str) -> list[int]:
        wanted = (PAIR, interval, CandleType.SPOT)
        found = self._exchange.refresh_latest_ohlcv([wanted], cache=False, drop_incomplete=False)
        return [int(at.timestamp() * 1000) for at in found[wanted]["date"]]

    def average_price(self) -> Decimal:
        raise NotImplementedError

    def public_trades(self) -> int:
        raise NotImplementedError

    def aggregate_trades(self) -> int:
        _, trades = self._exchange.get_historic_trades(PAIR, since=1)
        return len(trades)

    def clock(self) -> int:
        return int(self._exchange._api.fetch_time())

    def fees(self) -> Decimal:
        return _exact(self._exchange.get_fee(PAIR, taker_or_maker="maker"))

    def orders_placed(self) -> int:
        raise NotImplementedError

    def try_out(self, qty: str, price: str) -> Any:
        raise NotImplementedError

    def place(self, side: str, qty: str, price: str, *, waits: str = "GTC", client_id: str | None = None) -> Order:
        return self._placed("limit", side, qty, price, waits)

    def place_maker(self, side: str, qty: str, price: str) -> Order:
        return self._placed("limit", side, qty, price, "PO")

    def place_at_market(self, side: str, qty: str) -> Order:
        return self._placed("market", side, qty, "1", "GTC")

    def _placed(self, kind: str, side: str, qty: str, price: str, waits: str) -> Order:
        told = self._exchange.create_order(
            pair=PAIR,
            ordertype=kind,
            side=side.lower(),
            amount=float(qty),
            rate=float(price),
            leverage=1.0,
            time_in_force=waits,
        )
        return _order(told)

    def query(self, order: Order) -> Order:
        return _order(self._exchange.fetch_order(order.id, PAIR))

    def query_by_client_id(self, client_id: str) -> Order:
        raise NotImplementedError

    def open_orders(self) -> list[str]:
        raise NotImplementedError

    def all_orders(self) -> list[str]:
        found = self._exchange.fetch_orders(PAIR, datetime(2020, 1, 1, tzinfo=UTC))
        return [str(one["id"]) for one in found]

    def cancel(self, order: Order) -> Order:
        return _order(self._exchange.cancel_order(order.id, PAIR))

    def cancel_all(self) -> int:
        return len(self._exchange._api.cancel_all_orders(PAIR))

    def replace(self, order: Order, qty: str, price: str) -> Order:
        self.cancel(order)
        raise NotImplementedError

    def fills(self, order: Order) -> list[Fill]:
        found = self._exchange.get_trades_for_order(order.id, PAIR, datetime(2020, 1, 1, tzinfo=UTC))
        return [
            Fill(_exact(one["price"]), _exact(one["amount"]), _exact(one["fee"]["cost"]), one["fee"]["currency"])
            for one in found
        ]

    def fills_between(self, start: int, end: int) -> int:
        raise NotImplementedError

    def with_another_key(self) -> Any:
        return _exchange(self._url, "n" * 64, "n").get_balances()

    def with_an_unknown_parameter(self) -> Any:
        return self._exchange._api.private_get_account({"everything": "true"})

    def of_another_symbol(self) -> Any:
        return self._exchange._api.public_get_ticker_price({"symbol": "NOPEUSDT"})


def _exact(number: Any) -> Decimal:
    return Decimal(str(number))


def _order(told: dict[str, Any]) -> Order:
    return Order(str(told["id"]), STATES.get(told["status"], told["status"]), _exact(told["filled"] or 0))


drive(Freqtrade(*arguments()))
