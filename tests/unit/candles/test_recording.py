"""What is read from files of candles is what was written, and whatever is wrong with them is found."""

import gzip
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal, localcontext
from itertools import accumulate
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.candles.columns import COLUMNS
from workbench.candles.errors import CandleFileError
from workbench.candles.recording import Findings, Recording, read_recording, recorded_symbols

START = 1_500_000_000_000
MINUTE = 60_000
HEADER = ",".join(COLUMNS) + "\n"

type Row = tuple[int, str, str, str, str, str]


def row(minute: int, price: str = "5", volume: str = "1") -> str:
    return f"{START + minute * MINUTE},{price},{price},{price},{price},{volume}\n"


def rows(*minutes: int) -> str:
    return "".join(map(row, minutes))


def read(folder: Path, **files: str) -> Recording:
    for name, text in files.items():
        (folder / f"{name.replace('_', '-')}.csv").write_text(text)
    return read_recording(folder, "BTCUSDT")


def candles(recording: Recording) -> list[tuple[int | Decimal, ...]]:
    prices = zip(recording.open, recording.high, recording.low, recording.close, strict=True)
    return [
        (int(time), *map(recording.price, of_time), recording.volume(at))
        for at, (time, of_time) in enumerate(zip(recording.times_ms, prices, strict=True))
    ]


def as_numbers(written: Sequence[Row]) -> list[tuple[int | Decimal, ...]]:
    return [(time, *map(Decimal, numbers)) for time, *numbers in written]


def write(path: Path, written: Sequence[Row], *, price_type: pa.DataType | None = None) -> None:
    """In the format that the name says; Parquet's prices as texts unless ``price_type`` says otherwise."""
    if path.suffix == ".parquet":
        columns = list(zip(*written, strict=True)) or [()] * len(COLUMNS)
        numbers = [pa.array(column).cast(price_type or pa.string()) for column in columns[1:]]
        pq.write_table(pa.table(dict(zip(COLUMNS, [pa.array(columns[0], pa.int64()), *numbers], strict=True))), path)
        return
    text = HEADER + "".join(",".join(map(str, of_time)) + "\n" for of_time in written)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for each of a property's examples."""
    with TemporaryDirectory() as name:
        yield Path(name)


@st.composite
def numbers(draw: st.DrawFn, least: int = 1, digits: int = 9) -> str:
    """A number of at most nine digits on either side of the point, written in one of many ways."""
    number = Decimal(draw(st.integers(least, 10**digits - 1))).scaleb(-draw(st.integers(0, 9)))
    spellings = [
        f"{number:f}",
        f"{number:e}",
        f"{number:E}",
        str(number),
        f" {number:f} ",
        f"+{number:f}",
        f"0{number:f}",
    ]
    if "." in spellings[0]:
        spellings.append(spellings[0] + "000")
    return draw(st.sampled_from(spellings))


@st.composite
def recordings(draw: st.DrawFn) -> list[Row]:
    """Candles of a minute in order, most of them side by side, that are right but for gaps."""
    gaps = draw(st.lists(st.integers(2, 9), max_size=5))
    steps = draw(st.permutations([*gaps, *[1] * (len(gaps) + draw(st.integers(1, 5)))]))
    minutes = draw(st.sampled_from([[0], [0, *accumulate(steps)]]))
    written: list[Row] = []
    for minute in minutes:
        low, *between, high = sorted(draw(st.lists(numbers(), min_size=4, max_size=4)), key=Decimal)
        open_, close = draw(st.permutations(between))
        written.append((START + minute * MINUTE, open_, high, low, close, draw(numbers(least=0))))
    return written


@settings(deadline=None)
@given(recordings(), st.sampled_from(["BTCUSDT.csv", "BTCUSDT-1m.csv.gz", "BTCUSDT-x.parquet"]))
def test_what_was_written_is_read_exactly(written: list[Row], name: str) -> None:
    with folder() as here:
        write(here / name, written)
        assert candles(read_recording(here, "BTCUSDT")) == as_numbers(written)


