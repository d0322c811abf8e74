"""Which order size, step and band would have done best, and whether that held on what came afterwards.

The recording is cut into equal windows, and every combination is tried on each of them alone. What was best on one
window is then looked at on the next: walking forward, the first is in-sample and the second out-of-sample.
"""

import math
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import product
from multiprocessing import get_context
from os import process_cpu_count
from pathlib import Path

from botbalance.engine import Balance, WarningCode, evaluate
from botbalance.engine.arithmetic import NEAREST
from botbalance.errors import InvalidRequestError

from workbench.backtest import inputs
from workbench.backtest.backtest import BacktestFiles, BacktestInputs, prepare
from workbench.backtest.metrics import measure_gains
from workbench.backtest.simulation import BacktestConfig, simulate
from workbench.portfolios import demo as demo_portfolio

LEAST_CANDLES = 50
"""In a window; with fewer nothing can be told."""
_NEAR_THE_EDGE = 0.1
"""Of the range from which a random search draws, by ratio."""
_NEAREST = 4
_MOST_DRAWS = 50
"""For each combination that is wanted, before there are none left that are different."""


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """Percent of NAV, percent of the price, quote, and percent of NAV where the band is a share as well."""

    order_size_pct: Decimal
    order_step_pct: Decimal
    min_delta_quote: Decimal
    min_delta_pct: Decimal | None = None

    def values(self) -> tuple[Decimal, Decimal, Decimal, Decimal | None]:
        """The parameters, in the order of ``NAMES``."""
        return self.order_size_pct, self.order_step_pct, self.min_delta_quote, self.min_delta_pct


