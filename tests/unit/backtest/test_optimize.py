"""The search for parameters: what is tried, how it walks forward, and when it warns."""

import csv
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from botbalance.engine import InvalidStrategyError
from botbalance.errors import InvalidRequestError

from tests.unit.backtest.test_simulation import walk
from workbench.backtest.backtest import BacktestFiles, prepare, run
from workbench.backtest.optimize import (
    NAMES,
    Fold,
    ParameterSet,
    Ranges,
    Score,
    Search,
    TrialResult,
    drawn,
    grid,
    ranges_for,
    search,
    warnings_about,
)
from workbench.backtest.search_files import write_strategy, write_table

D = Decimal


@pytest.fixture
def files(tmp_path: Path) -> BacktestFiles:
    """300 hourly candles of one pair, and a strategy."""
    rows = walk(seed=5, first=100, candles=300, wildness=0.02, gap_every=0)
    lines = [
        f"{1_600_002_000_000 + hour * 3_600_000},{close},{high},{low},{close},1"
        for hour, (low, high, close) in enumerate(row for row in rows if row is not None)
    ]
    (tmp_path / "BTCUSDT.csv").write_text("\n".join(lines))
    strategy = tmp_path / "strategy.json"
    parameters = {"order_size_pct": "2", "order_step_pct": "0.5", "min_delta_quote": "100"}
    strategy.write_text(json.dumps({"target_allocations": {"BTC": "50", "USDT": "50"}} | parameters))
    return BacktestFiles(tmp_path, strategy)


def test_a_grid_has_every_combination_and_what_is_not_given_is_sound(files: BacktestFiles) -> None:
    ranges = ranges_for(files.strategy, None, "1,0.2", None, None)
    assert ranges == Ranges((D("0.5"), D(1), D(2)), [D("0.2"), D(1)], (D(100),), (D(2), D(3), D(5)))
    assert len(set(grid(ranges))) == 18
    assert all(one.order_size_pct <= (one.min_delta_pct or 0) for one in grid(ranges))


def test_the_band_is_searched_in_quote_as_a_share_or_both(files: BacktestFiles) -> None:
    def bands(band: str | None, band_pct: str | None) -> tuple[Sequence[object], Sequence[object]]:
        ranges = ranges_for(files.strategy, "1", "1", band, band_pct)
        return list(ranges.min_delta_quote), list(ranges.min_delta_pct)

    assert bands("50,200", None) == ([50, 200], [None])
    assert bands(None, "1,4") == ([100], [1, 4])
    assert bands("50", "1") == ([50], [1])


def test_the_best_is_warned_of_by_the_engine_where_its_orders_outgrow_its_band(files: BacktestFiles) -> None:
    sound, unsound = (
        search(files, [ParameterSet(D(2), D("0.5"), D(1), share)], 1, on_grid=True).warnings
        for share in (D(2), D("1.9"))
    )
    assert not any("worth more than the band" in warning for warning in sound)
    assert any("the best: an order of 200" in warning and "min_delta_pct of 2" in warning for warning in unsound)


def test_draws_lie_between_the_values_and_repeat_with_their_seed() -> None:
    ranges = Ranges([D("0.1"), D(10)], [D("0.5")], [D(50), D(100), D(200)])
    combinations = drawn(ranges, 200, seed=1)
    assert combinations == drawn(ranges, 200, seed=1) != drawn(ranges, 200, seed=2)
    sizes = [combination.order_size_pct for combination in combinations]
    assert all(D("0.1") <= size <= 10 for size in sizes)
    assert 60 <= sum(size < 1 for size in sizes) <= 140  # by ratio: half of them below 1
    assert {combination.order_step_pct for combination in combinations} == {D("0.5")}
    assert all(50 <= combination.min_delta_quote <= 200 for combination in combinations)


def test_as_many_different_combinations_are_drawn_as_were_promised_or_none() -> None:
    ranges = Ranges([D("0.1"), D(10)], [D("0.5")], [D(100), D(200)])
    assert len(set(drawn(ranges, 1_000, seed=1))) == 1_000
    with pytest.raises(InvalidRequestError, match="--random is 30, and there are about 11 combinations"):
        drawn(Ranges([D("1"), D("1.1")], [D("0.5")], [D(100)]), 30, seed=1)


def test_the_table_and_the_best_are_written_and_read_back(files: BacktestFiles, tmp_path: Path) -> None:
    found = search(files, grid(Ranges([D(1), D(5)], [D("0.5")], [D(100)], [None, D(3)])), 1, on_grid=True)
    write_table(found, tmp_path / "table.csv")
    write_table(found, tmp_path / "table.json")
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert len(rows) == len(json.loads((tmp_path / "table.json").read_text())["tried"]) == 4
    for row, one in zip(rows, found.tried, strict=True):
        assert [row[name] for name in NAMES] == ["" if v is None else str(v) for v in one.combination.values()]
        assert D(row["in_sample_pct"]) == one.in_sample_pct
        assert int(row["fills"]) == sum(score.fills for score in one.scores)
        assert D(row["bonus_quote"]) == sum(score.bonus_quote for score in one.scores)

    best = tmp_path / "best.json"
    write_strategy(files.strategy, ParameterSet(D(5), D("0.5"), D(100), D(3)), best)
    prepared = prepare(BacktestFiles(files.candles, best))
    config = prepared.setup.config
    assert (config.order_size_pct, config.order_step_pct, config.min_delta_pct) == (D(5), D("0.5"), D(3))
    assert prepared.setup.target_allocations == prepare(files).setup.target_allocations
    write_strategy(best, ParameterSet(D(1), D(1), D(100)), best)
    assert prepare(BacktestFiles(files.candles, best)).setup.config.min_delta_pct is None


