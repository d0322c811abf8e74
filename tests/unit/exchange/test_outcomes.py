"""Only a definite refusal ends an order: every error class of ccxt, against what exchanges.md says of it."""

from inspect import getmembers, isclass

import pytest
from botbalance.exchange.ccxt_errors import (
    SubmitStatus,
    classify_submit_error,
    is_revoked_key,
    is_unknown_order,
    redacted_message,
)
from botbalance.exchange.profiles import PROFILES
from ccxt.base import errors

BINANCE, MEXC = PROFILES["binance"], PROFILES["mexc"]

FINAL = {
    "InsufficientFunds",
    "BadSymbol",
    "OrderImmediatelyFillable",
    "MarketClosed",
    "AuthenticationError",
    "PermissionDenied",
    "AccountNotEnabled",
    "AccountSuspended",
    "InvalidNonce",
    "InvalidOrder",
    "BadRequest",
}
"""Written down by hand: what may end an order. Whatever else ccxt has, or gets, leaves it unknown."""

CLASSES: dict[str, type[Exception]] = {
    name: found for name, found in getmembers(errors, isclass) if issubclass(found, Exception)
}
NOT_CCXT_S = [ValueError("x"), KeyError("id"), TypeError("x"), OSError("reset"), TimeoutError("slow"), Exception("?")]
DUPLICATES = [
    'binance {"code":-2010,"msg":"Duplicate order sent."}',
    'okx {"sCode":"51016","sMsg":"Duplicated client order ID"}',
    "bybit OrderLinkedID is DUPLICATE",
    'bybit {"retCode":30001,"retMsg":"order_link_id is repeated"}',
    'htx {"err-msg":"the client order id already exists"}',
]


def test_every_class_that_ccxt_exports_is_looked_at() -> None:
    assert {name for name in errors.__all__ if name != "error_hierarchy"} == CLASSES.keys()
    assert CLASSES.keys() >= FINAL


@pytest.mark.parametrize("name", CLASSES)
def test_an_order_that_was_sent_is_over_only_after_a_definite_refusal(name: str) -> None:
    expected = SubmitStatus.REFUSED if name in FINAL else SubmitStatus.UNKNOWN
    assert classify_submit_error(CLASSES[name]("binance says no"), BINANCE, sent=True) is expected


@pytest.mark.parametrize("name", CLASSES)
def test_an_order_that_was_never_sent_does_not_exist_whatever_was_raised(name: str) -> None:
    assert classify_submit_error(CLASSES[name]("before anything was sent"), BINANCE, sent=False) is SubmitStatus.REFUSED


@pytest.mark.parametrize("text", DUPLICATES)
@pytest.mark.parametrize("name", CLASSES)
def test_a_duplicate_is_there_already_so_it_is_looked_up(name: str, text: str) -> None:
    assert classify_submit_error(CLASSES[name](text), BINANCE, sent=True) is SubmitStatus.UNKNOWN


def test_an_error_s_words_have_no_address_which_is_signed() -> None:
    error = errors.NetworkError("mexc POST https://api.mexc.com/api/v3/order?quantity=1&signature=5ae15ad9 refused")
    assert redacted_message(error) == "NetworkError: mexc POST … refused"


@pytest.mark.parametrize("error", NOT_CCXT_S, ids=repr)
def test_an_error_that_is_not_ccxt_s_says_nothing_about_an_order_that_was_sent(error: Exception) -> None:
    assert classify_submit_error(error, BINANCE, sent=True) is SubmitStatus.UNKNOWN
    assert classify_submit_error(error, BINANCE, sent=False) is SubmitStatus.REFUSED


def test_a_revoked_key_ends_the_order_also_where_ccxt_takes_it_for_a_ban() -> None:
    revoked = errors.DDoSProtection('binance {"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}')
    banned = errors.DDoSProtection('binance 418 {"code":-1003,"msg":"Way too many requests."}')
    assert classify_submit_error(revoked, BINANCE, sent=True) is SubmitStatus.REFUSED
    assert classify_submit_error(banned, BINANCE, sent=True) is SubmitStatus.UNKNOWN
    assert is_revoked_key(revoked, BINANCE)
    assert not is_revoked_key(banned, BINANCE)


@pytest.mark.parametrize("name", CLASSES)
def test_only_an_authentication_error_of_itself_means_that_the_key_is_refused(name: str) -> None:
    expected = name in {"AuthenticationError", "PermissionDenied", "AccountNotEnabled", "AccountSuspended"}
    assert is_revoked_key(CLASSES[name]("no"), BINANCE) is expected
    assert is_revoked_key(CLASSES[name]('{"code":-2015}'), BINANCE) is (expected or name == "DDoSProtection")


def test_a_class_of_one_s_own_that_only_inherits_from_a_refusal_is_no_refusal() -> None:
    class OrderMaybeThere(errors.InvalidOrder):  # type: ignore[misc]
        pass

    assert classify_submit_error(OrderMaybeThere("?"), BINANCE, sent=True) is SubmitStatus.UNKNOWN


@pytest.mark.parametrize("name", CLASSES)
def test_only_what_says_so_means_that_an_order_is_not_there(name: str) -> None:
    assert is_unknown_order(CLASSES[name]("what was asked for"), BINANCE) is (name == "OrderNotFound")


@pytest.mark.parametrize("code", ["-2013", "-2011"])
def test_mexc_s_words_for_an_order_that_is_not_there_have_no_class_of_their_own(code: str) -> None:
    assert is_unknown_order(errors.ExchangeError(f'mexc {{"msg":"No such order.","code":{code},"_extend":null}}'), MEXC)
    assert not is_unknown_order(errors.ExchangeError(f'mexc {{"msg":"?","code":{code}1}}'), MEXC)
