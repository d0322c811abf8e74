# /// script
# requires-python = "==3.13.*"
# dependencies = ["bt==1.4.1", "numba==0.68.1", "numpy==2.5.5", "pandas==3.1.1", "vectorbt==1.2.0"]
# ///
"""The backtest's rules in vectorbt, and what comes nearest to them in bt: timed, as JSON on stdout.

Run by ``benchmarks/backtest.py``, in an environment that uv makes of the lines above; nothing of ours is imported.
"""

import json
import resource
import sys
from importlib.metadata import version
from statistics import median
from time import process_time
from typing import Any, NamedTuple

import bt
import numpy as np
import pandas as pd
import vectorbt
from numba import njit
from numpy.typing import NDArray
from vectorbt.portfolio.nb import order_nb, order_nothing_nb

_NEAR = 1e-9
"""Before rounding to whole ticks and lots, so that what is whole but for floating point stays that."""

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int64]


class Market(NamedTuple):
    """A row a candle, a column an asset: prices in ticks. ``target`` is a fraction, ``held`` what there is at first."""

    close: Integers
    low: Integers
    high: Integers
    tick: Floats
    lot: Floats
    target: Floats
    held: Floats


class Rules(NamedTuple):
    """The strategy's: shares are fractions, ``max_age`` is in candles."""

    size: float
    step: float
    band: float
    max_age: float
    tolerance: float
    fee: float
    min_notional: float


class Book(NamedTuple):
    """The resting order of each asset: its side is 1 or -1, or 0 for none. ``totals`` are orders and fills."""

    side: Integers
    limit: Integers
    qty: Floats
    placed_in: Integers
    totals: Integers
    delta: Floats


def _limit(side: int, close: int, step: float) -> int:
    """In ticks, as ``close`` is."""
    return int(np.floor(close * (1 - step) + _NEAR)) if side > 0 else int(np.ceil(close * (1 + step) - _NEAR))


limit_of = njit(_limit)


def _decide(i: int, cash: float, held: Floats, market: Market, rules: Rules, book: Book) -> None:
    """Place and give up orders at the end of candle ``i``; what is given up is only free, and placed anew, later."""
    close, nav, free_quote = market.close[i], cash, cash
    for col in range(len(held)):
        nav += held[col] * close[col] * market.tick[col]
        if book.side[col] > 0:
            free_quote -= book.limit[col] * market.tick[col] * book.qty[col]
    outside = 0
    for col in range(len(held)):
        delta = nav * market.target[col] - held[col] * close[col] * market.tick[col]
        book.delta[col] = delta if abs(delta) >= rules.band else 0.0
        outside += book.delta[col] != 0 and book.side[col] == 0
    amount = nav * rules.size
    tried = np.zeros(len(held), dtype=np.bool_)
    for _ in range(outside):
        best = -1
        for col in range(len(held)):
            untried = book.delta[col] != 0 and book.side[col] == 0 and not tried[col]
            if untried and (best < 0 or abs(book.delta[col]) > abs(book.delta[best])):
                best = col
        tried[best] = True
        side = 1 if book.delta[best] > 0 else -1
        limit = limit_of(side, close[best], rules.step)
        price = limit * market.tick[best]
        affordable = min(amount, free_quote if side > 0 else held[best] * price)
        qty = np.floor(affordable / (price * market.lot[best]) + _NEAR) * market.lot[best]
        if qty <= 0 or qty * price < rules.min_notional:
            continue
        book.side[best], book.limit[best], book.qty[best], book.placed_in[best] = side, limit, qty, i
        book.totals[0] += 1
        if side > 0:
            free_quote -= price * qty
    for col in range(len(held)):
        side = book.side[col]
        if side == 0 or i - book.placed_in[col] < rules.max_age:
            continue
        limit = limit_of(side, close[col], rules.step)
        off = abs(limit - book.limit[col])
        if book.delta[col] * side <= 0 or off > limit * rules.tolerance + _NEAR:
            book.side[col] = 0


decide = njit(_decide)


