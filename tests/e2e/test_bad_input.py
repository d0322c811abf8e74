"""Whatever is wrong on the command line or in a file: one line that says what, and no traceback."""

import gzip
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from botbalance import bootstrap

from tests.e2e.command import only_line, run
from tests.thorough import pick_sample
from workbench.aws.template import Route
from workbench.cli import app as cli
from workbench.local.api_gateway import ApiGateway
from workbench.local.lambda_runtime import LambdaRuntime


def commands(of: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its name, those of groups as `candles fetch`."""
    for own, command in of.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{own} ")
        else:
            yield f"{name}{own}", command


COMMANDS: dict[str, Any] = dict(commands(typer.main.get_command(cli.app)))
del COMMANDS["simulate"]  # it starts itself anew, which would end this process: tests/integration/simulation
NOBODY = "http://127.0.0.1:9"
SHORTEST = {"--port": "0", "--ticks": "1", "--tick-seconds": "0"}
"""So that a run that should have been refused ends by itself."""
HISTORY = {"--candles": "candles", "--strategy": "strategy.json"}
"""Where ``fails`` runs the command there are some."""
HARMLESS = {
    "autopilot": {"switch": "off", "--url": NOBODY},
    "export": {"tool": "koinly", "--url": NOBODY},
    "candles convert": {"source": "candles/BTCUSDT.csv", "folder": "out", "--symbol": "BTCUSDT"},
    "candles sample": {"folder": "out"},
    "login": {"--client-id": "x", "--region": "eu-central-1", "--username": "a", "--cognito": NOBODY},
    "cancel": {"--all": "", "--url": NOBODY},
    "paper deposit": {"asset": "USDT", "quantity": "1", "--url": NOBODY},
    "paper withdraw": {"asset": "USDT", "quantity": "1", "--url": NOBODY},
    "resume": {"pause_id": "doubt-BTCUSDT", "--url": NOBODY},
    "resolve": {"client_order_id": "rb-1", "outcome": "canceled", "--url": NOBODY},
    "strategy set": {"file": "strategy.json", "--url": NOBODY},
    "local": SHORTEST,
    "exchange": {},
    "soak": {"--users": "1", "--ticks": "1"},
    "backtest": HISTORY,
    "optimize": HISTORY,
    "candles fetch": {"folder": "out", "pairs": "BTC/USDT", "--start": "2024-01-01", "--base-url": NOBODY},
}
"""What else a command is given; those that are not named here ask an API."""
LOCAL = ("local", *(f"{option}={value}" for option, value in SHORTEST.items()))
GOOD: dict[str, Any] = {
    "target_allocations": {"BTC": "50", "USDT": "50"},
    "order_size_pct": "2",
    "order_step_pct": "0.4",
    "min_delta_quote": "50",
}


@pytest.fixture
def fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command in this process, in a folder with a history; returns the one line with which it must end."""
    (tmp_path / "candles").mkdir()
    rows = (f"{1_600_000_020_000 + 60_000 * minute},100,101,99,100,1" for minute in range(400))
    (tmp_path / "candles/BTCUSDT.csv").write_text("\n".join(rows))
    (tmp_path / "strategy.json").write_text(json.dumps(GOOD))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["botbalance", *arguments])
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return only_line(ended.value.code, *capfd.readouterr())

    return run


