"""The page of a backtest: everything is there, in words too, and nothing comes from elsewhere."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from tests.unit.backtest.samples import negative_result, quiet_result, sample_result, short_result, wide_result
from workbench.backtest.charts import (
    Event,
    Scale,
    Span,
    line_path,
    merged_marks,
    sampled,
    spread,
    thinned,
    time_ticks,
    value_scale,
    value_ticks,
)
from workbench.backtest.report import money, render_report, signed, signed_percent
from workbench.backtest.result import BacktestResult

VOID = {"meta", "link", "br", "img", "input", "hr"}
HOSTILE = "\"><script>alert(1)</script><b a='&{{ 7 * 7 }}"
RESULTS = [sample_result, negative_result, quiet_result, short_result, wide_result]


class Element:
    def __init__(self, tag: str, attributes: dict[str, str], parent: "Element | None") -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.children: list[Element] = []
        self.texts: list[str] = []

    def __iter__(self) -> Iterator["Element"]:
        yield self
        for child in self.children:
            yield from child

    def all(self, *tags: str) -> list["Element"]:
        return [element for element in self if element.tag in tags]

    def having(self, name: str) -> list["Element"]:
        return [element for element in self if name in element.attributes]

    @property
    def text(self) -> str:
        return spaced("".join(self.texts))


class Page(HTMLParser):
    """A tree of a page; an element that is not closed, or closed twice, is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = self.at = Element("", {}, None)
        self.ids: dict[str, Element] = {}
        self.feed(html)
        assert self.at is self.root, f"<{self.at.tag}> is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self.at)
        self.at.children.append(element)
        if (name := element.attributes.get("id")) is not None:
            assert name not in self.ids, f"two are called {name}"
            self.ids[name] = element
        if tag not in VOID:
            self.at = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.at.tag == tag, f"</{tag}> closes <{self.at.tag}>"
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        element: Element | None = self.at
        while element is not None:
            element.texts.append(data)
            element = element.parent

    def by_id(self, name: str) -> Element:
        return self.ids[name]

    def table(self, caption_id: str) -> list[list[str]]:
        """The cells of the body of a table."""
        parent = self.by_id(caption_id).parent
        assert parent is not None
        (body,) = parent.all("tbody")
        return [[cell.text for cell in row.all("th", "td")] for row in body.all("tr")]


@pytest.fixture(scope="module")
def sample() -> BacktestResult:
    return rendered(sample_result)[0]


@pytest.fixture(scope="module")
def html() -> str:
    return rendered(sample_result)[1]


@pytest.fixture(scope="module")
def page() -> Page:
    return rendered(sample_result)[2]


def spaced(text: str) -> str:
    return " ".join(text.split())


@cache
def rendered(make: Callable[[], BacktestResult]) -> tuple[BacktestResult, str, Page]:
    result = make()
    html = render_report(result)
    return result, html, Page(html)


def test_it_begins_as_a_page_of_its_language(html: str, page: Page) -> None:
    assert html.startswith("<!doctype html>")
    assert page.root.all("html")[0].attributes["lang"] == "en"


def test_nothing_comes_from_elsewhere(html: str, page: Page) -> None:
    (policy,) = [e for e in page.root.all("meta") if e.attributes.get("http-equiv") == "Content-Security-Policy"]
    assert policy.attributes["content"] == "default-src 'none'; style-src 'unsafe-inline'"
    for name in ("href", "src", "srcset", "action", "data", "poster", "xlink:href"):
        for element in page.root.having(name):
            assert element.attributes[name].startswith("#"), element.attributes
    assert not page.root.all("script", "link", "iframe", "img", "object", "embed", "base")
    assert not re.search(r"@import|url\s*\(|https?:|//[a-z]", html)


def test_links_within_the_page_lead_somewhere(page: Page) -> None:
    wanted = {e.attributes["href"][1:] for e in page.root.having("href")}
    wanted |= {i for e in page.root.having("aria-labelledby") for i in e.attributes["aria-labelledby"].split()}
    wanted |= {i for e in page.root.having("aria-describedby") for i in e.attributes["aria-describedby"].split()}
    assert wanted <= page.ids.keys()