@settings(deadline=None)
@given(recordings(), st.data())
def test_rows_in_disorder_and_repeated_come_out_as_they_were(written: list[Row], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(written), max_size=10))
    mixed = [*written, *again]
    Random(data.draw(st.integers())).shuffle(mixed)
    cuts = sorted(data.draw(st.lists(st.integers(1, len(mixed)), max_size=2, unique=True)))
    names = data.draw(st.permutations(["BTCUSDT-{}.csv", "BTCUSDT-{}.csv.gz", "BTCUSDT-{}.parquet"]))
    with folder() as here:
        for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(mixed)], strict=True)):
            if start < end:
                write(here / names[number].format(number), mixed[start:end])
        recording = read_recording(here, "BTCUSDT")
    assert candles(recording) == as_numbers(written)
    found = recording.findings
    assert (found.rows, found.duplicates) == (len(mixed), len(again))
    times = [time for time, *_ in mixed]
    assert found.unsorted == sum(time < max(times[: at + 1]) for at, time in enumerate(times))
    assert (found.first_ms, found.last_ms) == (written[0][0], written[-1][0])


@settings(deadline=None)
@given(st.lists(st.floats(1e-7, 1e9), min_size=1, max_size=20))
def test_a_float_is_the_shortest_text_that_is_that_float(prices: list[float]) -> None:
    exact = [Decimal(repr(price)) for price in prices]
    finest = max(-int(price.as_tuple().exponent) for price in exact)
    written: list[Any] = [(START + at * MINUTE, *[price] * 4, 0.5) for at, price in enumerate(prices)]
    with folder() as here:
        write(here / "BTCUSDT.parquet", written, price_type=pa.float64())
        if finest > 18 or max(exact).scaleb(max(0, finest)) >= 10**18:
            with suppress(CandleFileError):  # or so near that only the printing of a binary fraction is lost
                recording = read_recording(here, "BTCUSDT")
                assert recording.findings.rounded > 0
                for units, price in zip(recording.close, exact, strict=True):
                    assert abs(recording.price(units) - price) <= Decimal(1).scaleb(-recording.decimals)
        else:
            recording = read_recording(here, "BTCUSDT")
            assert [recording.price(units) for units in recording.close] == exact


@settings(deadline=None)
@given(st.integers(1, 10**45 - 1), st.integers(0, 18), st.booleans())
@example(digits=100_000_000_000_001, decimals=18, scientific=False)  # 18 decimals, and no digit before the point
def test_a_price_is_exact_or_refused_however_many_digits_it_has(digits: int, decimals: int, scientific: bool) -> None:
    with localcontext(prec=60):
        price = Decimal(digits).scaleb(-decimals)
        finest = max(0, -int(price.normalize().as_tuple().exponent))
        too_many = price.scaleb(finest) >= 10**18
    with folder() as here:
        (here / "BTCUSDT.csv").write_text(row(0, f"{price:e}" if scientific else f"{price:f}"))
        if too_many:
            with pytest.raises(CandleFileError, match=r"line 1: .* expected all prices within 18 digits"):
                read_recording(here, "BTCUSDT")
        else:
            recording = read_recording(here, "BTCUSDT")
            assert recording.price(recording.open[0]) == price


@pytest.mark.parametrize(
    ("text", "price", "decimals"),
    [
        ("1e-05", "0.00001", 5),
        ("0.10", "0.1", 1),
        (" 5 ", "5", 0),
        ("1E3", "1000", 0),
        (".5", "0.5", 1),
        ("5.", "5", 0),
    ],
)
def test_numbers_in_any_spelling_are_exact(tmp_path: Path, text: str, price: str, decimals: int) -> None:
    recording = read(tmp_path, BTCUSDT=row(0, text))
    assert recording.price(recording.open[0]) == Decimal(price)
    assert recording.decimals == decimals


def test_prices_of_all_files_are_in_the_finest_ones_units(tmp_path: Path) -> None:
    recording = read(tmp_path, BTCUSDT_1=row(0, "5"), BTCUSDT_2=row(1, "5.25"))
    assert (recording.decimals, recording.close.tolist()) == (2, [500, 525])


def test_zero_may_be_written_with_many_decimals(tmp_path: Path) -> None:
    recording = read(tmp_path, BTCUSDT=row(0, "0E-28") + row(1, "0.1"))
    assert (recording.decimals, recording.findings.zero_rows) == (1, 1)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_timestamps_of_arrow_become_epoch_ms(tmp_path: Path, unit: str, zone: str | None) -> None:
    times = pa.array([START, START + MINUTE]).cast(pa.timestamp("ms", zone)).cast(pa.timestamp(unit, zone))
    price = pa.array([Decimal("1.50"), Decimal("2.25")], pa.decimal128(38, 18))
    table = pa.table(dict(zip(COLUMNS, [times, *[price] * 4, pa.array([1, 2])], strict=True)))
    pq.write_table(table, tmp_path / "BTCUSDT.parquet")
    recording = read_recording(tmp_path, "BTCUSDT")
    assert recording.times_ms.tolist() == [START, START + MINUTE]
    assert (recording.decimals, recording.close.tolist()) == (2, [150, 225])


