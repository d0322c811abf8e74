"""Files as sites and programs write them are read alike, or refused with what to do; nothing is guessed wrongly."""

import gzip
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workbench.candles.errors import CandleFileError
from workbench.candles.files import Conventions
from workbench.candles.recording import Recording, read_candles, read_recording, recorded_symbols
from workbench.candles.sample import write_sample

HOUR = 3_600_000
START = 1_735_430_400_000  # 2024-12-29
COUNT = 96

type Candle = tuple[int, str, str, str, str, str]


def random_walk() -> list[Candle]:
    source = Random(5)
    close, candles = 40_000.0, []
    for at in range(COUNT):
        open_, close = close, round(close * (1 + source.gauss(0, 0.004)), 2)
        high, low = max(open_, close) + source.randint(1, 90), min(open_, close) - source.randint(1, 90)
        numbers = (open_, high, low, close, round(source.uniform(0.1, 9), 4))
        candles.append((START + at * HOUR, *(str(number) for number in numbers)))
    return candles  # type: ignore[return-value]


CANDLES = random_walk()


def lines(make: Callable[[Candle], str], candles: list[Candle] = CANDLES) -> str:
    return "".join(make(candle) + "\n" for candle in candles)


def plain(separator: str = ",", time: Callable[[int], str] = str) -> Callable[[Candle], str]:
    return lambda candle: separator.join([time(candle[0]), *candle[1:]])


def iso(pattern: str) -> Callable[[int], str]:
    return lambda ms: f"{datetime.fromtimestamp(ms / 1000, UTC):{pattern}}"


def header(separator: str = ",") -> str:
    return separator.join(("timestamp", "open", "high", "low", "close", "volume")) + "\n"


def assert_read(recording: Recording, candles: list[Candle] = CANDLES) -> None:
    assert recording.times_ms.tolist() == [candle[0] for candle in candles]
    columns = (recording.open, recording.high, recording.low, recording.close)
    for number, column in enumerate(columns, start=1):
        assert [recording.price(units) for units in column] == [Decimal(str(candle[number])) for candle in candles]
    assert [recording.volume(at) for at in range(len(candles))] == [Decimal(candle[5]) for candle in candles]