@pytest.mark.parametrize("make", RESULTS)
def test_every_picture_says_in_words_what_it_shows(make: Callable[[], BacktestResult]) -> None:
    result, _, page = rendered(make)
    figures = page.root.all("figure")
    assert len(figures) == 2 + len(result.series.weights_pct) + len(result.series.prices)
    for figure in figures:
        (picture,) = [e for e in figure.all("svg") if e.attributes.get("role") == "img"]
        (title,), (description,) = picture.all("title"), picture.all("desc")
        assert picture.attributes["aria-labelledby"] == title.attributes["id"]
        assert picture.attributes["aria-describedby"] == description.attributes["id"]
        assert title.text
        assert re.search(r"from \S+.* to .*; lowest .*, highest .*\d{4}-\d\d-\d\d.* UTC", description.text)
        (details,) = figure.all("details")
        assert title.text in details.all("summary")[0].text
        assert 2 <= len(details.all("tbody")[0].all("tr")) <= 100


def test_a_picture_says_the_ends_and_the_extremes() -> None:
    result = short_result()
    start, end = result.series.nav[0], result.series.nav[-1]
    words = Page(render_report(result)).by_id("nav-d").text
    assert f"Rebalanced: from {start:,.2f} USDT on 2017-08-17 UTC to {end:,.2f} USDT on 2017-08-20 UTC" in words
    assert f"lowest {min(start, end):,.2f}" in words
    assert f"highest {max(start, end):,.2f}" in words


@pytest.mark.parametrize("make", RESULTS)
def test_pictures_are_well_formed_and_finite(make: Callable[[], BacktestResult]) -> None:
    _, html, _ = rendered(make)
    pictures = re.findall(
        r'<svg class="chart.*?</svg>\n</svg>\n</svg>|<svg class="chart.*?</svg>\s*<details>', html, re.S
    )
    assert len(pictures) == html.count('role="img"')
    for picture in pictures:
        tree = ElementTree.fromstring(picture.removesuffix("<details>").strip())
        for path in tree.iter("path"):
            assert re.fullmatch(r"(M-?[\d.]+,-?[\d.]+(h0)?|L-?[\d.]+,-?[\d.]+|Z)+", path.attrib["d"]), path.attrib["d"][
                :99
            ]
    assert not re.search(r"\b(nan|inf|None|Undefined)\b", html)


@pytest.mark.parametrize("make", RESULTS)
def test_every_table_has_a_caption_and_scopes(make: Callable[[], BacktestResult]) -> None:
    for table in rendered(make)[2].root.all("table"):
        assert table.all("caption")[0].text
        assert table.all("th")
        assert all(header.attributes["scope"] in {"col", "row"} for header in table.all("th"))
        container = table.parent
        assert container is not None
        assert container.attributes["tabindex"] == "0"
        assert container.attributes["role"] == "region"
        assert container.attributes["aria-labelledby"] == table.all("caption")[0].attributes["id"]