def test_everything_that_is_wrong_is_counted(tmp_path: Path) -> None:
    """Minutes 0 and 1 have no price yet, 5 has none in the middle, 8 to 10 are missing, 3 comes twice and late."""
    zero = "0,0,0,0,0\n"
    text = (
        f"{START},{zero}{START + MINUTE},{zero}"
        + rows(2, 4, 3, 3)
        + f"{START + 5 * MINUTE},{zero}"
        + f"{START + 6 * MINUTE},9,8,7,6,1\n"
        + rows(7, 11)
    )
    recording = read(tmp_path, BTCUSDT=text)
    assert recording.findings == Findings(
        rows=10,
        first_ms=START,
        last_ms=START + 11 * MINUTE,
        gaps=2,
        missing=4,
        longest_gap=3,
        zero_rows=3,
        leading_zero_rows=2,
        duplicates=1,
        unsorted=2,
        widened=1,
    )
    assert [(time - START) // MINUTE for time in recording.times_ms.tolist()] == [2, 3, 4, 6, 7, 11]
    assert (recording.high[3], recording.low[3]) == (9, 6)
    assert recording.candle_ms == MINUTE


def test_a_recording_without_a_flaw_has_no_findings(tmp_path: Path) -> None:
    found = read(tmp_path, BTCUSDT=HEADER + rows(0, 1, 2)).findings
    assert found == Findings(3, START, START + 2 * MINUTE, 0, 0, 0, 0, 0, 0, 0, 0)


def test_one_candle_is_taken_for_a_minutes(tmp_path: Path) -> None:
    assert read(tmp_path, BTCUSDT=row(0)).candle_ms == MINUTE


def test_a_row_repeated_in_another_spelling_is_the_same(tmp_path: Path) -> None:
    recording = read(tmp_path, BTCUSDT=row(0, "5.10", "1.0") + row(0, "5.1", "1"))
    assert (len(recording.times_ms), recording.findings.duplicates) == (1, 1)


def test_a_header_further_columns_and_blank_lines_do_no_harm(tmp_path: Path) -> None:
    text = f"\ufeffDate, Open ,high,low,close,Volume,trades\n\n{START},1,2,1,1,7,x\r\n"
    assert candles(read(tmp_path, BTCUSDT=text)) == as_numbers([(START, "1", "2", "1", "1", "7")])


def test_symbols_are_those_of_all_formats(tmp_path: Path) -> None:
    for name in ("A.csv", "B-1h.csv.gz", "B-2h.csv.gz", "C-x.parquet", "README.md", "D.csv.bak"):
        (tmp_path / name).touch()
    assert recorded_symbols(tmp_path) == ["A", "B", "C"]


def test_folders_without_candles_are_named(tmp_path: Path) -> None:
    with pytest.raises(CandleFileError, match=r"has no candle files, expected SYMBOL\.csv"):
        recorded_symbols(tmp_path)
    with pytest.raises(CandleFileError, match=r"has no file for BTCUSDT, expected BTCUSDT\.csv"):
        read_recording(tmp_path, "BTCUSDT")


SECOND_LINE = [
    (row(1, "x"), "open is 'x', expected a number >= 0"),
    (row(1, ""), "open is '', expected a number >= 0"),
    (row(1, "-1"), "open is '-1', expected a number >= 0"),
    (row(1, "nan"), "open is 'nan', expected a number >= 0"),
    (row(1, "inf"), "open is 'inf', expected a number >= 0"),
    (row(1, "1_0"), "open is '1_0', expected a number >= 0"),
    (row(1, "1e-5x"), "open is '1e-5x', expected a number >= 0"),
    (row(1, "1e-19"), "open is 1e-19, expected all prices within 18 digits"),
    (row(1, "1234567890123456789"), "open is 1234567890123456789, expected all prices within 18 digits"),
    (row(1, "5", "x"), "volume is 'x', expected a number >= 0"),
    (row(1, "5", ""), "volume is '', expected a number >= 0"),
    (row(1, "5", "-1"), "volume is '-1', expected a number >= 0"),
    (row(1, "5", "nan"), "volume is 'nan', expected a number >= 0"),
    (row(1, "5", "inf"), "volume is 'inf', expected a number >= 0"),
    (f"{START + MINUTE},1,2,1,0,1\n", r"a price is 0 in \['1', '2', '1', '0', '1'\], expected prices > 0"),
    (f"{START + MINUTE},1,1,2,1,1\n", "low is 2 and high is 1, expected low <= high"),
    (row(0, "6"), f"timestamp is {START}, which has 5, 5, 5, 5, 1 and 6, 6, 6, 6, 1, expected one candle"),
    (row(0, "5", "2"), f"timestamp is {START}, which has .*, expected one candle of a time"),
    ("1500000060,5,5,5,5,1\n", "timestamp is 1500000060, which would be seconds, unlike the first row's 1500000000000"),
    ("1500000060000000,5,5,5,5,1\n", "1500000060000000, which would be microseconds, unlike the first row's"),
    ("1500000060000000000,5,5,5,5,1\n", "1500000060000000000, which would be nanoseconds, unlike the first row's"),
    ("0,5,5,5,5,1\n", "timestamp is 0, unlike the first row's 1500000000000; expected a time between 2009 and 2100"),
    ("1500000060000.5,5,5,5,5,1\n", r"timestamp is '1500000060000\.5', expected whole milliseconds"),
    ("2017-07-14,5,5,5,5,1\n", "timestamp is '2017-07-14', expected a number as in the first row"),
    (f"{START + MINUTE},5,5\n", r"3 columns \('1500000060000,5,5'\), expected 6 as in the first line"),
]


@pytest.mark.parametrize(("line", "problem"), SECOND_LINE)
@pytest.mark.parametrize(("before", "number"), [("", 2), (HEADER, 3)])
@pytest.mark.parametrize("name", ["BTCUSDT.csv", "BTCUSDT.csv.gz"])
def test_a_wrong_line_is_named(tmp_path: Path, name: str, before: str, number: int, line: str, problem: str) -> None:
    text = (before + row(0) + line + rows(2, 3)).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    with pytest.raises(CandleFileError, match=rf"{name}, line {number}: .*{problem}") as raised:
        read_recording(tmp_path, "BTCUSDT")
    assert (raised.value.path, raised.value.line) == (tmp_path / name, number)


def test_the_line_is_the_files_own_among_several_and_in_disorder(tmp_path: Path) -> None:
    with pytest.raises(CandleFileError, match=r"BTCUSDT-2.csv, line 4: low is 2 and high is 1"):
        read(tmp_path, BTCUSDT_1=HEADER + rows(5, 6), BTCUSDT_2=f"{HEADER}{row(7)}\n{START},1,1,2,1,1\n{row(2)}")


def test_a_candle_between_two_is_moved_to_the_one_it_began_in_and_counted(tmp_path: Path) -> None:
    between = "".join(
        f"{START + minute * MINUTE + 14_000},{minute},{minute},{minute},{minute},1\n" for minute in (5, 6)
    )
    recording = read(tmp_path, BTCUSDT=rows(*range(5)) + between + rows(*range(7, 20)))
    assert recording.times_ms.tolist() == [START + minute * MINUTE for minute in range(20)]
    assert recording.close[5:7].tolist() == [5, 6]
    assert (recording.findings.off_grid, recording.findings.gaps) == (2, 0)


def test_of_two_rows_in_one_candle_the_one_off_the_grid_is_left_out(tmp_path: Path) -> None:
    between = f"{START + 90_000},7,7,7,7,1\n"
    recording = read(tmp_path, BTCUSDT=rows(0, 1) + between + rows(2, 3, 4, 5))
    assert recording.close.tolist() == [5] * 6
    assert recording.findings.off_grid == 1


def test_rows_without_a_grid_are_refused(tmp_path: Path) -> None:
    off = "".join(f"{START + second * 1_000},5,5,5,5,1\n" for second in (307, 411, 523))
    with pytest.raises(CandleFileError, match=r"expected multiples of 60000 ms: two lengths of candles need names"):
        read(tmp_path, BTCUSDT=rows(0, 1, 2, 3, 4) + off)


def test_prices_that_fit_into_18_digits_only_one_by_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CandleFileError, match=r"BTCUSDT-1.csv: has prices up to 12345678.*another file some of 12 dec"):
        read(tmp_path, BTCUSDT_1=row(0, "12345678"), BTCUSDT_2=row(1, "0.000000000001"))