TEXTS = {
    "semicolons": header(";") + lines(plain(";")),
    "tabs": header("\t") + lines(plain("\t")),
    "seconds": header() + lines(plain(time=lambda ms: str(ms // 1000))),
    "microseconds": lines(plain(time=lambda ms: str(ms * 1000))),
    "nanoseconds": lines(plain(time=lambda ms: str(ms * 1_000_000))),
    "float seconds": header() + lines(plain(time=lambda ms: f"{ms / 1000:.1f}")),
    "exponents": header() + lines(plain(time=lambda ms: f"{ms / 1000:.9e}")),
    "ISO dates with a space": header() + lines(plain(time=iso("%Y-%m-%d %H:%M:%S"))),
    "ISO dates with T and Z": header() + lines(plain(time=iso("%Y-%m-%dT%H:%M:%SZ"))),
    "ISO dates without seconds": header() + lines(plain(time=iso("%Y-%m-%d %H:%M"))),
    "ISO dates with an offset": header() + lines(plain(time=iso("%Y-%m-%d %H:%M:%S+00:00"))),
    "ISO dates with the word UTC": header() + lines(plain(time=iso("%Y-%m-%d %H:%M:%S UTC"))),
    "a byte-order mark": "\ufeff" + header() + lines(plain()),
    "quotes": header() + lines(lambda candle: ",".join(f'"{cell}"' for cell in candle)),
    "an unnamed index": ",open,high,low,close,volume\n" + lines(plain(time=iso("%Y-%m-%d %H:%M:%S"))),
    "Binance's names": "open_time,open,high,low,close,volume,close_time,quote_volume,count\n"
    + lines(lambda c: plain()(c) + ",1,2,3"),
    "Kraken's further column": lines(lambda c: plain(time=lambda ms: str(ms // 1000))(c) + ",12"),
    "columns in another order, named": "time,low,high,open,close,volume\n"
    + lines(lambda c: ",".join((str(c[0]), c[3], c[2], c[1], c[4], c[5]))),
    "CryptoDataDownload": "https://www.CryptoDataDownload.com\n"
    "Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USDT,tradecount\n"
    + lines(lambda c: f"{c[0]},2024,BTCUSDT,{','.join(c[1:])},99,7", CANDLES[::-1]),
    "Kaggle's Bitstamp": "Timestamp,Open,High,Low,Close,Volume_(BTC),Volume_(Currency),Weighted_Price\n"
    + lines(lambda c: plain(time=lambda ms: str(ms // 1000))(c) + ",9,9"),
    "yfinance": "Price,Close,High,Low,Open,Volume\nTicker,BTC-USD,BTC-USD,BTC-USD,BTC-USD,BTC-USD\nDate,,,,,\n"
    + lines(lambda c: ",".join((iso("%Y-%m-%d %H:%M:%S+00:00")(c[0]), c[4], c[2], c[3], c[1], c[5]))),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_texts_of_every_kind_are_read_alike(tmp_path: Path, kind: str) -> None:
    (tmp_path / "BTCUSDT.csv").write_text(TEXTS[kind], "utf-8")
    assert_read(read_recording(tmp_path, "BTCUSDT"))


@pytest.mark.parametrize(
    "name",
    [
        *("BTCUSDT.csv", "btcusdt.csv", "BTCUSDT-1h.csv", "BTC_USDT-1h.csv", "BTC-USDT.csv", "BTCUSDT-1h-2024-12.csv"),
        *("BTCUSDT_60.csv", "XBTUSDT_60.csv", "Binance_BTCUSDT_1h.csv", "Binance_BTCUSDT_2024_minute.csv"),
        *("BTCUSDT.tsv", "BTCUSDT.txt"),
    ],
)
def test_names_of_every_kind_name_the_pair(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(lines(plain()))
    assert recorded_symbols(tmp_path) == ["BTCUSDT"]
    assert_read(read_recording(tmp_path, "BTCUSDT"))


def test_zips_as_binance_publishes_them_are_read_across_the_change_to_microseconds(tmp_path: Path) -> None:
    for month, rows, text in (
        ("2024-12", CANDLES[:72], lines(plain(), CANDLES[:72])),
        ("2025-01", CANDLES[72:], header() + lines(plain(time=lambda ms: str(ms * 1000)), CANDLES[72:])),
    ):
        assert rows
        with zipfile.ZipFile(tmp_path / f"BTCUSDT-1h-{month}.zip", "w") as archive:
            archive.writestr(f"BTCUSDT-1h-{month}.csv", text)
    assert_read(read_recording(tmp_path, "BTCUSDT"))


def test_a_zip_of_several_files_is_to_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "BTCUSDT.zip", "w") as archive:
        archive.writestr("a.csv", "")
        archive.writestr("b.csv", "")
    with pytest.raises(CandleFileError, match=r"holds a\.csv, b\.csv, expected one file of candles: unpack it"):
        read_recording(tmp_path, "BTCUSDT")


def test_compressed_texts_of_another_kind_are_read(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT.csv.gz").write_bytes(gzip.compress(TEXTS["CryptoDataDownload"].encode()))
    assert_read(read_recording(tmp_path, "BTCUSDT"))


@pytest.mark.parametrize("index", ["date", "__index_level_0__", "timestamp"])
def test_a_data_frame_written_as_parquet_is_read_with_its_index_behind_the_prices(tmp_path: Path, index: str) -> None:
    """pandas writes the index as the last column; without a name of its own it is ``__index_level_0__``."""
    columns = zip(*[[float(number) for number in candle[1:]] for candle in CANDLES], strict=True)
    table = dict(zip(("open", "high", "low", "close", "volume"), map(pa.array, columns), strict=True))
    times = pa.array([candle[0] for candle in CANDLES], pa.int64()).cast(pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table(table | {index: times}), tmp_path / "BTCUSDT.parquet")
    assert_read(read_recording(tmp_path, "BTCUSDT"))


def test_candles_of_two_lengths_are_two_recordings(tmp_path: Path) -> None:
    days = [(*candle[:1], *candle[1:]) for candle in CANDLES[::24]]
    (tmp_path / "BTCUSDT-1h.csv").write_text(lines(plain()))
    (tmp_path / "BTCUSDT-1d.csv").write_text(lines(plain(), days))
    hourly = read_recording(tmp_path, "BTCUSDT")
    assert_read(hourly)
    assert hourly.findings.other_timeframes == ("1d",)
    assert_read(read_recording(tmp_path, "BTCUSDT", "1d"), days)
    with pytest.raises(CandleFileError, match="has no 5m candles of BTCUSDT, expected 1h or 1d"):
        read_recording(tmp_path, "BTCUSDT", "5m")


def test_binary_fractions_that_do_not_fit_are_rounded_and_counted(tmp_path: Path) -> None:
    """As Yahoo prints them: 457.33401489257812 in 2014, 108135.2890625 in 2024."""
    small, large = "457.3340148925781", "108135.2890625"
    text = "Date,Open,High,Low,Close,Adj Close,Volume\n" + "".join(
        f"2024-12-{day},{price},{price},{price},{price},{price},7\n" for day, price in ((17, small), (18, large))
    )
    (tmp_path / "BTC-USD.csv").write_text(text)
    recording = read_recording(tmp_path, "BTCUSD")
    assert [recording.price(units) for units in recording.close] == [Decimal("457.334014892578"), Decimal(large)]
    assert recording.findings.rounded == 1


def test_yahoos_null_is_no_candle(tmp_path: Path) -> None:
    (tmp_path / "BTC-USD.csv").write_text(
        "Date,Open,High,Low,Close,Adj Close,Volume\n2024-12-17,5,5,5,5,5,7\n2024-12-18,null,null,null,null,null,null\n"
        "2024-12-19,6,6,6,6,6,7\n"
    )
    recording = read_recording(tmp_path, "BTCUSD")
    assert (recording.close.tolist(), recording.findings.zero_rows) == ([5, 6], 1)


ORDERS = {
    "Coinbase": ("low", "high", "open", "close"),
    "KuCoin": ("open", "close", "high", "low"),
    "closes first": ("close", "open", "high", "low"),
    "opens and closes swapped": ("close", "high", "low", "open"),
    "lows before highs": ("open", "low", "high", "close"),
    "closes where highs are": ("open", "close", "low", "high"),
}


@pytest.mark.parametrize("site", ORDERS)
def test_another_order_without_names_is_refused_with_the_likely_one(tmp_path: Path, site: str) -> None:
    order = ORDERS[site]
    where = [("open", "high", "low", "close").index(name) + 1 for name in order]
    (tmp_path / "BTCUSDT.csv").write_text(lines(lambda c: ",".join([str(c[0]), *(str(c[at]) for at in where), c[5]])))
    names = ",".join(order)
    with pytest.raises(CandleFileError, match=rf"likely they are {names}: .*--columns timestamp,{names},volume"):
        read_recording(tmp_path, "BTCUSDT")
    read = read_candles(tmp_path / "BTCUSDT.csv", "BTCUSDT", Conventions(("timestamp", *order, "volume")))
    assert_read(read)


def test_a_recording_whose_closes_are_its_highs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT.csv").write_text(lines(lambda c: ",".join((str(c[0]), c[1], c[2], c[3], c[2], c[5]))))
    with pytest.raises(CandleFileError, match="cannot be open,high,low,close in that order"):
        read_recording(tmp_path, "BTCUSDT")


REFUSED = {
    "UTF-16": ((header() + lines(plain())).encode("utf-16"), "is UTF-16, expected UTF-8"),
    "day and month": (
        (header() + lines(plain(time=iso("%d/%m/%Y %H:%M")))).encode(),
        "timestamp is '29/12/2024 00:00', .*candles convert --dates",
    ),
    "decimal commas": (
        (header(";") + lines(lambda c: plain(";")(c).replace(".", ","))).encode(),
        "open is '40000,0', .*candles convert --decimal-comma",
    ),
    "thousands": (
        (header() + lines(lambda c: ",".join([str(c[0]), *(f'"{float(x):,}"' for x in c[1:])]))).encode(),
        "open is '40,000.0', .*candles convert",
    ),
    "no volume": (b"time,open,high,low,close,note\n1,1,1,1,1,1\n", "has no volume.*candles convert --columns"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused_with_what_to_do(tmp_path: Path, kind: str) -> None:
    content, problem = REFUSED[kind]
    (tmp_path / "BTCUSDT.csv").write_bytes(content)
    with pytest.raises(CandleFileError, match=rf"BTCUSDT\.csv.*{problem}"):
        read_recording(tmp_path, "BTCUSDT")


@pytest.mark.parametrize(
    ("kind", "conventions"),
    [
        ("day and month", Conventions(dates="%d/%m/%Y %H:%M")),
        ("decimal commas", Conventions(decimal_comma=True)),
        ("thousands", Conventions()),
    ],
)
def test_what_its_owner_says_about_a_file_lets_it_be_read(tmp_path: Path, kind: str, conventions: Conventions) -> None:
    (tmp_path / "theirs.csv").write_bytes(REFUSED[kind][0])
    assert_read(read_candles(tmp_path / "theirs.csv", "BTCUSDT", conventions))


def test_the_sample_is_the_same_every_time_and_without_a_flaw(tmp_path: Path) -> None:
    first, second = write_sample(tmp_path / "one"), write_sample(tmp_path / "two")
    for path, again in zip(first, second, strict=True):
        assert path.read_bytes() == again.read_bytes()
        recording = read_recording(tmp_path / "one", path.name.partition("-")[0])
        found = recording.findings
        assert (found.rows, found.gaps, found.duplicates, found.widened, found.doubts) == (90 * 24, 0, 0, 0, ())
