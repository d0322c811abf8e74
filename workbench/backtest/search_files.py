"""What a search leaves behind: its table, and its best combination as a strategy that every command takes."""

import csv
import json
from io import StringIO
from pathlib import Path

from botbalance.errors import InvalidRequestError
from pydantic_core import to_jsonable_python

from workbench.backtest.optimize import NAMES, ParameterSet, Search
from workbench.portfolios.demo import read_strategy

_SUFFIXES = {".csv", ".json"}


def require_writable(option: str, path: Path | None, suffixes: set[str] | None = None) -> None:
    """Raise InvalidRequestError for a file that cannot be written, rather now than after a long search."""
    if path is None:
        return
    if not path.absolute().parent.is_dir() or path.is_dir():
        raise InvalidRequestError("output_file", f"{option} is {path}, expected a file in a folder that exists")
    if suffixes is not None and path.suffix not in suffixes:
        raise InvalidRequestError("output_file", f"{option} is {path}, expected a name with {' or '.join(suffixes)}")


def require_table_file(path: Path | None) -> None:
    """As :func:`require_writable`, for ``--table``."""
    require_writable("--table", path, _SUFFIXES)


def write_table(found: Search, path: Path) -> None:
    """Every combination with its scores, the best in-sample first: whole as JSON, a row each as CSV."""
    if path.suffix == ".json":
        path.write_text(json.dumps(to_jsonable_python(found), indent=1), "utf-8")
    else:
        path.write_text(table_as_csv(found), "utf-8", newline="")


def table_as_csv(found: Search) -> str:
    """A row a combination. Fills, fees and the bonus (in quote) are the sums over all windows."""
    text = StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow([*NAMES, "in_sample_pct", "out_of_sample_pct", "fills", "fees_quote", "bonus_quote"])
    for one in found.tried:
        rows.writerow(
            [
                *("" if value is None else f"{value:f}" for value in one.combination.values()),
                f"{one.in_sample_pct:f}",
                f"{one.out_of_sample_pct:f}",
                sum(score.fills for score in one.scores),
                f"{sum(score.fees_quote for score in one.scores):f}",
                f"{sum(score.bonus_quote for score in one.scores):f}",
            ]
        )
    return text.getvalue()


def write_strategy(own: Path, combination: ParameterSet, path: Path) -> None:
    """The strategy in the file ``own``, with the values of ``combination`` in place of its own."""
    values = dict(zip(NAMES, combination.values(), strict=True))
    strategy = read_strategy(own).model_dump(exclude_unset=True) | values
    document = {name: value for name, value in strategy.items() if value is not None}
    path.write_text(json.dumps(to_jsonable_python(document), indent=2) + "\n", "utf-8")