def test_the_first_price_with_too_many_decimals_for_the_others_is_named(tmp_path: Path) -> None:
    with pytest.raises(CandleFileError, match=r"line 1: open is 1234567, expected all prices within 18 digits"):
        read(tmp_path, BTCUSDT=row(0, "1234567") + row(1, "0.000000000001"))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("BTCUSDT.csv", b"", "cannot be read .*Empty"),
        ("BTCUSDT.csv", b"\n\n", "cannot be read"),
        ("BTCUSDT.csv", HEADER.encode(), "has no rows, expected timestamp,open"),
        ("BTCUSDT.csv", b"date,price\n", "line 1: fewer than 6 columns, expected timestamp, open, high"),
        (
            "BTCUSDT.csv",
            b"time,close,open,high,low,amount\n",
            "line 1: the header is time,close.*no volume.*candles convert --columns",
        ),
        ("BTCUSDT.csv", row(0, "0").encode(), "has no candle of BTCUSDT with a price"),
        ("BTCUSDT.csv", b"\xff\xfe,1,1,1,1,1\n", "is UTF-16, expected UTF-8"),
        ("BTCUSDT.csv.gz", b"", "cannot be read"),
        ("BTCUSDT.csv.gz", row(0).encode(), "cannot be read"),
        ("BTCUSDT.csv.gz", gzip.compress(row(0).encode() * 50, mtime=0)[:-8], "cannot be read .*end"),
        ("BTCUSDT.parquet", b"", "cannot be read .*expected Parquet"),
        ("BTCUSDT.parquet", row(0).encode(), "cannot be read .*expected Parquet"),
    ],
)
def test_files_that_hold_no_candles_are_refused(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CandleFileError, match=rf"{name}.*{problem}"):
        read_recording(tmp_path, "BTCUSDT")