@pytest.mark.parametrize("make", RESULTS)
def test_headings_are_in_order_and_landmarks_are_there(make: Callable[[], BacktestResult]) -> None:
    _, _, page = rendered(make)
    levels = [int(heading.tag[1]) for heading in page.root.all("h1", "h2", "h3", "h4")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    parts = [heading.tag for section in page.root.all("section") for heading in section.all("h1", "h2", "h3", "h4")[:1]]
    assert parts == ["h2"] * 10
    for landmark in ("header", "nav", "main", "footer"):
        assert len(page.root.all(landmark)) == 1
    first_link = page.root.all("a")[0]
    assert first_link.text.startswith("Skip")


def test_the_verdict_and_the_exact_bonus_are_there(sample: BacktestResult, page: Page) -> None:
    assert sample.verdict in page.root.all("header")[0].text
    result = page.by_id("result").text
    assert "+1,843.27 USDT" in result
    assert "ahead of holding" in result
    assert "exactly 1,843.27051906" in result
    assert spaced(signed_percent(sample.return_pct)) in result


def test_what_was_worse_than_holding_is_said_with_a_sign_and_in_words() -> None:
    _, _, page = rendered(negative_result)
    assert "Holding was better" in page.root.all("header")[0].text
    result = page.by_id("result").text
    assert "−912.40 USDT" in result
    assert "behind holding" in result
    assert "ahead" not in result
    assert "−912.40" in page.root.all("title")[0].text
    assert "rebalancing was behind buying once" in page.by_id("why").text
    assert "Behind" in [text.text for text in page.by_id("time").all("text")]


def test_all_yardsticks_are_beside_the_result(sample: BacktestResult, page: Page) -> None:
    assert [row[1:3] for row in page.table("worth-c")] == [
        [money(nav), spaced(signed_percent(earned))]
        for nav, earned in (
            (sample.nav_end, sample.return_pct),
            (sample.hold.nav_end, sample.hold.return_pct),
            (sample.buy_once.nav_end, sample.buy_once.return_pct),
            (sample.largest.nav_end, sample.largest.return_pct),
        )
    ]


def test_all_months_are_there(sample: BacktestResult, page: Page) -> None:
    rows = page.table("months-c")
    assert [row[0] for row in rows] == [month.month for month in sample.months]
    assert [row[5] for row in rows] == [signed(month.bonus_quote) for month in sample.months]
    assert [row[6] for row in rows] == [f"{month.fills:,}" for month in sample.months]


def test_all_assets_are_there() -> None:
    result, _, page = rendered(wide_result)
    assert [row[0] for row in page.table("assets-c")] == list(result.target_allocations)
    assert [heading.text for heading in page.by_id("shares").all("h3")] == list(result.series.weights_pct)
    assert [heading.text for heading in page.by_id("fills").all("h3")] == [f"COIN{i}" for i in range(50)]
    assert [row[0] for row in page.table("rules-c")] == list(result.market_rules)


@pytest.mark.parametrize("make", RESULTS)
def test_all_fills_are_there(make: Callable[[], BacktestResult]) -> None:
    result, _, page = rendered(make)
    counted: dict[str, int] = {"buy": 0, "sell": 0}
    for i in range(len(result.series.prices)):
        for _, _, buys, sells in page.table(f"price-{i}-c"):
            counted["buy"] += int(buys.replace(",", ""))
            counted["sell"] += int(sells.replace(",", ""))
    for side, count in counted.items():
        assert count == sum(fill.side == side for fill in result.fills)
        marks = [e for e in page.by_id("fills").all("use") if e.attributes["href"].startswith(f"#{side}")]
        assert bool(count) == (len(marks) > 1)  # one explains the mark


def test_fills_drawn_apart_are_where_and_when_they_were() -> None:
    result = short_result()
    fill = result.fills[0]
    page = Page(render_report(replace(result, fills=[fill])))
    (mark,) = [e for e in page.by_id("fills").all("use") if e.attributes["href"] == f"#{fill.side}1"]
    share = (fill.filled_at_ms - result.start_ms) / (result.end_ms - result.start_ms)
    assert mark.attributes["x"] == f"{round(100 * share, 1)}%"


def test_orders_and_why_they_were_cancelled(page: Page) -> None:
    rows = page.table("orders-c")
    assert rows[0] == ["Placed", "2,412"]
    assert ["Cancelled: the market had moved away from it", "371"] in rows
    assert rows[-1] == ["Still resting at the end", "1"]
    assert "23 min" in page.by_id("trading").text
    assert "2 d 5 h" in page.by_id("trading").text


def test_a_reason_that_the_report_does_not_know_is_shown_as_it_is(sample: BacktestResult) -> None:
    orders = replace(sample.orders, canceled={"end_of_the_world": 1})
    assert ["Cancelled: end_of_the_world", "1"] in Page(render_report(replace(sample, orders=orders))).table("orders-c")


def test_what_is_wrong_with_the_data_is_said_at_the_top(page: Page) -> None:
    (warning,) = [e for e in page.root.having("role") if e.attributes["role"] == "note"]
    assert "1 of 4 recordings has findings" in warning.text
    said = page.by_id("data").text
    assert "ETHUSDT: 512 candles missing in 7 gaps (longest: 300)" in said
    assert "41 rows without a price (11 before the first one)" in said
    assert "1 row with an open or close outside" in said


def test_whole_data_is_not_warned_about(sample: BacktestResult) -> None:
    whole = dict.fromkeys(sample.data, sample.data["BTCUSDT"])
    page = Page(render_report(replace(sample, data=whole)))
    assert not [e for e in page.root.having("role") if e.attributes["role"] == "note"]
    assert "Nothing is wrong with the recordings" in page.by_id("data").text


def test_settings_and_where_the_rules_came_from(sample: BacktestResult, page: Page) -> None:
    said = page.by_id("settings").text
    assert sample.rules_source in said
    assert "two steps" in said
    assert page.table("strategy-c")[2][1] == "120 USDT"


def test_assumptions_are_said_in_words(page: Page) -> None:
    said = page.by_id("assumptions").text
    for words in (
        "trades through it",
        "only equal",
        "where a candle closes",
        "maker's fee",
        "no impact",
        "The past says",
    ):
        assert words in said


def test_nothing_filled() -> None:
    _, _, quiet = rendered(quiet_result)
    assert "No order was filled." in quiet.by_id("trading").text
    assert "the same as holding" in quiet.by_id("result").text
    assert "NAV never fell" in quiet.by_id("result").text


def test_names_are_text_wherever_they_are(sample: BacktestResult) -> None:
    symbol = f"{HOSTILE}USDT"

    def renamed[T](mapping: dict[str, T]) -> dict[str, T]:
        return {{"BTC": HOSTILE, "BTCUSDT": symbol}.get(name, name): value for name, value in mapping.items()}

    rules = renamed(dict(sample.market_rules))
    rules[symbol] = replace(rules[symbol], symbol=symbol, base=HOSTILE)
    hostile = replace(
        sample,
        quote_asset=HOSTILE,
        verdict=HOSTILE,
        rules_source=HOSTILE,
        engine_version=HOSTILE,
        target_allocations=renamed(dict(sample.target_allocations)),
        market_rules=rules,
        data=renamed(dict(sample.data)),
        bonus_by_asset=renamed(dict(sample.bonus_by_asset)),
        start_balances=renamed(dict(sample.start_balances)),
        end_balances=renamed(dict(sample.end_balances)),
        orders=replace(sample.orders, canceled={HOSTILE: 3}),
        fills=[replace(fill, base=HOSTILE, symbol=symbol) for fill in sample.fills[:3]],
        months=[replace(month, month=HOSTILE) for month in sample.months],
        series=replace(
            sample.series,
            weights_pct=renamed(dict(sample.series.weights_pct)),
            prices=renamed(dict(sample.series.prices)),
        ),
    )
    html = render_report(hostile)
    page = Page(html)
    assert "<script" not in html
    assert not page.root.all("script", "b")[1:]
    assert HOSTILE in page.by_id("shares").all("h3")[0].text
    assert HOSTILE in page.by_id("share-0-t").text


def test_a_price_that_does_not_exist_yet_is_a_gap(sample: BacktestResult) -> None:
    late = [float("nan")] * 300 + [0.0] * 100 + list(sample.series.prices["BTCUSDT"][400:])
    series = replace(sample.series, prices={**sample.series.prices, "BTCUSDT": late, "ETHUSDT": [0.0] * 800})
    html = render_report(replace(sample, series=series))
    page = Page(html)
    assert not re.search(r"\bnan\b", html)
    assert page.table("price-0-c")[0][1] == "–"
    assert "Price: nothing recorded." in page.by_id("price-1-d").text


def test_a_big_backtest_is_a_small_file() -> None:
    assert len(rendered(wide_result)[1].encode()) < 3_000_000
    assert len(render_report(sample_result(fills=20_000)).encode()) < 300_000


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1234567.891", "1,234,567.89"),
        ("-1234.5", "−1,234.50"),
        ("0", "0.00"),
        ("-0.00123", "−0.0012"),
        ("0.004999", "0.0050"),
        ("-0.005", "−0.00"),
    ],
)
def test_money_for_people(value: str, said: str) -> None:
    assert money(Decimal(value)) == said


