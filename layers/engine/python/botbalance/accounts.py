"""Accounts: the users' own connections to exchanges, a bounded number of them kept open."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from botbalance.errors import NotThere
from botbalance.exchange.adapter import ExchangeAdapter
from botbalance.store.credentials import CredentialsTable, ExchangeKey, StoredKey

MOST_KEPT = 256
"""Connections kept per process; one takes a quarter of a megabyte."""


class Accounts:
    """Adapters with a user's key, by user, exchange and the key's version, so that a replaced key is never used."""

    def __init__(self, credentials: CredentialsTable, connect: Callable[[str, ExchangeKey], ExchangeAdapter]) -> None:
        self._credentials = credentials
        self._connect = connect
        self._kept: OrderedDict[StoredKey, ExchangeAdapter] = OrderedDict()
        self._lock = Lock()

    def of(self, user_id: str, exchange: str) -> ExchangeAdapter:
        """The user's connection; raises NotThere where no key is stored for that exchange."""
        stored = self._credentials.find(user_id, exchange)
        if stored is None:
            raise NotThere(
                "exchange_key_not_found", f"no key for {exchange} is stored; PUT exchange/credentials/ first"
            )
        with self._lock:
            if stored in self._kept:
                self._kept.move_to_end(stored)
                return self._kept[stored]
        account = self._connect(exchange, self._credentials.reveal(user_id, exchange))
        with self._lock:
            self._kept[stored] = account
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return account