def bad_values() -> Iterator[tuple[str, str, list[str]]]:
    """Of every option of every command, some values that it cannot take; of its kind two, and others for the next."""
    of_kind = {
        "int": ["x", "1.5", "", "1e3", "٣x"],
        "float": ["x", "", "nan", "inf", "-1", "1e99"],
        "path": ["/nowhere/at/all", "no such file"],
        "faults": ["", "nothing", "all,nothing", ","],
        "url": ["nonsense", "http://", "ftp://127.0.0.1", NOBODY, "http://[::1", "http://127.0.0.1:99999"],
    }
    of_name = {
        "switch": ["", "maybe"],
        "tool": ["", "excel"],
        "year": ["x", "1999"],
        "columns": ["", "nonsense"],
        "encoding": ["nothing"],
        "dates": [],
        "client_id": [],  # the user pool says which there are
        "username": [],
        "region": ["", "no such region"],
        "cognito": ["nonsense"],
        **{name: [] for name in ("client_order_id", "pause_id", "filled_qty", "price")},  # an API says what it takes
        "outcome": ["", "nothing"],
        "status": ["nothing"],
        "symbol": [""],
        "every": [],
        "file": ["/nowhere/at/all", "."],
        "token": ["two\nlines", "ünï💰"],
        "listen": ["", "nonsense", "300.1.1.1", "203.0.113.1", "127.0.0.1:80"],
        "sam_environment": ["/nowhere/at/all", "."],
        **{name: ["", "yesterday", "2024-13-01", "1e9"] for name in ("start", "end")},
        **{name: ["", "x", "-1", "nan", "1e999999999999"] for name in ("fee_pct", "nav")},
        **{name: ["", "x", "0", "1,,2", "-1"] for name in ("size", "step", "band")},
        "rules_of": ["", "nonsense"],
        **{name: ["", "x", "-1", "nan"] for name in ("quantity", "filled_qty", "price")},
        "pause_id": [],  # an API says which there are
        "users": ["", "x", "0", "-1", "1,,2", "1000000000"],
        "band_pct": ["", "2"],
        "decision_log": ["", "nothing"],
        "source": ["", "nonsense"],
        "timeframe": ["", "nonsense", "1M"],
        **{name: ["/nowhere/at/all", "."] for name in ("report", "best", "result_file")},
        "table": ["/nowhere/at/all.csv", ".", "table.txt"],
        "pairs": [],  # what an exchange lists is only known when it is asked: test_download.py
        "folder": ["/dev/null/at/all"],
        "base_url": ["nonsense", "http://"],
    }
    ranges = {
        "port": ["-1", "65536"],
        "tick": ["-1"],
        "ticks": ["0", "-1"],
        "limit": ["0", "101"],
        "speed": ["0", "10001"],
        "tick_seconds": ["3601"],
        "users": ["0", "10001"],
        "workers": ["0", "17"],
        "folds": ["0", "101"],
        "draws": ["1", "100001"],
    }
    turn = 0
    for command, definition in COMMANDS.items():
        for parameter in definition.params:
            option = parameter.opts[0]
            if option == "--help":
                continue
            if getattr(parameter, "is_flag", False):  # which an argument has not
                yield command, option, ["maybe"]
                continue
            if parameter.name in of_name:
                searched = command == "optimize" and parameter.name == "band_pct"
                yield command, option, of_name["band" if searched else parameter.name]
                continue
            is_url = parameter.name in {"url", "dynamodb", "exchange"}
            kind = "url" if is_url else parameter.type_descriptor.annotation.__name__.lower()
            kind = "int" if kind == "list" else kind
            values = of_kind.get(parameter.name if kind == "str" else kind, ["", "nonsense"])
            turn += 1
            yield command, option, [*pick_sample(values, 2, turn), *ranges.get(parameter.name, [])]


CASES = [(command, option, value) for command, option, values in bad_values() for value in values]


@pytest.mark.parametrize(("command", "option", "value"), CASES)
def test_a_bad_value_of_any_option_is_one_line(
    fails: Callable[..., str], command: str, option: str, value: str
) -> None:
    given = HARMLESS.get(command, {"--url": NOBODY}) | {option: value}
    fails(*command.split(), *(f"{name}={text}" if name.startswith("--") else text for name, text in given.items()))


@pytest.mark.parametrize(
    "option", ["--seed=0", "--candles=.", "--speed=1", "--strategy=strategy.json", "--freeze-prices"]
)
def test_an_option_of_the_market_is_refused_beside_an_exchange_that_runs(
    fails: Callable[..., str], option: str
) -> None:
    line = fails(*LOCAL, "--exchange", NOBODY, option)
    assert f"{option.partition('=')[0]}: that is the market's" in line