@dataclass(frozen=True, slots=True)
class Score:
    """Of one combination on one window: logarithmic growth over that of the targets bought once, in percent.

    ``bonus_quote`` is against holding what the window started with, fees paid.
    """

    rebalancing_return_pct: Decimal
    bonus_quote: Decimal
    fills: int
    fees_quote: Decimal


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A combination with its scores, a window each, oldest first.

    ``in_sample_pct`` is the mean over all windows but the last, ``out_of_sample_pct`` that over all but the first.
    """

    combination: ParameterSet
    scores: tuple[Score, ...]
    in_sample_pct: Decimal
    out_of_sample_pct: Decimal


@dataclass(frozen=True, slots=True)
class Fold:
    """One step forward: what was best in-sample, and what it came to out-of-sample. Times in epoch milliseconds.

    ``best_possible_pct`` is what the best of all would have come to out-of-sample: nobody could know.
    """

    in_sample_from_ms: int
    out_of_sample_from_ms: int
    out_of_sample_to_ms: int
    chosen: ParameterSet
    in_sample_pct: Decimal
    out_of_sample_pct: Decimal
    best_possible_pct: Decimal


@dataclass(frozen=True, slots=True)
class Search:
    """Every combination, the best in-sample first; the walk forward; and what speaks against believing it."""

    tried: Sequence[TrialResult]
    folds: Sequence[Fold]
    warnings: Sequence[str]


@dataclass(frozen=True, slots=True)
class Ranges:
    """The values of each parameter that are tried, in ascending order; a band that is no share has the one None."""

    order_size_pct: Sequence[Decimal]
    order_step_pct: Sequence[Decimal]
    min_delta_quote: Sequence[Decimal]
    min_delta_pct: Sequence[Decimal | None] = (None,)

    def axes(self) -> tuple[Sequence[Decimal], Sequence[Decimal], Sequence[Decimal], Sequence[Decimal | None]]:
        """The values to try of each parameter, in the order of ``NAMES``."""
        return self.order_size_pct, self.order_step_pct, self.min_delta_quote, self.min_delta_pct


SOUND_SIZES = (Decimal("0.5"), Decimal(1), Decimal(2))
SOUND_STEPS = (Decimal("0.2"), Decimal("0.4"), Decimal("0.8"))
SOUND_BANDS = (Decimal(2), Decimal(3), Decimal(5))
"""In percent. No order is worth more than any of these bands, which a search starts from where none are named."""


def ranges_for(strategy: Path, size: str | None, step: str | None, band: str | None, band_pct: str | None) -> Ranges:
    """The values named, as ``0.5,1,2``; where none are, sound ones.

    ``band`` in quote stays the ``strategy`` file's own unless it is named. Where it alone is named, the band is no
    share but the file's own. Raises InvalidRequestError for what are no numbers over 0.
    """
    own = demo_portfolio.read_strategy(strategy)
    shares: Sequence[Decimal | None] = SOUND_BANDS
    if band_pct is not None:
        shares = _values("--band-pct", band_pct, SOUND_BANDS)
    elif band is not None:
        shares = (own.min_delta_pct,)
    return Ranges(
        _values("--size", size, SOUND_SIZES),
        _values("--step", step, SOUND_STEPS),
        _values("--band", band, (own.min_delta_quote,)),
        shares,
    )


def _values(option: str, text: str | None, otherwise: Sequence[Decimal]) -> Sequence[Decimal]:
    if text is None:
        return otherwise
    values = sorted({inputs.number(part, option) for part in text.split(",")})
    if values[0] == 0:
        raise InvalidRequestError("values", f"{option} is {text!r}, expected numbers over 0: 0.5,1,2")
    return values


NAMES = ("order_size_pct", "order_step_pct", "min_delta_quote", "min_delta_pct")


def grid(ranges: Ranges) -> list[ParameterSet]:
    """Every combination of the values."""
    return [ParameterSet(*values) for values in product(*ranges.axes())]


def drawn(ranges: Ranges, number: int, seed: int) -> list[ParameterSet]:
    """``number`` different combinations between the smallest and the largest values, each ratio as likely as any other.

    Raises InvalidRequestError where there are not so many: values have three significant digits.
    """
    source = random.Random(seed)

    def one() -> ParameterSet:
        size, step, band = (_between(axis[0], axis[-1], source.random()) for axis in ranges.axes()[:3])
        least, most = ranges.min_delta_pct[0], ranges.min_delta_pct[-1]
        share = None if least is None or most is None else _between(least, most, source.random())
        return ParameterSet(size, step, band, share)

    combinations: dict[ParameterSet, None] = {}
    for _ in range(number * _MOST_DRAWS):
        combinations[one()] = None
        if len(combinations) == number:
            return list(combinations)
    raise InvalidRequestError(
        "draws",
        f"--random is {number}, and there are about {len(combinations)} combinations of three digits between the "
        "values: draw fewer, or name values further apart",
    )


def search(
    files: BacktestFiles,
    combinations: Sequence[ParameterSet],
    folds: int,
    *,
    on_grid: bool,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Search:
    """Try every combination on ``folds`` + 1 windows, on all processors; ``on_progress`` is told how many are done.

    Raises InvalidRequestError where windows are too short, and whatever a backtest refuses.
    """
    whole = prepare(files)
    edges = _edges(len(whole.timeline), folds + 1)
    for combination in combinations:  # refused here, by name, not in a worker
        _with(whole, combination)
    scores: dict[tuple[int, int], Score] = {}
    context = get_context("spawn")
    with ProcessPoolExecutor(process_cpu_count(), context, initializer=_read, initargs=(files,)) as pool:
        waiting = {
            pool.submit(_score, combination, edges[window], edges[window + 1]): (number, window)
            for number, combination in enumerate(combinations)
            for window in range(folds + 1)
        }
        for done, future in enumerate(as_completed(waiting), start=1):
            scores[waiting[future]] = future.result()
            on_progress(done)
    tried = [
        _tried(combination, [scores[number, window] for window in range(folds + 1)])
        for number, combination in enumerate(combinations)
    ]
    starts = [whole.timeline.ends_at_ms(edge) for edge in edges[:-1]]
    ends = [whole.timeline.ends_at_ms(edges[-1] - 1)]
    walked = _walk_forward(tried, [*starts, *ends])
    ranked = sorted(tried, key=lambda one: one.in_sample_pct, reverse=True)
    warnings = [
        *_warned_by_the_engine(whole, ranked[0].combination),
        *warnings_about(ranked, walked, on_grid=on_grid),
    ]
    return Search(ranked, walked, warnings)


_prepared: BacktestInputs | None = None


def _read(files: BacktestFiles) -> None:
    """Read the files once in each worker."""
    global _prepared  # noqa: PLW0603 - how a process pool keeps what its tasks share
    _prepared = prepare(files)


def _score(combination: ParameterSet, begin: int, end: int) -> Score:
    if _prepared is None:
        raise AssertionError("a worker reads the files first")
    timeline = _prepared.timeline.cut(begin, end)
    setup = _with(_prepared, combination)
    setup = replace(setup, start_balances=_prepared.on_targets(timeline.closes_at(0)))
    gains = measure_gains(setup, timeline, simulate(setup, timeline))
    return Score(gains.growth.rebalancing_return_pct, gains.bonus_quote, gains.fills, gains.fees_quote)


def _with(prepared: BacktestInputs, combination: ParameterSet) -> BacktestConfig:
    """The setup with other parameters; raises InvalidStrategyError for values that cannot be."""
    size, step, band, share = combination.values()
    config = replace(
        prepared.setup.config,
        order_size_pct=size,
        order_step_pct=step,
        min_delta_quote=band,
        min_delta_pct=share,
    )
    return replace(prepared.setup, config=config)


def _warned_by_the_engine(whole: BacktestInputs, best: ParameterSet) -> Iterator[str]:
    """What the engine says of the size and the band of ``best``, at the start."""
    setup = _with(whole, best)
    evaluation = evaluate(
        {asset: Balance(quantity) for asset, quantity in setup.start_balances.items()},
        setup.target_allocations,
        whole.timeline.closes_at(0),
        setup.config,
        market_rules=setup.market_rules,
    )
    about = {WarningCode.OSCILLATION, WarningCode.OSCILLATION_AHEAD, WarningCode.NEVER_BOUGHT}
    return (f"the best: {warning.message}" for warning in evaluation.warnings if warning.code in about)


def _edges(candles: int, windows: int) -> list[int]:
    if candles // windows < LEAST_CANDLES:
        least = windows * LEAST_CANDLES
        raise InvalidRequestError(
            "folds", f"--folds {windows - 1} takes {least} candles or more, and there are {candles}"
        )
    return [candles * window // windows for window in range(windows + 1)]


def _tried(combination: ParameterSet, scores: Sequence[Score]) -> TrialResult:
    return TrialResult(combination, tuple(scores), _mean(scores[:-1]), _mean(scores[1:]))


def _mean(scores: Collection[Score]) -> Decimal:
    total = sum((score.rebalancing_return_pct for score in scores), Decimal(0))
    return NEAREST.quantize(NEAREST.divide(total, Decimal(len(scores))), Decimal("1e-6"))


def _walk_forward(tried: Sequence[TrialResult], moments: Sequence[int]) -> list[Fold]:
    folds = []
    for window in range(len(moments) - 2):
        chosen = max(tried, key=lambda one: one.scores[window].rebalancing_return_pct)
        folds.append(
            Fold(
                in_sample_from_ms=moments[window],
                out_of_sample_from_ms=moments[window + 1],
                out_of_sample_to_ms=moments[window + 2],
                chosen=chosen.combination,
                in_sample_pct=chosen.scores[window].rebalancing_return_pct,
                out_of_sample_pct=chosen.scores[window + 1].rebalancing_return_pct,
                best_possible_pct=max(one.scores[window + 1].rebalancing_return_pct for one in tried),
            )
        )
    return folds


def warnings_about(ranked: Sequence[TrialResult], folds: Sequence[Fold], *, on_grid: bool) -> Iterator[str]:
    """What speaks against believing the best of ``ranked``."""
    best = ranked[0]
    for name, value, column in zip(NAMES, best.combination.values(), _columns(ranked), strict=True):
        if value is None:
            continue
        values = [tried for tried in column if tried is not None]
        low, high = min(values), max(values)
        for edge, other, where in ((low, high, "smallest"), (high, low, "largest")):
            if low < high and _at_the_edge(value, edge, other, on_grid=on_grid):
                yield f"the best {name}, {value:f}, is at the {where} tried: better ones may lie beyond {edge:f}"
    neighbours = _neighbours(best, ranked, on_grid=on_grid)
    if neighbours:
        scores = [neighbour.in_sample_pct for neighbour in neighbours]
        typical = NEAREST.divide(sum(scores, Decimal(0)), Decimal(len(scores)))
        if best.in_sample_pct > 0 and (min(scores) < 0 or typical * 2 < best.in_sample_pct):
            yield (
                f"the neighbours of the best disagree: it made {best.in_sample_pct:+.2f} % in-sample, "
                f"they {typical:+.2f} % on average and {min(scores):+.2f} % at worst; it may be luck"
            )
    if best.in_sample_pct <= 0:
        yield "no combination beat buying the targets once, not even in-sample"
    walked = NEAREST.divide(sum((fold.out_of_sample_pct for fold in folds), Decimal(0)), Decimal(len(folds)))
    promised = NEAREST.divide(sum((fold.in_sample_pct for fold in folds), Decimal(0)), Decimal(len(folds)))
    if promised > 0 and walked * 2 < promised:
        yield (
            f"what was best in-sample made {promised:+.2f} % there on average and {walked:+.2f} % out-of-sample: "
            "do not count on it"
        )


def _at_the_edge(value: Decimal, edge: Decimal, other: Decimal, *, on_grid: bool) -> bool:
    if on_grid:
        return value == edge
    return abs(math.log(value / edge)) <= _NEAR_THE_EDGE * abs(math.log(other / edge))


def _neighbours(best: TrialResult, tried: Sequence[TrialResult], *, on_grid: bool) -> list[TrialResult]:
    """On a grid, those that differ by one step of one parameter; else the nearest by ratio."""
    of_best = best.combination.values()
    axes = [sorted({value for value in values if value is not None}) for values in _columns(tried)]

    def distance(one: TrialResult) -> float:
        pairs = [
            (value, other, axis)
            for value, other, axis in zip(one.combination.values(), of_best, axes, strict=True)
            if value is not None and other is not None
        ]
        if on_grid:
            return sum(abs(axis.index(value) - axis.index(other)) for value, other, axis in pairs)
        return sum(abs(math.log(value / other)) for value, other, _ in pairs)

    others = [one for one in tried if one is not best]
    if on_grid:
        return [one for one in others if distance(one) == 1]
    return sorted(others, key=distance)[:_NEAREST]


def _columns(tried: Sequence[TrialResult]) -> Iterator[tuple[Decimal | None, ...]]:
    """The values tried, a parameter each."""
    return zip(*(one.combination.values() for one in tried), strict=True)


def _between(low: Decimal, high: Decimal, part: float) -> Decimal:
    """``part`` of the way from ``low`` to ``high`` by ratio, to three significant digits."""
    value = float(low) * (float(high) / float(low)) ** part
    return Decimal(f"{value:.3g}")
