"""Keys as people paste them, and coins in Earn at the whole decision."""

from decimal import Decimal

import pytest
from botbalance.engine import Evaluation, StrategyConfig, evaluate
from botbalance.errors import CredentialsRejectedError
from botbalance.exchange.adapter import KEY_REFUSED, MarketListing, OrderRejected
from botbalance.exchange.ccxt_adapter import CcxtAdapter
from botbalance.exchange.ccxt_client import mended_secret
from botbalance.exchange.ccxt_parsing import balances_of
from botbalance.exchange.profiles import PROFILES
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.integration.exchange.fake_exchanges import CLIENT_ID, stood_in
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
    with stood_in(exchange, "coinbase") as (door, trader):
        door.replies[life.balance] = (200, life.held)
        adapter = CcxtAdapter(
            "coinbase", api_key=" key ", secret=secret, base_url=trader._client.rerouted_to, sleep=lambda _: None
        )
        adapter.load_listings(list(trader._known.values()))
        assert adapter.balances().keys() == {"BTC", "USDT"}


@pytest.mark.parametrize("secret", ["-----BEGIN EC PRIVATE KEY-----\nnonsense\n-----END EC PRIVATE KEY-----"])
def test_a_secret_that_cannot_be_read_is_the_key_s_fault_and_nothing_is_sent(exchange: Exchange, secret: str) -> None:
    with stood_in(exchange, "coinbase") as (door, trader):
        adapter = CcxtAdapter(
            "coinbase", api_key="key", secret=secret, base_url=trader._client.rerouted_to, sleep=lambda _: None
        )
        adapter.load_listings(list(trader._known.values()))
        door.asked.clear()
        with pytest.raises(CredentialsRejectedError, match="the secret cannot be read"):
            adapter.balances()
        sent = adapter.place_order("BTCUSDT", "buy", D(39_000), D("0.01"), CLIENT_ID, post_only=True)
        assert isinstance(sent, OrderRejected)
        assert sent.code == KEY_REFUSED
        assert door.asked == []


# 65,000 USD on Kraken, with and without Auto Earn

TARGETS = {"BTC": D(40), "ETH": D(30), "SOL": D(20), "USD": D(10)}
PRICES = {"BTCUSD": D(60_000), "ETHUSD": D(3_000), "SOLUSD": D(150)}
OFF = {"USD": ("2000", "0"), "BTC": ("0.5", "0"), "ETH": ("10", "0"), "SOL": ("20", "0")}
EARN = {
    "on for BTC and ETH": {
        "USD": ("2000", "0"),
        "BTC": ("0", "0"),
        "BTC.F": ("0.5", "0"),
        "ETH.F": ("10", "0"),
        "SOL": ("20", "0"),
    },
    "on for all, USD too": {"USD.F": ("2000", "0"), "BTC.F": ("0.5", "0"), "ETH.F": ("10", "0"), "SOL.F": ("20", "0")},
}


def decision(held: dict[str, tuple[str, str]], rules: MarketListing) -> Evaluation:
    account = {
        "free": {name: str(D(total) - D(hold)) for name, (total, hold) in held.items()},
        "used": {name: hold for name, (_, hold) in held.items()},
        "total": {name: total for name, (total, _) in held.items()},
    }
    balances = balances_of(PROFILES["kraken"], account, {*TARGETS})
    markets = {}
    for symbol in PRICES:
        asset = symbol.removesuffix("USD")
        fields = {name: getattr(rules.rules, name) for name in ("tick_size", "lot_size", "min_notional")}
        markets[symbol] = type(rules.rules)(symbol, asset, "USD", **fields)
    config = StrategyConfig("USD", D(2), D("0.4"), D(700))
    return evaluate(balances, TARGETS, PRICES, config, market_rules=markets)


@pytest.mark.parametrize("held", EARN.values(), ids=EARN)
def test_the_decision_is_the_same_with_and_without_auto_earn(
    exchange: Exchange, held: dict[str, tuple[str, str]]
) -> None:
    [listing] = exchange.connect("", "").market_listings(["BTCUSDT"]).values()
    without = decision(OFF, listing)
    assert without.nav == 65_000
    assert decision(held, listing) == without
