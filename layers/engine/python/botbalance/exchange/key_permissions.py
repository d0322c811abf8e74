"""What each exchange tells of what a key may do, in its own words: which request, and how its reply reads.

Only what is told for certain counts. A word that could mean anything, or a right that an exchange does not list, is
None: its owner has to look it up there.
"""

from collections.abc import Callable
from typing import Any

from botbalance.exchange.adapter import KeyPermissions

NOTHING_TOLD = KeyPermissions(may_trade=None, may_withdraw=None, bound_to_addresses=None)


def _binance(client: Any) -> KeyPermissions:
    told = client.sapiGetAccountApiRestrictions()
    return KeyPermissions(
        may_trade=_flag(told["enableSpotAndMarginTrading"]),
        may_withdraw=_flag(told["enableWithdrawals"]),
        bound_to_addresses=_flag(told["ipRestrict"]),
    )


def _okx(client: Any) -> KeyPermissions:
    [told] = client.privateGetAccountConfig()["data"]
    rights = _split_words(told["perm"])
    return KeyPermissions("trade" in rights, "withdraw" in rights, bool(_split_words(told["ip"])))


def _bybit(client: Any) -> KeyPermissions:
    told = client.privateGetV5UserQueryApi()["result"]
    rights = told["permissions"]
    return KeyPermissions(
        may_trade=str(told["readOnly"]) == "0" and "SpotTrade" in rights.get("Spot", []),
        may_withdraw=str(told["readOnly"]) == "0" and "Withdraw" in rights.get("Wallet", []),
        bound_to_addresses=not {"*"} >= set(told["ips"]),
    )


def _kraken(client: Any) -> KeyPermissions:
    told = client.privatePostGetApiKeyInfo()["result"]
    rights = {str(right).lower() for right in told["permissions"]}
    allowed = told.get("ip_allowlist")
    return KeyPermissions(
        may_trade="modify-trades" in rights or None,
        may_withdraw=any("withdraw" in right for right in rights),
        bound_to_addresses=None if allowed is None else any(allowed),  # it tells of none as [""]
    )


def _kucoin(client: Any) -> KeyPermissions:
    told = client.privateGetUserApiKey()["data"]
    rights = _split_words(told["permission"])
    # What moves money out has had more than one name there.
    out = {"withdraw", "withdrawal", "transfer"}
    return KeyPermissions(
        bool({"spot", "trade"} & rights), bool(out & rights), bool(_split_words(told.get("ipWhitelist")))
    )


def _coinbase(client: Any) -> KeyPermissions:
    told = client.v3PrivateGetBrokerageKeyPermissions()
    # Transfers are between portfolios and out of the account alike.
    return KeyPermissions(_flag(told["can_trade"]), _flag(told["can_transfer"]), None)


def _bitget(client: Any) -> KeyPermissions:
    told = client.privateSpotGetV2SpotAccountInfo()["data"]
    rights = {str(right).lower() for right in told["authorities"]}
    # Its list has abbreviations that are nowhere explained: a right that is not found there may be there all the same.
    return KeyPermissions(
        may_trade="trade" in rights or None,
        may_withdraw=any("withdraw" in right for right in rights) or None,
        bound_to_addresses=bool(_split_words(told.get("ips"))),
    )


def _htx(client: Any) -> KeyPermissions:
    uid = client.spotPrivateGetV2UserUid()["data"]
    [told] = client.spotPrivateGetV2UserApiKey({"uid": uid, "accessKey": client.apiKey})["data"]
    rights = _split_words(told["permission"])
    return KeyPermissions("trade" in rights, "withdraw" in rights, bool(_split_words(told.get("ipAddresses"))))


_ASKED: dict[str, Callable[[Any], KeyPermissions]] = {
    "binance": _binance,
    "okx": _okx,
    "bybit": _bybit,
    "kraken": _kraken,
    "kucoin": _kucoin,
    "coinbase": _coinbase,
    "bitget": _bitget,
    "htx": _htx,
}
"""Gate and MEXC tell nothing of a key's rights."""


def read_key_permissions(exchange: str, client: Any) -> KeyPermissions:
    """What ``exchange`` says that the key of ``client``, a ccxt object, may do.

    Raises LookupError, TypeError or ValueError for a reply that is not in its documented form.
    """
    asked = _ASKED.get(exchange)
    return NOTHING_TOLD if asked is None else asked(client)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r}, expected true or false")
    return value


def _split_words(text: object) -> set[str]:
    """The words of a list that is written with commas, in lower case."""
    if text is None:
        return set()
    if not isinstance(text, str):
        raise TypeError(f"{text!r}, expected words with commas")
    return {word.strip().lower() for word in text.split(",") if word.strip()}
