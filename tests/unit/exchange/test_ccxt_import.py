"""The light import of ccxt behaves as the whole one. Each way runs in a process of its own."""

import json
import subprocess
import sys
from typing import Any

from botbalance.exchange.adapter import MarketListing

from tests.integration.exchange.simulated import running_exchange

EXCHANGES = ("binance", "okx", "bybit", "kraken", "kucoin", "gate", "coinbase", "bitget", "htx", "mexc")

LIGHT = "from botbalance.exchange.ccxt_import import exchange_class"
WHOLE = "import ccxt\ndef exchange_class(name): return getattr(ccxt, name)"

PARSE_MARKETS = """
import json, sys
client = exchange_class("binance")({"number": str, "options": {
    "fetchMarkets": {"types": ["spot"]}, "fetchMargins": False, "fetchCurrencies": False}})
client.urls["api"]["public"] = sys.argv[1] + "/api/v3"
markets = client.load_markets()
client.session.close()
print(json.dumps([markets, client.currencies], sort_keys=True, default=str))
"""

DESCRIBE_ERRORS = """
import json
client = exchange_class("binance")()
import ccxt
from ccxt.base import errors
classes = {name: [base.__name__ for base in getattr(errors, name).__mro__] for name in errors.__all__
           if name != "error_hierarchy"}
same = all(getattr(ccxt, name) is getattr(errors, name) for name in classes)
bodies = {
    "insufficient": '{"code":-2010,"msg":"Account has insufficient balance for requested action."}',
    "post_only": '{"code":-2010,"msg":"Order would immediately match and take."}',
    "duplicate": '{"code":-2010,"msg":"Duplicate order sent."}',
    "clock": '{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}',
    "revoked": '{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}',
    "unknown": '{"code":-1007,"msg":"Timeout waiting for response from backend server."}',
}
raised = {}
for name, body in bodies.items():
    try:
        client.handle_errors(400, "Bad Request", "https://api.binance.com/api/v3/order", "POST", {}, body,
                             json.loads(body), {}, "")
    except ccxt.BaseError as error:
        raised[name] = [type(error).__name__, str(error), type(error) is getattr(errors, type(error).__name__)]
client.session.close()
names = ["Exchange", "Precise", "__version__", "TICK_SIZE", "TRUNCATE", "decimal_to_precision"]
print(json.dumps([classes, same, raised, [hasattr(ccxt, name) for name in names], ccxt.__version__]))
"""

IMPORT_ALL_TEN = f"""
import json, sys
names = {EXCHANGES!r}
found = []
for name in names:
    client = exchange_class(name)()
    found.append([client.id, client.has["createOrder"], type(client).__module__])
    client.session.close()
print(json.dumps([found, sorted(module for module in sys.modules if module.startswith("ccxt"))]))
"""

IMPORT_FROM_MANY_THREADS = """
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
together = Barrier(8)
def import_one(_):
    together.wait()
    try:
        return exchange_class("binance").__name__
    except Exception as error:
        return repr(error)
with ThreadPoolExecutor(8) as pool:
    print(json.dumps(list(pool.map(import_one, range(8)))))
"""

ASK_FOR = """
import json, sys
answers = {}
for name in json.loads(sys.argv[1]):
    try:
        answers[name] = exchange_class(name).__name__
    except Exception as error:
        answers[name] = type(error).__name__
print(json.dumps([answers, "ccxt.pro" in sys.modules]))
"""


def run_program(way: str, program: str, *arguments: str) -> Any:
    """What ``program`` printed as JSON, in a fresh process that imports ccxt that ``way``."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{way}\n{program}", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_both_ways_parse_the_same_markets() -> None:
    with running_exchange() as exchange:
        light, whole = (run_program(way, PARSE_MARKETS, exchange.url) for way in (LIGHT, WHOLE))
    assert light[0].keys() == {"BTC/USDT", "ETH/USDT", "XRP/USDT"}
    assert light == whole


def test_both_ways_raise_the_same_errors() -> None:
    light, whole = (run_program(way, DESCRIBE_ERRORS) for way in (LIGHT, WHOLE))
    classes, same, raised, names, _ = light
    assert "InvalidOrder" in classes["OrderImmediatelyFillable"]
    assert same
    assert {name: found[0] for name, found in raised.items()} == {
        "insufficient": "InsufficientFunds",
        "post_only": "OrderImmediatelyFillable",
        "duplicate": "InvalidOrder",
        "clock": "InvalidNonce",
        "revoked": "AuthenticationError",
        "unknown": "RequestTimeout",
    }
    assert all(names)
    assert light == whole


def test_all_ten_exchanges_can_be_imported_the_light_way() -> None:
    found, modules = run_program(LIGHT, IMPORT_ALL_TEN)
    assert found == [[name, True, f"ccxt.{name}"] for name in EXCHANGES]
    assert {name for name in modules if name.count(".") == 1} >= {f"ccxt.{name}" for name in EXCHANGES}


def test_the_light_way_imports_no_other_exchange() -> None:
    program = 'import json, sys\nexchange_class("binance")\nprint(json.dumps(sorted(sys.modules)))'
    light, whole = (set(run_program(way, program)) for way in (LIGHT, WHOLE))
    assert "ccxt.binance" in light
    assert {f"ccxt.{name}" for name in EXCHANGES} & light == {"ccxt.binance"}
    assert "ccxt.kraken" in whole


def test_a_whole_ccxt_that_is_imported_already_is_used() -> None:
    program = """
import json, ccxt
from botbalance.exchange.ccxt_import import exchange_class as light
print(json.dumps([light("kraken") is ccxt.kraken, hasattr(ccxt, "exchanges")]))
"""
    assert run_program(WHOLE, program) == [True, True]


def test_threads_that_import_at_once_all_get_the_class() -> None:
    assert run_program(LIGHT, IMPORT_FROM_MANY_THREADS) == ["binance"] * 8


def test_what_is_no_exchange_is_not_found_and_imports_nothing_large() -> None:
    asked = ["nosuchexchange", "base", "pro", "test", "abstract", "binance"]
    answers, imported_everything = run_program(LIGHT, ASK_FOR, json.dumps(asked))
    assert answers == dict.fromkeys(asked, "ModuleNotFoundError") | {"binance": "binance"}
    assert not imported_everything


def test_a_listing_survives_the_cache_s_json_the_light_way() -> None:
    program = """
import json, sys
from dataclasses import asdict
from botbalance.exchange.ccxt_adapter import CcxtAdapter
adapter = CcxtAdapter("binance", base_url=sys.argv[1])
listings = adapter.market_listings(["BTCUSDT"])
adapter.close()
print(json.dumps({symbol: asdict(listing) for symbol, listing in listings.items()}, default=str))
"""
    with running_exchange() as exchange:
        light = run_program(LIGHT, program, exchange.url)
        here: dict[str, MarketListing] = exchange.connect().market_listings(["BTCUSDT"])
    assert json.loads(light["BTCUSDT"]["document"]) == json.loads(here["BTCUSDT"].document)
    assert light["BTCUSDT"]["rules"]["tick_size"] == str(here["BTCUSDT"].rules.tick_size)
