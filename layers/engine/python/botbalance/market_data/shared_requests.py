"""SharedRequests: one worker asks an exchange for what all of them need.

A tick's workers begin at the same moment and need the same prices and ranges. Whoever is first claims the request in
the cache table, asks for its own symbols and for those that the others asked for lately, and puts what it got into the
cache, from where the others take it.

What a person asks for between two ticks is that person's alone: no worker waits for it, and nobody asks for it again.
Otherwise whoever looks at one market after another would have every tick ask for all of them.

The claim is an item of its own for each kind of data and exchange, ``requests#range#binance``. Its document tells which
symbols are asked for, and for how long yet: ``{"BTCUSDT": 1700003600}`` (epoch seconds).
"""

import json
from collections.abc import Callable, Collection

from botbalance.errors import InvalidRequestError
from botbalance.store.cache import CacheTable

CLAIM_S = 10
"""Seconds after which a claim is void: whoever had it has died, or was not answered."""
LONGEST_WAIT_S = 10
"""For so many seconds a worker waits for others; then it asks for itself."""
WATCHED_S = 3600
"""For so many seconds a symbol that somebody needed is asked for by whoever asks."""
MOST_WATCHED = 400
"""So many symbols are asked for at most that others needed; of more, those that were needed last."""
PAUSE_S = 0.1

type Read = Callable[[Collection[str]], Collection[str]]
"""Takes symbols from the cache, and returns those that are not there."""
type Ask = Callable[[Collection[str]], Collection[str]]
"""Asks the exchange for symbols, puts them into the cache, and returns those that it told."""


class SharedRequests:
    """``clock`` gives epoch seconds, ``sleep`` waits for some. Any number of processes may share the cache.

    ``is_tick``: whether what is asked for here and now is asked for by a tick, or else by a person.
    """

    def __init__(
        self,
        cache: CacheTable,
        clock: Callable[[], int],
        sleep: Callable[[float], None],
        is_tick: Callable[[], bool],
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._sleep = sleep
        self._is_tick = is_tick

    def fetch(self, name: str, symbols: Collection[str], read: Read, ask: Ask) -> None:
        """Have ``symbols`` read, or asked for once by one of all processes; ``name`` is the data's and the exchange's.

        Raises what ``ask`` raises.
        """
        missing = read(symbols)
        waited = 0.0
        while missing and waited < LONGEST_WAIT_S and self._is_tick():
            watched = self._cache.claim(_key(name), self._clock(), CLAIM_S)
            if watched is not None:
                self._ask_for_all(name, missing, json.loads(watched or "{}"), read, ask)
                return
            while waited < LONGEST_WAIT_S and self._cache.is_claimed(_key(name), self._clock()):
                self._sleep(PAUSE_S)
                waited += PAUSE_S
            missing = read(missing)
        if missing:
            ask(missing)

    def _ask_for_all(self, name: str, missing: Collection[str], watched: dict[str, int], read: Read, ask: Ask) -> None:
        """Ask for what is missing here, and for what is watched; where that fails, the claim lasts until it is void."""
        now = self._clock()
        watched = {symbol: until for symbol, until in watched.items() if until > now}
        wanted = read({*missing, *watched})  # another may have asked for it just before the claim
        if wanted:
            try:
                told = ask(wanted)
            except InvalidRequestError:  # one that is listed no more: whoever needs it finds out alone
                watched = {}
                told = ask(missing)
            watched |= dict.fromkeys(set(told) & set(missing), now + WATCHED_S)
        newest = sorted(watched.items(), key=lambda needed: needed[1], reverse=True)[:MOST_WATCHED]
        self._cache.release(_key(name), json.dumps(dict(newest), separators=(",", ":")), now + WATCHED_S)


def _key(name: str) -> str:
    return f"requests#{name}"
