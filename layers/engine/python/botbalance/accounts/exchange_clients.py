"""ExchangeClients: the users' own connections to exchanges, a bounded number of them kept open."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from botbalance.accounts.rate_limits import RateLimits
from botbalance.accounts.weight_budgets import Purpose, with_purpose
from botbalance.errors import NotFoundError
from botbalance.exchange.adapter import ExchangeAdapter
from botbalance.exchange.paper_adapter import PaperAdapter
from botbalance.exchange.profiles import is_paper
from botbalance.models.exchange_key import ExchangeKey, StoredKey
from botbalance.store.accounts import Lease
from botbalance.store.credentials import CredentialsTable, KeyOwner

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

KEPT_S = 300
"""For how many seconds a process keeps a key in the clear, from when it was decrypted, and its connection with it."""
MAX_CLIENTS = 2048
"""Adapters kept per process; one takes 30 kB, and no connection of its own."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """An adapter with a key in the clear, and when (epoch seconds) it has to be gone."""

    adapter: ExchangeAdapter
    until: int


class ExchangeClients:
    """Adapters with a user's key. One is handed out for :data:`KEPT_S` seconds; a run that has it goes on with it.

    They are kept by user, exchange and the key's version, so that a replaced key is never used; and dropped as soon as
    this process learns that the key was replaced or deleted. ``clock`` gives epoch seconds.
    """

    def __init__(
        self,
        credentials: CredentialsTable,
        limits: RateLimits,
        connect: Callable[[str, str, ExchangeKey], ExchangeAdapter],
        open_paper: Callable[[str, str, Lease | None], PaperAdapter],
        clock: Callable[[], int],
    ) -> None:
        self._credentials = credentials
        self._limits = limits
        self._connect = connect
        self._open_paper = open_paper
        self._clock = clock
        self._clients: OrderedDict[StoredKey, _Entry] = OrderedDict()
        self._lock = Lock()

    def find_keys(self, owners: Collection[tuple[str, str]]) -> dict[tuple[str, str], StoredKey]:
        """Those of ``owners`` (user id, exchange) who have a key stored, with it; also what limits are on them now.

        Who trades on paper needs none, and no limit is on that account's own: nothing is read for them.
        """
        self.refresh_limits(owners)
        owners = [owner for owner in owners if not is_paper(owner[1])]
        found = self._credentials.find_many(owners) if owners else {}
        asked = set(owners)
        self._drop(lambda kept: (owner := (kept.user_id, kept.exchange)) in asked and found.get(owner) != kept)
        return found

    def refresh_limits(self, owners: Collection[tuple[str, str]]) -> None:
        """Learn what other processes have met of limits of ``owners`` (user id, exchange) and of these exchanges."""
        for exchange in {exchange for _, exchange in owners if not is_paper(exchange)}:
            self._limits.refresh(exchange, [user_id for user_id, of in owners if of == exchange])

    def stored_keys(self, user_id: str) -> list[StoredKey]:
        """What is known of every key that the user has stored."""
        return self._credentials.list_all(user_id)

    def key_owners(self) -> Iterator[KeyOwner]:
        """Everybody who has stored a key, of every key."""
        return self._credentials.owners()

    def record_departure(self, user_id: str, exchange: str, left_at: int | None) -> None:
        """Note with the key since when (epoch seconds) nobody may sign in as its owner; None: its owner may."""
        self._credentials.record_departure(user_id, exchange, left_at)

    @contextmanager
    def temporary(self, user_id: str, exchange: str, key: ExchangeKey) -> Iterator[ExchangeAdapter]:
        """A connection with a key that is not stored yet, to find out whether it may be."""
        self.refresh_limits([(user_id, exchange)])
        client = self._connect(exchange, user_id, key)
        try:
            with with_purpose(Purpose.TRIAL):
                yield client
        finally:
            client.close()

    def save(
        self, user_id: str, exchange: str, key: ExchangeKey, now: int, *also: "TransactWriteItemTypeDef"
    ) -> StoredKey:
        """Store the key in place of the one that was there, and ``also`` with it; ``now`` in epoch seconds."""
        stored = self._credentials.save(user_id, exchange, key, now, *also)
        self._drop(lambda kept: (kept.user_id, kept.exchange) == (user_id, exchange))
        return stored

    def forget(self, user_id: str, exchange: str, *also: "TransactWriteItemTypeDef") -> None:
        """Delete the key, and what this process still has of it; ``also`` is written with that."""
        self._credentials.delete(user_id, exchange, *also)
        self._drop(lambda kept: (kept.user_id, kept.exchange) == (user_id, exchange))

    def get(self, user_id: str, exchange: str) -> ExchangeAdapter:
        """The user's connection; raises NotFoundError where no key is stored for that exchange.

        That to a paper account is to look at it only: what is written there is written under a lease.
        """
        if is_paper(exchange):
            return self.paper(user_id, exchange, None)
        return self.get_with_key(user_id, exchange, self.find_keys([(user_id, exchange)]).get((user_id, exchange)))

    def paper(self, user_id: str, exchange: str, lease: Lease | None) -> PaperAdapter:
        """The user's paper account, to be written under ``lease``, or with None to look at; a new one each time."""
        return self._open_paper(user_id, exchange, lease)

    def get_with_key(self, user_id: str, exchange: str, stored: StoredKey | None) -> ExchangeAdapter:
        """The user's connection with a key that :meth:`find_keys` told; raises NotFoundError for None.

        RateLimitedError where the exchange limits requests, TransientError where the key cannot be decrypted now.
        """
        if stored is None:
            raise NotFoundError(
                "exchange_key_not_found", f"no key for {exchange} is stored; PUT exchange/credentials/ first"
            )
        self._limits.of(exchange, user_id).require()
        with self._lock:
            if stored in self._clients:
                self._clients.move_to_end(stored)
                return self._clients[stored].adapter
        client = self._connect(exchange, user_id, self._credentials.decrypt(user_id, exchange))
        with self._lock:
            self._clients[stored] = _Entry(client, self._clock() + KEPT_S)
            if len(self._clients) > MAX_CLIENTS:
                self._clients.popitem(last=False)
        return client

    def _drop(self, is_unwanted: Callable[[StoredKey], bool]) -> None:
        """Forget the keys that are unwanted, and whatever was kept for long enough.

        An adapter that was only kept for long enough may still be in use by a run, and goes when that is over.
        """
        now = self._clock()
        with self._lock:
            for stored in [stored for stored in self._clients if is_unwanted(stored)]:
                self._clients.pop(stored).adapter.close()
            for stored in [stored for stored, kept in self._clients.items() if kept.until <= now]:
                del self._clients[stored]