def _trade(c: Any, market: Market, rules: Rules, book: Book) -> Any:
    """vectorbt's callback, called at a candle until it names no column: the fills, and then the decision."""
    i = c.i
    if i == 0 and c.call_idx < len(market.held):  # vectorbt starts with cash alone
        price = market.close[0, c.call_idx] * market.tick[c.call_idx]
        return c.call_idx, order_nb(size=market.held[c.call_idx], price=price)
    for col in range(len(market.held)):
        side, limit = book.side[col], book.limit[col]
        if (side > 0 and market.low[i, col] < limit) or (side < 0 and market.high[i, col] > limit):
            book.side[col] = 0
            book.totals[1] += 1
            size, fees, price = -book.qty[col], rules.fee, limit * market.tick[col]
            if side > 0:  # vectorbt adds the fee to the cost, exchanges take it from what is bought
                size, fees = book.qty[col] * (1 - rules.fee), rules.fee / (1 - rules.fee)
            return col, order_nb(size=size, price=price, fees=fees)
    decide(i, c.last_cash[0], c.last_position, market, rules, book)
    return -1, order_nothing_nb()


trade = njit(_trade)


def run_vectorbt(data: Any) -> dict[str, Any]:
    """The final NAV and what it took of the processor: the first time with compilation, and the median of the next."""
    market = Market(*(data[name] for name in Market._fields))
    rules = Rules(*(float(data[name]) for name in Rules._fields))
    closes = market.close * market.tick
    cash = float(data["quote"]) + float(market.held @ closes[0])

    def run() -> tuple[float, Book]:
        integers, floats = np.zeros((3, len(market.held)), np.int64), np.zeros((2, len(market.held)))
        book = Book(integers[0], integers[1], floats[0], integers[2], np.zeros(2, np.int64), floats[1])
        portfolio = vectorbt.Portfolio.from_order_func(
            closes,
            trade,
            market,
            rules,
            book,
            flexible=True,
            init_cash=cash,
            group_by=True,
            cash_sharing=True,
            fill_pos_record=False,
            max_orders=len(closes) + 1000,
        )
        return float(portfolio.final_value()), book

    times = []
    for _ in range(1 + int(data["runs"])):
        began = process_time()
        nav, book = run()
        times.append(process_time() - began)
    orders, fills = map(int, book.totals)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1_000_000 if sys.platform == "darwin" else 1000)
    return {
        "cold_s": times[0],
        "warm_s": median(times[1:]),
        "nav": nav,
        "orders": orders,
        "fills": fills,
        "peak_mb": peak_mb,
    }


def run_bt(data: Any) -> dict[str, dict[str, float]]:
    """What it took to rebalance every hour, and beyond the band."""
    count = int(data["bt_candles"])
    names = [f"asset {number}" for number in range(len(data["tick"]))]
    times = pd.to_datetime(data["times_ms"][:count], unit="ms")
    closes = pd.DataFrame(data["close"][:count] * data["tick"], times, names)
    weigh = bt.algos.WeighSpecified(**dict(zip(names, map(float, data["target"]), strict=True)))
    worth = float(data["quote"]) + float(data["held"] @ closes.iloc[0].to_numpy())
    band_of_target = float(data["band"]) / worth / float(data["target"][0])
    fee = float(data["fee"])
    strategies = {
        "rebalanced every hour": [bt.algos.RunEveryNPeriods(60), weigh, bt.algos.Rebalance()],
        "rebalanced beyond the band": [weigh, bt.algos.RunIfOutOfBounds(band_of_target), bt.algos.Rebalance()],
    }
    measured = {}
    for name, algos in strategies.items():
        backtest = bt.Backtest(
            bt.Strategy(name, algos),
            closes,
            initial_capital=worth,
            commissions=lambda quantity, price: abs(quantity) * price * fee,
            integer_positions=False,
        )
        began = process_time()
        backtest.run()
        measured[name] = {"candles": len(closes), "seconds": process_time() - began}
    return measured


def main() -> None:
    """Measure and print."""
    import_s = process_time()
    with np.load(sys.argv[1]) as archive:
        data = dict(archive)
    measured = {"vectorbt": run_vectorbt(data) | {"import_s": import_s}, "bt": run_bt(data)}
    names = ("vectorbt", "bt", "numba", "numpy", "pandas")
    versions = {"Python": sys.version.split()[0]} | {name: version(name) for name in names}
    print(json.dumps({"versions": versions, **measured}))


if __name__ == "__main__":
    main()