def ints(*numbers: int | None) -> pa.Array:
    return pa.array(numbers, pa.int64())


GOOD: dict[str, Callable[[], pa.Array]] = dict.fromkeys(COLUMNS, lambda: ints(5, 5)) | {
    "timestamp": lambda: ints(START, START + MINUTE)
}


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"open": pa.array([1.0, float("nan")])}, "row 2: open is 'nan', expected a number >= 0"),
        ({"volume": pa.array([1.0, float("inf")])}, "row 2: volume is 'inf', expected a number >= 0"),
        ({"low": ints(5, None)}, "row 2: low is missing, expected a number"),
        ({"timestamp": ints(START, None)}, "row 2: timestamp is missing, expected a number"),
        ({"timestamp": ints(START, START // 1000)}, "row 2: timestamp is 1500000000, which would be seconds"),
        ({"timestamp": pa.array([1.5, 2.5])}, "row 1: timestamp is 1.5, expected a time between 2009 and 2100"),
        ({"timestamp": pa.array([True, False])}, "row 1: timestamp is 'true', expected a time"),
        ({"timestamp": ints(START * 1000, START * 1000 + 1).cast(pa.timestamp("us"))}, "row 2: .*expected whole milli"),
        ({"close": pa.array([True, False])}, "close is of type bool, expected numbers"),
    ],
)
def test_a_wrong_row_of_parquet_is_named(tmp_path: Path, wrong: dict[str, pa.Array], problem: str) -> None:
    columns = {name: wrong[name] if name in wrong else column() for name, column in GOOD.items()}
    pq.write_table(pa.table(columns), tmp_path / "BTCUSDT.parquet")
    with pytest.raises(CandleFileError, match=rf"BTCUSDT\.parquet: {problem}"):
        read_recording(tmp_path, "BTCUSDT")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (COLUMNS[:5], "5 columns, expected 6: timestamp, open"),
        (["a", *COLUMNS[2:], "b"], "the header is a,high,low,close,volume,b, which has no timestamp and no open"),
    ],
)
def test_parquet_with_other_columns_is_refused(tmp_path: Path, names: Sequence[str], problem: str) -> None:
    pq.write_table(pa.table({name: ints(5, 5) for name in names}), tmp_path / "BTCUSDT.parquet")
    with pytest.raises(CandleFileError, match=problem):
        read_recording(tmp_path, "BTCUSDT")