def test_every_command_is_covered() -> None:
    assert {command for command, _, _ in CASES} == set(COMMANDS)


@pytest.mark.parametrize("arguments", [("nothing",), ("local", "--nothing"), ("local", "extra"), ("plan", "--url")])
def test_what_does_not_exist_is_one_line(fails: Callable[..., str], arguments: tuple[str, ...]) -> None:
    fails(*arguments)


@pytest.mark.parametrize("command", ["plan", "execute", "tick"])
def test_nobody_there_is_one_line_with_the_address(fails: Callable[..., str], command: str) -> None:
    assert NOBODY in fails(command, "--url", NOBODY)


@pytest.fixture(scope="module")
def other_servers() -> Iterator[str]:
    """Something else than this API: JSON of another shape, and problems of its own."""
    handler = "tests.e2e.other_server.lambda_handler"
    plan = "/api/me/strategies/rebalance/plan"
    routes = [Route("GET", f"/{{kind}}{plan}", handler, public=True)]
    gateway = ApiGateway(routes, LambdaRuntime(), dict, port=0, preflight={})
    gateway.start()
    yield gateway.url
    gateway.stop()


@pytest.mark.parametrize("kind", ["html", "empty", "object", "list", "null", "text", "error", "error-list", "numbers"])
def test_something_else_that_answers_is_one_line(fails: Callable[..., str], other_servers: str, kind: str) -> None:
    fails("plan", "--url", f"{other_servers}/{kind}")


@pytest.mark.parametrize("kind", ["html", "empty", "list", "null", "text", "error", "error-list"])
def test_what_is_no_json_object_is_not_printed_as_one(fails: Callable[..., str], other_servers: str, kind: str) -> None:
    fails("plan", "--url", f"{other_servers}/{kind}", "--json")


def without(name: str) -> dict[str, Any]:
    return {field: value for field, value in GOOD.items() if field != name}


STRATEGY_FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "JSON"),
    "not JSON": (b"hello", "JSON"),
    "not UTF-8": (b"\xff\xfe\x00", "JSON"),
    "null": (b"null", "object"),
    "list": (b"[]", "object"),
    "deep": (b"[" * 50_000, "JSON"),
    "missing field": (json.dumps(without("order_size_pct")).encode(), "order_size_pct"),
    "unknown field": (json.dumps(GOOD | {"order_sise": 1}).encode(), "order_sise"),
    "wrong type": (json.dumps(GOOD | {"order_size_pct": "two"}).encode(), "order_size_pct"),
    "zero size": (json.dumps(GOOD | {"order_size_pct": "0"}).encode(), "order_size_pct"),
    "sum 99.99": (json.dumps(GOOD | {"target_allocations": {"BTC": "49.99", "USDT": "50"}}).encode(), "99.99"),
    "sum 100.01": (json.dumps(GOOD | {"target_allocations": {"BTC": "50.01", "USDT": "50"}}).encode(), "100.01"),
    "negative": (json.dumps(GOOD | {"target_allocations": {"BTC": "-50", "USDT": "150"}}).encode(), "BTC"),
    "no targets": (json.dumps(GOOD | {"target_allocations": {}}).encode(), "target_allocations"),
    "NaN": (json.dumps(GOOD | {"target_allocations": {"BTC": "NaN", "USDT": "50"}}).encode(), "BTC"),
    "twice": (b'{"target_allocations": {"BTC": "50", "BTC": "60", "USDT": "40"}}', "BTC"),
    "step too far": (json.dumps(GOOD | {"order_step_pct": "51"}).encode(), "order_step_pct"),
    "another exchange": (json.dumps(GOOD | {"exchange": "kraken"}).encode(), "kraken"),
    "unknown coin": (
        json.dumps(GOOD | {"target_allocations": {"BTCC": "50", "USDT": "50"}}).encode(),
        "did you mean BTC?",
    ),
    "odd quote": (json.dumps(GOOD | {"quote_asset": "JPY", "target_allocations": {"BTC": 100}}).encode(), "JPY"),
}