def test_each_stretch_is_a_backtest_of_its_own_and_the_walk_takes_the_best_of_the_one_before(
    files: BacktestFiles,
) -> None:
    combinations = grid(Ranges([D(1), D(5)], [D("0.5"), D(2)], [D(100)]))
    progress: list[int] = []
    found: Search = search(files, combinations, 2, on_grid=True, on_progress=progress.append)
    assert progress == list(range(1, 13))
    assert {one.combination for one in found.tried} == set(combinations)
    assert [one.in_sample_pct for one in found.tried] == sorted((o.in_sample_pct for o in found.tried), reverse=True)

    # The second stretch by hand: candles 100 to 199, on its targets at the first of them.
    whole = prepare(files)
    start, end = (int(whole.timeline.times_ms[candle]) for candle in (100, 200))
    strategy = json.loads(files.strategy.read_text()) | {"order_size_pct": "5", "order_step_pct": "2"}
    files.strategy.write_text(json.dumps(strategy))
    alone = run(prepare(BacktestFiles(files.candles, files.strategy, start_ms=start, end_ms=end)))
    (tried,) = (one for one in found.tried if one.combination == ParameterSet(D(5), D(2), D(100)))
    assert tried.scores[1] == Score(
        alone.growth.rebalancing_return_pct, alone.bonus_quote, len(alone.fills), alone.fees_quote
    )
    made = [score.rebalancing_return_pct for score in tried.scores]
    assert abs(tried.in_sample_pct - (made[0] + made[1]) / 2) <= D("1e-6")
    assert abs(tried.out_of_sample_pct - (made[1] + made[2]) / 2) <= D("1e-6")

    for step, fold in enumerate(found.folds):
        best = max(found.tried, key=lambda one: one.scores[step].rebalancing_return_pct)
        assert fold.chosen == best.combination
        assert fold.in_sample_pct == best.scores[step].rebalancing_return_pct
        assert fold.out_of_sample_pct == best.scores[step + 1].rebalancing_return_pct
        assert fold.best_possible_pct == max(one.scores[step + 1].rebalancing_return_pct for one in found.tried)
    assert [fold.out_of_sample_to_ms for fold in found.folds][:-1] == [
        fold.out_of_sample_from_ms for fold in found.folds
    ][1:]


def test_stretches_that_are_too_short_and_values_that_cannot_be_are_refused(files: BacktestFiles) -> None:
    with pytest.raises(InvalidRequestError, match="--folds 6 takes 350 candles or more, and there are 300"):
        search(files, grid(Ranges([D(1)], [D(1)], [D(100)])), 6, on_grid=True)
    with pytest.raises(InvalidStrategyError, match="order_step_pct is 60"):
        search(files, grid(Ranges([D(1)], [D(60)], [D(100)])), 2, on_grid=True)


def tried(size: str, *scores: str) -> TrialResult:
    made = tuple(Score(D(score), D(0), 1, D(0)) for score in scores)
    return TrialResult(ParameterSet(D(size), D(1), D(100)), made, D(scores[0]), D(scores[-1]))


def fold(in_sample: str, out_of_sample: str) -> Fold:
    return Fold(0, 1, 2, ParameterSet(D(1), D(1), D(100)), D(in_sample), D(out_of_sample), D(9))


@pytest.mark.parametrize(
    ("scores", "walked", "expected"),
    [
        ({"1": "1.8", "2": "2", "4": "1.7"}, ("2", "1.9"), []),
        ({"1": "2", "2": "1.8", "4": "1.7"}, ("2", "1.9"), ["at the smallest tried: better ones may lie beyond 1"]),
        ({"1": "1.7", "2": "1.8", "4": "2"}, ("2", "1.9"), ["at the largest tried: better ones may lie beyond 4"]),
        ({"1": "0.5", "2": "2", "4": "0.6"}, ("2", "1.9"), ["neighbours of the best disagree"]),
        ({"1": "3.9", "2": "4", "4": "-0.1"}, ("4", "3.9"), ["neighbours of the best disagree"]),
        ({"1": "1.8", "2": "2", "4": "1.7"}, ("2", "0.9"), ["do not count on it"]),
        ({"1": "1.8", "2": "2", "4": "1.7"}, ("2", "-1"), ["do not count on it"]),
        ({"1": "-3", "2": "-2", "4": "-2.5"}, ("-2", "-2"), ["no combination beat buying the targets once"]),
    ],
)
def test_what_speaks_against_the_best(scores: dict[str, str], walked: tuple[str, str], expected: Sequence[str]) -> None:
    ranked = sorted((tried(*one) for one in scores.items()), key=lambda one: one.in_sample_pct, reverse=True)
    warnings = list(warnings_about(ranked, [fold(*walked)], on_grid=True))
    assert len(warnings) == len(expected)
    assert all(words in warning for words, warning in zip(expected, warnings, strict=True))


def test_draws_near_the_end_of_their_range_are_at_its_edge() -> None:
    ranked = [tried(size, score) for size, score in (("1.1", "2"), ("5", "1.9"), ("10", "1.8"), ("1", "1.7"))]
    (warning,) = warnings_about(ranked, [fold("2", "1.9")], on_grid=False)
    assert "the best order_size_pct, 1.1, is at the smallest tried" in warning
