"""The file that the dashboard opens: everything that was found, in a form that a browser reads."""

import json
import math
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.unit.backtest.samples import sample_result
from workbench.backtest.backtest import as_document
from workbench.backtest.result import BacktestResult
from workbench.backtest.result_file import write_result


def written(result: BacktestResult, folder: Path) -> dict[str, Any]:
    path = folder / "result.json"
    write_result(result, path)
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


def test_it_has_what_json_has_and_the_pictures(tmp_path: Path) -> None:
    result = sample_result(points=50, fills=20)
    document = written(result, tmp_path)
    series = document.pop("series")
    assert (document.pop("kind"), document.pop("version")) == ("botbalance-backtest", 1)
    assert document == json.loads(json.dumps(as_document(result)))
    assert series["times_ms"] == result.series.times_ms
    assert len(series["nav"]) == 50
    assert {*series["weights_pct"]} == {*result.series.weights_pct}


def test_no_amount_has_an_exponent() -> None:
    found = replace(sample_result(points=4, fills=2), fees_quote=Decimal("0E-9"), hold_quote=Decimal("1.5E+3"))
    document = as_document(found)
    assert (document["fees_quote"], document["hold_quote"]) == ("0.000000000", "1500")


def test_its_numbers_are_plain_decimals_and_gaps_are_null(tmp_path: Path) -> None:
    result = sample_result(points=4, fills=2)
    nav = [12345.678901234, 0.0, -1.5e-7, math.nan]
    document = written(replace(result, series=replace(result.series, nav=nav)), tmp_path)
    assert document["series"]["nav"] == ["12345.6789", "0", "-0.00000015", None]