@pytest.mark.parametrize(("content", "names"), STRATEGY_FILES.values(), ids=STRATEGY_FILES)
def test_a_bad_strategy_file_is_one_line(fails: Callable[..., str], tmp_path: Path, content: bytes, names: str) -> None:
    file = tmp_path / "strategy.json"
    file.write_bytes(content)
    assert names in fails(*LOCAL, "--strategy", str(file))


def test_a_strategy_that_is_a_directory_or_missing_is_one_line(fails: Callable[..., str], tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.json"):
        assert str(path) in fails(*LOCAL, "--strategy", str(path))


ROW = "1500000000000,1,2,1,1,1\n"
CANDLE_FILES: dict[str, dict[str, bytes]] = {
    "no files": {},
    "other files": {"README.md": b"candles"},
    "empty": {"BTCUSDT.csv": b""},
    "header only": {"BTCUSDT.csv": b"timestamp,open,high,low,close,volume\n"},
    "another header": {"BTCUSDT.csv": b"date,price\n"},
    "words": {"BTCUSDT.csv": b"a,b,c,d,e,f\n1,2\n"},
    "few columns": {"BTCUSDT.csv": b"1,2,3\n"},
    "NaN": {"BTCUSDT.csv": b"1500000000000,NaN,2,1,1,1\n"},
    "negative": {"BTCUSDT.csv": b"1500000000000,-1,2,1,1,1\n"},
    "zeros": {"BTCUSDT.csv": b"1500000000000,0,0,0,0,0\n"},
    "two truths": {"BTCUSDT.csv": (ROW + ROW.replace(",2,", ",3,")).encode()},
    "not Parquet": {"BTCUSDT.parquet": ROW.encode()},
    "binary": {"BTCUSDT.csv": bytes(range(256))},
    "not gzip": {"BTCUSDT.csv.gz": ROW.encode()},
    "half a gzip": {"BTCUSDT.csv.gz": gzip.compress(ROW.encode() * 50)[:30]},
    "no quote": {"BTCEUR.csv": ROW.encode()},
    "no overlap": {"BTCUSDT.csv": ROW.encode(), "ETHUSDT.csv": ROW.replace("15", "16", 1).encode()},
}


@pytest.mark.parametrize("files", CANDLE_FILES.values(), ids=CANDLE_FILES)
def test_a_bad_candle_folder_is_one_line(fails: Callable[..., str], tmp_path: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    line = fails(*LOCAL, "--candles", str(tmp_path))
    assert str(tmp_path) in line or "--candles" in line


def test_a_file_in_place_of_a_candle_folder_is_one_line(fails: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "BTCUSDT.csv"
    file.write_text(ROW)
    assert str(file) in fails(*LOCAL, "--candles", str(file))


def test_an_asset_without_candles_is_named(fails: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "BTCUSDT.csv").write_text(ROW)
    strategy = tmp_path / "strategy.json"
    strategy.write_text(json.dumps(GOOD | {"target_allocations": {"ETH": "50", "USDT": "50"}}))
    line = fails(*LOCAL, "--candles", str(tmp_path), "--strategy", str(strategy))
    assert "ETHUSDT" in line


def test_a_server_that_is_no_exchange_is_one_line(fails: Callable[..., str], other_servers: str) -> None:
    assert other_servers in fails(*LOCAL, "--exchange", other_servers)


def test_a_server_that_is_no_dynamodb_is_one_line(fails: Callable[..., str], other_servers: str) -> None:
    assert other_servers in fails(*LOCAL, "--dynamodb", other_servers)
    assert bootstrap._services is None


def test_opening_the_emulated_services_to_others_needs_a_second_word() -> None:
    said = only_line(*run("local", "--listen", "0.0.0.0", "--ticks", "1"))
    assert "--open-to-network" in said
    assert "decrypt every key" in said
