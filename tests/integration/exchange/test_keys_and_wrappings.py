"""Keys as people paste them, and coins in Earn at the whole decision."""

from collections.abc import Mapping
from decimal import Decimal

import pytest
from botbalance.engine import Evaluation, StrategyConfig, evaluate
from botbalance.errors import CredentialsRejectedError
from botbalance.exchange.adapter import KEY_REFUSED, OrderRejected, OrderRequest
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.exchange.ccxt_client import mended_secret
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.integration.exchange.fake_exchanges import CLIENT_ID, run_stand_in
from tests.integration.exchange.life_cycle_replies import LIVES
from tests.integration.exchange.simulated import Exchange

D = Decimal
PEM = (
    generate_private_key(SECP256R1())
    .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    .decode()
    .strip()
)
PASTED = {
    "as it is": PEM,
    "literal line breaks": PEM.replace("\n", "\\n"),
    "of Windows": PEM.replace("\n", "\r\n"),
    "with blanks around it": f"  \n{PEM}\n ",
}


@pytest.mark.parametrize("secret", PASTED.values(), ids=PASTED)
def test_a_private_key_is_mended_on_the_way_in(exchange: Exchange, secret: str) -> None:
    assert mended_secret(secret) == PEM
    life = LIVES["coinbase"]
    with run_stand_in(exchange, "coinbase") as (door, trader):
        door.replies[life.balance] = (200, life.held)
        adapter = CcxtAdapter(
            "coinbase", api_key=" key ", secret=secret, base_url=trader._client.rerouted_to, sleep=lambda _: None
        )
        adapter.load_listings(list(trader._known.values()))
        assert adapter.balances().keys() == {"BTC", "USDT"}


@pytest.mark.parametrize("secret", ["-----BEGIN EC PRIVATE KEY-----\nnonsense\n-----END EC PRIVATE KEY-----"])
def test_a_secret_that_cannot_be_read_is_the_key_s_fault_and_nothing_is_sent(exchange: Exchange, secret: str) -> None:
    with run_stand_in(exchange, "coinbase") as (door, trader):
        adapter = CcxtAdapter(
            "coinbase", api_key="key", secret=secret, base_url=trader._client.rerouted_to, sleep=lambda _: None
        )
        adapter.load_listings(list(trader._known.values()))
        door.asked.clear()
        with pytest.raises(CredentialsRejectedError, match="the secret cannot be read"):
            adapter.balances()
        sent = adapter.place_order(OrderRequest("BTCUSDT", "buy", D(39_000), D("0.01"), CLIENT_ID, post_only=True))
        assert isinstance(sent, OrderRejected)
        assert sent.code == KEY_REFUSED
        assert door.asked == []


# 65,000 USD on Kraken, with and without Auto Earn

TARGETS = {"BTC": D(40), "ETH": D(30), "SOL": D(20), "USD": D(10)}
PRICES = {"BTCUSD": D(60_000), "ETHUSD": D(3_000), "SOLUSD": D(150)}
OFF = {"ZUSD": ("2000", "0"), "XXBT": ("0.5", "0"), "XETH": ("10", "0"), "SOL": ("20", "0")}
EARN = {
    "on for BTC and ETH": {
        "ZUSD": ("2000", "0"),
        "XXBT": ("0.0", "0"),
        "XBT.F": ("0.5", "0"),
        "XETH": ("0", "0"),
        "ETH.F": ("10", "0"),
        "SOL": ("20", "0"),
    },
    "on for all, USD too": {
        "ZUSD": ("0.0", "0"),
        "USD.F": ("2000", "0"),
        "XXBT": ("0.0", "0"),
        "XBT.F": ("0.5", "0"),
        "XETH": ("0", "0"),
        "ETH.F": ("10", "0"),
        "SOL.F": ("20", "0"),
    },
}
"""What Kraken's BalanceEx tells of one account: balance and hold_trade, by its own names of coins."""


def decision(exchange: Exchange, told: Mapping[str, tuple[str, str]]) -> Evaluation:
    """What is decided on a Kraken account, as ccxt's class reads its holdings over HTTP."""
    with run_stand_in(exchange, "kraken") as (door, adapter):
        held = {name: {"balance": balance, "hold_trade": hold} for name, (balance, hold) in told.items()}
        door.replies["POST /0/private/BalanceEx"] = (200, {"error": [], "result": held})
        balances = adapter.balances()
        rules = adapter._known["BTCUSDT"].rules
    grid = {name: getattr(rules, name) for name in ("tick_size", "lot_size", "min_notional")}
    markets = {symbol: type(rules)(symbol, symbol.removesuffix("USD"), "USD", **grid) for symbol in PRICES}
    config = StrategyConfig("USD", D(2), D("0.4"), D(700))
    return evaluate(balances, TARGETS, PRICES, config, market_rules=markets)


@pytest.mark.parametrize("told", EARN.values(), ids=EARN)
def test_65_000_usd_on_kraken_with_and_without_auto_earn_are_decided_the_same(
    exchange: Exchange, told: Mapping[str, tuple[str, str]]
) -> None:
    without = decision(exchange, OFF)
    assert without.nav == 65_000
    # held are 30,000 BTC, 30,000 ETH, 3,000 SOL and 2,000 USD; wanted 26,000, 19,500, 13,000 and 6,500
    actions = {row.asset: row.action.side for row in without.rows if row.action}
    assert actions == {"BTC": "sell", "ETH": "sell", "SOL": "buy"}
    assert decision(exchange, told) == without


def test_an_order_that_rests_on_coins_in_auto_earn_changes_what_is_free_and_not_what_is_held(
    exchange: Exchange,
) -> None:
    """The base balance is 0 and 0.01 BTC are held for the order: they are drawn from what earns."""
    resting = {"ZUSD": ("2000", "0"), "XXBT": ("0.0", "0.01"), "XBT.F": ("0.5", "0"), "XETH": ("10", "0")}
    found = decision(exchange, resting | {"SOL": ("20", "0")})
    without = decision(exchange, OFF)
    assert found.nav == without.nav == 65_000
    assert [(row.weight_pct, row.action) for row in found.rows] == [
        (row.weight_pct, row.action) for row in without.rows
    ]
