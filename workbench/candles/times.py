"""Times of candles, as whole epoch milliseconds, from whatever a column holds.

Numbers are seconds, milliseconds, microseconds or nanoseconds: between 2009 and 2100 these cannot be mistaken for each
other. Texts are dates and times in ISO 8601, in UTC unless they name a zone. Other dates are refused, because
``01/02/2024`` is two days.
"""

import pyarrow as pa
import pyarrow.compute as pc

YEAR_2009_MS, YEAR_2100_MS = 1_230_768_000_000, 4_102_444_800_000
_UNITS = {"seconds": (1_000, 1), "milliseconds": (1, 1), "microseconds": (1, 1_000), "nanoseconds": (1, 1_000_000)}
"""What a number is multiplied by, and then divided by, for milliseconds."""
_NUMBER = r"^\d+(\.\d*)?([eE]\+?\d+)?$"
_WHOLE = r"^\d{1,19}(\.0*)?$"
_ISO = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?( ?(Z|UTC|[+-]\d\d:?\d\d))?)?$"
_ZONE = r":\d[\d:.]* ?(Z|UTC|[+-]\d\d:?\d\d)$"
EXPECTED = "expected a time between 2009 and 2100: epoch seconds, milliseconds, microseconds, or ISO 8601"
_CONVERT = "; other dates: botbalance candles convert --dates"


class TimeError(ValueError):
    """A time that cannot be read, and the index of its row."""

    def __init__(self, row: int, problem: str) -> None:
        self.row = row
        super().__init__(problem)


def epoch_ms(column: pa.ChunkedArray) -> pa.Array:
    """The times of ``column`` (texts, numbers or Arrow's timestamps) as int64; raises TimeError for what is none."""
    kind = column.type
    values = column.combine_chunks()
    if pa.types.is_timestamp(kind):
        return _whole(values.cast(pa.timestamp("ns", kind.tz), safe=False).cast(pa.int64()), column, 1, 1_000_000)
    if pa.types.is_date(kind):
        return values.cast(pa.timestamp("ms")).cast(pa.int64())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _from_numbers(values.cast(pa.string()), column)
    texts = pc.ascii_trim_whitespace(values.cast(pa.string()))
    return _from_numbers(texts, column) if _matches(texts.slice(0, 1), _NUMBER) else _from_dates(texts)


def parse_dates(texts: pa.Array, pattern: str) -> pa.Array:
    """Dates written as ``pattern`` says (``%d/%m/%Y %H:%M``), in UTC, as epoch ms; raises TimeError."""
    parsed = pc.strptime(texts, format=pattern, unit="ms", error_is_null=True)
    if parsed.null_count:
        row = pc.index(parsed.is_null(), True).as_py()
        raise TimeError(row, f"timestamp is {texts[row].as_py()!r}, expected one like {pattern}")
    return parsed.cast(pa.int64())


def _from_numbers(texts: pa.Array, shown: pa.ChunkedArray) -> pa.Array:
    _require(texts, _NUMBER, "expected a number as in the first row")
    if _matches(texts, _WHOLE):
        numbers = pc.replace_substring_regex(texts, r"\..*$", "").cast(pa.int64())
        times, divisor = _unit(numbers, numbers[0].as_py())
        return _whole(numbers, shown, times, divisor)
    return _from_floats(texts)


def _from_floats(texts: pa.Array) -> pa.Array:
    """Fractions and exponents: a double holds such times to well under a millisecond."""
    floats = texts.cast(pa.float64())
    times, divisor = _unit(floats, floats[0].as_py())
    ms = pc.divide(pc.multiply(floats, times), divisor)
    rounded = pc.round(ms)
    off = pc.index(pc.less(pc.abs(pc.subtract(ms, rounded)), 0.01), False).as_py()
    if off >= 0:
        raise TimeError(off, f"timestamp is {texts[off].as_py()!r}, expected whole milliseconds")
    return rounded.cast(pa.int64())


def _unit(numbers: pa.Array, first: float) -> tuple[int, int]:
    """The unit of all numbers, as the first has it."""
    units = [unit for unit in _UNITS.values() if YEAR_2009_MS <= first * unit[0] / unit[1] < YEAR_2100_MS]
    if not units:
        raise TimeError(0, f"timestamp is {first}, {EXPECTED}{_CONVERT}")
    times, divisor = units[0]
    least, most = YEAR_2009_MS * divisor // times, YEAR_2100_MS * divisor // times
    row = pc.index(pc.and_(pc.greater_equal(numbers, least), pc.less(numbers, most)), False).as_py()
    if row >= 0:
        found = numbers[row].as_py()
        names = [name for name, (t, d) in _UNITS.items() if YEAR_2009_MS <= found * t / d < YEAR_2100_MS]
        would_be = f", which would be {names[0]}" if names else ""
        raise TimeError(row, f"timestamp is {found}{would_be}, unlike the first row's {first}; {EXPECTED}")
    return units[0]


def _whole(numbers: pa.Array, shown: pa.ChunkedArray, times: int, divisor: int) -> pa.Array:
    ms = pc.divide(pc.multiply(numbers, times), divisor)
    off = pc.index(pc.equal(pc.multiply(ms, divisor), pc.multiply(numbers, times)), False).as_py()
    if off >= 0:
        raise TimeError(off, f"timestamp is {shown[off]}, expected whole milliseconds")
    outside = pc.index(pc.and_(pc.greater_equal(ms, YEAR_2009_MS), pc.less(ms, YEAR_2100_MS)), False).as_py()
    if outside >= 0:
        raise TimeError(outside, f"timestamp is {shown[outside]}, {EXPECTED}")
    return ms


def _from_dates(texts: pa.Array) -> pa.Array:
    _require(texts, _ISO, f"{EXPECTED}{_CONVERT}")
    zoned = pc.match_substring_regex(texts, _ZONE)
    kinds = pc.unique(zoned)
    if len(kinds) > 1:
        row = pc.index(zoned, not zoned[0].as_py()).as_py()
        raise TimeError(row, f"timestamp is {texts[row].as_py()!r}, expected a zone in all rows or in none")
    try:
        if kinds[0].as_py():
            bare = pc.replace_substring_regex(texts, r" ?(Z|UTC)$", "+00:00")
            bare = pc.replace_substring_regex(bare, r" ?([+-]\d\d):?(\d\d)$", r"\1:\2")
            moments = bare.cast(pa.timestamp("ns", "UTC"))
        else:
            moments = texts.cast(pa.timestamp("ns"))
    except pa.ArrowInvalid as error:
        raise TimeError(0, f"timestamp cannot be read ({error}), {EXPECTED}") from None
    return _whole(moments.cast(pa.int64()), pa.chunked_array([texts]), 1, 1_000_000)


def _matches(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _require(texts: pa.Array, pattern: str, expected: str) -> None:
    wrong = pc.index(pc.match_substring_regex(texts, pattern), False).as_py()
    if wrong >= 0:
        raise TimeError(wrong, f"timestamp is {texts[wrong].as_py()!r}, {expected}")
