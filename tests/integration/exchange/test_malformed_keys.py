"""A key of a form that nothing can be signed with is its sender's fault, and is said so in our own words."""

from contextlib import closing
from typing import Any

import pytest
from botbalance.errors import CredentialsRejectedError
from botbalance.exchange.ccxt_adapter import CcxtAdapter

NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("name", "request_to_sign", "secret"),
    [
        ("kraken", ("Balance", ["private"], "POST"), "abc"),
        (
            "coinbase",
            ("brokerage/accounts", ["v3", "private"], "GET"),
            "-----BEGIN EC PRIVATE KEY-----\nnonsense\n-----END EC PRIVATE KEY-----",
        ),
        (
            "binance",
            ("account", ["private"], "GET"),
            "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----",
        ),
    ],
)
def test_a_key_that_cannot_sign_is_refused_in_words_of_ours(name: str, request_to_sign: Any, secret: str) -> None:
    with (
        closing(CcxtAdapter(name, api_key="organizations/nonsense", secret=secret, base_url=NOWHERE)) as adapter,
        pytest.raises(CredentialsRejectedError) as raised,
    ):
        adapter._client.fetch2(*request_to_sign, {})
    assert raised.value.code == "exchange_key_refused"
    assert str(raised.value).startswith("the secret cannot be read: expected it as ")
    assert "Error" not in str(raised.value)
