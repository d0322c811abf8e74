"""Accounts: the users' own connections to exchanges, a bounded number of them kept open."""

from collections import OrderedDict
from collections.abc import Callable, Collection
from threading import Lock

from botbalance.errors import NotThere
from botbalance.exchange.adapter import ExchangeAdapter
from botbalance.limits import RateLimits
from botbalance.store.credentials import CredentialsTable, ExchangeKey, StoredKey

MOST_KEPT = 256
"""Connections kept per process; one takes a quarter of a megabyte."""


class Accounts:
    """Adapters with a user's key, by user, exchange and the key's version, so that a replaced key is never used."""

    def __init__(
        self,
        credentials: CredentialsTable,
        limits: RateLimits,
        connect: Callable[[str, str, ExchangeKey], ExchangeAdapter],
    ) -> None:
        self._credentials = credentials
        self._limits = limits
        self._connect = connect
        self._kept: OrderedDict[StoredKey, ExchangeAdapter] = OrderedDict()
        self._lock = Lock()

    def keys_of(self, owners: Collection[tuple[str, str]]) -> dict[tuple[str, str], StoredKey]:
        """Those of ``owners`` (user id, exchange) who have a key stored, with it; also what limits are on them now."""
        for exchange in {exchange for _, exchange in owners}:
            self._limits.refresh(exchange, [user_id for user_id, of in owners if of == exchange])
        return self._credentials.find_many(owners)

    def of(self, user_id: str, exchange: str) -> ExchangeAdapter:
        """The user's connection; raises NotThere where no key is stored for that exchange."""
        return self.with_key(user_id, exchange, self.keys_of([(user_id, exchange)]).get((user_id, exchange)))

    def with_key(self, user_id: str, exchange: str, stored: StoredKey | None) -> ExchangeAdapter:
        """The user's connection with a key that :meth:`keys_of` told; raises NotThere for None.

        WaitUntilAllowed where the exchange limits requests, TryAgainLater where the key cannot be decrypted now.
        """
        if stored is None:
            raise NotThere(
                "exchange_key_not_found", f"no key for {exchange} is stored; PUT exchange/credentials/ first"
            )
        self._limits.of(exchange, user_id).require()
        with self._lock:
            if stored in self._kept:
                self._kept.move_to_end(stored)
                return self._kept[stored]
        account = self._connect(exchange, user_id, self._credentials.reveal(user_id, exchange))
        with self._lock:
            self._kept[stored] = account
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return account
