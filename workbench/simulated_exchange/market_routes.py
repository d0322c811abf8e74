"""What anybody may ask of the market: Binance's market data endpoints, and the weight that each counts for."""

import re
from collections.abc import Callable

from workbench.simulated_exchange import errors, responses
from workbench.simulated_exchange.errors import ExchangeError
from workbench.simulated_exchange.klines import INTERVALS, build_klines
from workbench.simulated_exchange.market import Market
from workbench.simulated_exchange.parameters import Parameters
from workbench.simulated_exchange.responses import Json
from workbench.simulated_exchange.routes import Routes, known_symbol, page, parse_time_span, public, wanted_symbols

_TIME_ZONE = re.compile(r"([+-]?)(\d{1,2})(?::(\d{2}))?")
_MINUTE_MS = 60_000
_TICKER = "symbol symbols"
_HISTORY = "symbol fromId startTime endTime limit"


class MarketRoutes:
    """Answers from ``market``.

    ``clock`` tells the server's time in epoch milliseconds, ``weight_limit`` what an address may use in a minute.
    """

    def __init__(self, market: Market, clock: Callable[[], int], weight_limit: Callable[[], int]) -> None:
        self._market = market
        self._clock = clock
        self._weight_limit = weight_limit

    def routes(self) -> Routes:
        """What of markets anybody may ask for."""
        tickers = self._tickers
        return {
            ("GET", "/api/v3/ping"): public(lambda _: {}, 1),
            ("GET", "/api/v3/time"): public(lambda _: {"serverTime": self._clock()}, 1),
            ("GET", "/api/v3/exchangeInfo"): public(
                self._exchange_info, 20, "symbol symbols permissions showPermissionSets symbolStatus"
            ),
            ("GET", "/api/v3/depth"): public(self._depth, _depth_weight, "symbol limit"),
            ("GET", "/api/v3/trades"): public(self._trades, 25, "symbol limit"),
            ("GET", "/api/v3/aggTrades"): public(self._aggregate_trades, 4, _HISTORY),
            ("GET", "/api/v3/klines"): public(self._klines, 2, "symbol interval startTime endTime timeZone limit"),
            ("GET", "/api/v3/avgPrice"): public(self._average_price, 2, "symbol"),
            ("GET", "/api/v3/ticker/24hr"): public(self._day_tickers, _day_ticker_weight, f"{_TICKER} type"),
            ("GET", "/api/v3/ticker/price"): public(
                lambda p: tickers(p, responses.price_ticker), _ticker_weight, _TICKER
            ),
            ("GET", "/api/v3/ticker/bookTicker"): public(
                lambda p: tickers(p, responses.book_ticker), _ticker_weight, _TICKER
            ),
        }

    def _exchange_info(self, parameters: Parameters) -> object:
        market, status = self._market, parameters.text("symbolStatus")
        symbols = wanted_symbols(market, parameters)
        if status is not None:
            if parameters.text("symbol") is not None or parameters.text("symbols") is not None:
                raise errors.invalid_combination()
            parameters.word("symbolStatus", ("TRADING", "HALT", "BREAK"), errors.invalid_data("symbolStatus"))
            symbols = [symbol for symbol in symbols if responses.symbol_status(market, symbol) == status]
        if "SPOT" not in parameters.text("permissions", "SPOT"):
            symbols = []  # nothing else is traded here
        told = responses.exchange_info(market, symbols, self._clock(), self._weight_limit())
        if parameters.text("showPermissionSets") == "false":
            for listed in told["symbols"]:
                del listed["permissionSets"]
        return told

    def _tickers(self, parameters: Parameters, ticker: Callable[[Market, str], Json]) -> object:
        found = [ticker(self._market, symbol) for symbol in wanted_symbols(self._market, parameters)]
        return found[0] if parameters.text("symbol") is not None else found

    def _day_tickers(self, parameters: Parameters) -> object:
        kind = parameters.text("type", "FULL")
        if kind not in {"FULL", "MINI"}:
            raise errors.invalid_data("type")
        return self._tickers(parameters, responses.day_ticker if kind == "FULL" else responses.mini_day_ticker)

    def _depth(self, parameters: Parameters) -> object:
        return responses.depth(self._market, known_symbol(self._market, parameters), parameters.limit(100, 5_000))

    def _klines(self, parameters: Parameters) -> object:
        symbol = known_symbol(self._market, parameters)
        interval = parameters.word("interval", INTERVALS, ExchangeError(-1120, "Invalid interval."))
        start, end = parse_time_span(parameters)
        found = build_klines(
            self._market.candles(symbol),
            self._market.candle_ms,
            interval,
            start=start,
            end=end,
            limit=parameters.limit(500, 1_000),
            offset_ms=_time_zone_ms(parameters.text("timeZone", "0")),
        )
        return [responses.kline(one) for one in found]

    def _trades(self, parameters: Parameters) -> object:
        symbol, limit = known_symbol(self._market, parameters), parameters.limit(500, 1_000)
        traded = [candle for candle in self._market.candles(symbol) if candle.volume]
        return [responses.public_trade(candle) for candle in page(traded, limit, from_the_start=False)]

    def _aggregate_trades(self, parameters: Parameters) -> object:
        symbol, limit = known_symbol(self._market, parameters), parameters.limit(500, 1_000)
        from_id, (start, end) = parameters.integer("fromId"), parse_time_span(parameters)
        if from_id is not None and (start is not None or end is not None):
            raise errors.invalid_combination()
        found = [
            candle
            for candle in self._market.candles(symbol)
            if candle.volume
            and (from_id is None or candle.open_time >= from_id)
            and (start is None or candle.open_time >= start)
            and (end is None or candle.open_time <= end)
        ]
        from_the_start = from_id is not None or start is not None
        return [responses.aggregate_trade(one) for one in page(found, limit, from_the_start=from_the_start)]

    def _average_price(self, parameters: Parameters) -> object:
        return responses.average_price(self._market, known_symbol(self._market, parameters))


def _time_zone_ms(text: str) -> int:
    """By how much a time zone is ahead of UTC, as ``-1:00``, ``05:45`` or ``8``; from −12:00 to +14:00."""
    found = _TIME_ZONE.fullmatch(text)
    if found is None:
        raise errors.invalid_data("timeZone")
    minutes = int(found[2]) * 60 + int(found[3] or 0)
    ahead = -minutes if found[1] == "-" else minutes
    if not -12 * 60 <= ahead <= 14 * 60:
        raise errors.invalid_data("timeZone")
    return ahead * _MINUTE_MS


def _depth_weight(parameters: Parameters) -> int:
    limit = parameters.limit(100, 5_000)
    return next(weight for most, weight in ((100, 5), (500, 25), (1_000, 50), (5_000, 250)) if limit <= most)


def _day_ticker_weight(parameters: Parameters) -> int:
    symbols = parameters.symbols()
    if parameters.text("symbol") is not None or (symbols is not None and len(symbols) <= 20):
        return 2
    return 80 if symbols is None or len(symbols) > 100 else 40


def _ticker_weight(parameters: Parameters) -> int:
    return 2 if parameters.text("symbol") is not None else 4
