"""print_summary: how a local run ended, in a few lines."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from workbench.local.run import print_summary

ENDED: dict[str, Any] = {
    "ticks": 1,
    "orders_placed": 3,
    "orders_filled": 2,
    "orders_open": 1,
    "nav_start": "10000",
    "nav_end": "10010.5",
    "drift_start_pct": "12.5000",
    "drift_end_pct": "0.2500",
    "hold_quote": "10000",
    "bonus_quote": "10.5",
    "same_assets": True,
    "paused": [],
    "books_agree": True,
    "book_differences": [],
}


def printed(**more: object) -> list[str]:
    console = Console(file=StringIO(), width=200, highlight=False)
    print_summary(ENDED | more, console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_what_was_done_is_one_line() -> None:
    assert printed() == [
        "1 tick: 3 orders placed, 2 filled, 1 open. Drift 12.50 % → 0.25 %. NAV 10,000.00 → 10,010.50; "
        "just holding 10,000.00, rebalancing 10.50.",
        "The exchange's books and ours agree, order by order and fill by fill.",
    ]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (
            {"paused": ["BNB", "XRP"]},
            "Not traded for now: BNB, XRP. `./botbalance pauses` tells why while it runs.",
        ),
        (
            {"same_assets": False},
            "The strategy's assets changed: NAV counts those of now, holding and rebalancing count all.",
        ),
        ({"books_agree": False, "book_differences": ["o1"]}, "The books differ: o1"),
    ],
)
def test_what_a_reader_would_wonder_about_is_said(more: dict[str, object], line: str) -> None:
    assert line in printed(**more)