def test_money_is_rounded_alike_whatever_the_decimal_context_says() -> None:
    with localcontext(rounding=ROUND_HALF_UP):
        assert money(Decimal("-12.345")) == "−12.34"


def test_a_gain_has_a_sign_too() -> None:
    assert signed(Decimal("5")) == "+5.00"
    assert signed(Decimal("0")) == "0.00"
    assert signed_percent(Decimal("-12.345")) == "−12.34\u202f%"


# The geometry of the pictures

DAY = 86_400_000


def test_a_line_goes_from_corner_to_corner_and_lifts_over_gaps() -> None:
    span, scale = Span(0, 4), Scale(0, 10)
    assert line_path([0, 4], [0, 10], span, scale, 50) == "M0,50h0L1000,0"
    assert line_path([0, 1, 2, 3], [0, float("nan"), 5, 10], span, scale, 50) == "M0,50h0M500,25h0L750,0"


def test_equal_steps_of_a_logarithmic_scale_are_equal_ratios() -> None:
    scale = value_scale([1, 10, 100], may_be_log=True)
    assert scale.log
    assert scale.share(10) == pytest.approx(0.5)
    assert not value_scale([-1, 100], may_be_log=True).log
    assert not value_scale([50, 100], may_be_log=True).log


@pytest.mark.parametrize(
    ("low", "high", "most", "labels"),
    [
        (18.4, 21.6, 3, ["19", "20", "21"]),
        (-1100, 60, 4, ["−1,000", "−500", "0"]),
        (0.0000118, 0.0000301, 3, ["0.00002", "0.00003"]),
        (9_000, 21_000, 5, ["10,000", "12,500", "15,000", "17,500", "20,000"]),
        (0.9, 1.9, 4, ["1.00", "1.25", "1.50", "1.75"]),
    ],
)
def test_values_are_marked_at_round_numbers(low: float, high: float, most: int, labels: list[str]) -> None:
    ticks = value_ticks(Scale(low, high), most)
    assert [tick.label for tick in ticks] == labels
    assert all(0 <= tick.share <= 1 for tick in ticks)


@pytest.mark.parametrize("days", [0.01, 0.5, 1, 3, 10, 45, 70, 200, 400, 850, 3000, 20_000])
@pytest.mark.parametrize("most", [3, 6])
def test_times_are_marked_few_and_in_order(days: float, most: int) -> None:
    span = Span(1_502_928_000_000, 1_502_928_000_000 + round(days * DAY))
    shares = [tick.share for tick in time_ticks(span, most)]
    assert len(shares) <= most + 1
    assert shares == sorted(set(shares))
    assert all(0 <= share <= 1 for share in shares)


def test_a_year_begins_at_its_first_of_january() -> None:
    (tick,) = time_ticks(Span(1_483_228_800_000 - 200 * DAY, 1_483_228_800_000 + 200 * DAY), 2)
    assert (tick.label, tick.share) == ("2017", 0.5)


def test_labels_are_moved_apart_and_stay_in_order() -> None:
    assert spread([50, 51, 10], 15, 100) == [50, 65, 10]
    assert spread([99, 100, 98], 15, 100) == [85, 100, 70]


def test_thinning_keeps_ends_and_extremes() -> None:
    values = [float(i % 7) for i in range(5000)]
    values[1234], values[4321] = 99.0, -99.0
    kept = thinned(values, 100)
    assert {0, 1234, 4321, 4999} <= set(kept)
    assert len(kept) <= 102
    assert sampled(5000, 50)[0] == 0
    assert sampled(5000, 50)[-1] == 4999
    assert len(sampled(5000, 50)) == 50


def test_marks_count_every_event_and_never_mix_buys_with_sells() -> None:
    events = [Event(at, float(at % 5), up=at % 3 == 0) for at in range(1000)]
    marks = merged_marks(events, Span(0, 999), Scale(0, 5), 100, 10)
    assert len(marks) == 20
    assert sum(mark.count for mark in marks if mark.up) == 334
    assert sum(mark.count for mark in marks) == 1000
