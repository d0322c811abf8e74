"""SharedRequests: one worker asks an exchange for what all of them need.

A tick's workers begin at the same moment and need the same prices and ranges. Whoever is first claims the request in
the cache table, asks for its own symbols and for those that the others asked for lately, and puts what it got into the
cache, from where the others take it. Where it fails, the others take that as their answer for a few seconds: who is
ticked on other exchanges must not wait while one worker after another finds it out.

What a person asks for between two ticks is that person's alone: no worker waits for it, and nobody asks for it again.
Otherwise whoever looks at one market after another would have every tick ask for all of them.

The claim is an item of its own for each kind of data and exchange, ``requests#range#binance``. Its document tells which
symbols are asked for, and for how long yet: ``{"BTCUSDT": 1700003600}`` (epoch seconds).
"""

import json
from collections.abc import Callable, Collection

from botbalance.deadline import OUT_OF_TIME
from botbalance.errors import InvalidRequestError, RateLimitedError, TransientError
from botbalance.store.cache import CacheTable

CLAIM_S = 12
"""Seconds after which a claim is void, longer than a request's timeout: whoever had it has died."""
LONGEST_WAIT_S = 12
"""For so many seconds a worker waits for others; then it asks for itself."""
FAILED_S = 3
"""For so many seconds one worker's failure is the answer to all."""
MARKET_GONE = "market_gone"
"""The code of a failure because of what this process alone believes to be listed."""
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

        Raises what ``ask`` raises, or has just raised in another process.
        """
        missing = read(symbols)
        waited = 0.0
        while missing and waited < LONGEST_WAIT_S and self._is_tick():
            watched = self._cache.claim(_key(name), self._clock(), CLAIM_S)
            if watched is not None:
                self._ask_for_all(name, missing, json.loads(watched or "{}"), read, ask)
                return
            while (claim := self._cache.read_claim(_key(name), self._clock())).is_held and waited < LONGEST_WAIT_S:
                self._sleep(PAUSE_S)
                waited += PAUSE_S
            missing = read(missing)
            if missing and claim.failure is not None:
                raise TransientError(*json.loads(claim.failure))
        if missing:
            ask(missing)

    def _ask_for_all(self, name: str, missing: Collection[str], watched: dict[str, int], read: Read, ask: Ask) -> None:
        """Ask for what is missing here, and for what is watched; a failure is told to the others, too."""
        now = self._clock()
        watched = {symbol: until for symbol, until in watched.items() if until > now}
        try:
            wanted = read({*missing, *watched})  # another may have asked for it just before the claim
            if wanted:
                try:
                    told = ask(wanted)
                except InvalidRequestError:  # one that is listed no more: whoever needs it finds out alone
                    watched = {}
                    told = ask(missing)
                watched |= dict.fromkeys(set(told) & set(missing), now + WATCHED_S)
        except Exception as error:
            if isinstance(error, TransientError) and not _is_asker_s_own(error):
                failed_at = self._clock()
                failure = json.dumps([error.code, str(error)])
                self._cache.fail(_key(name), failure, failed_at + FAILED_S, failed_at + WATCHED_S)
            else:
                self._release(name, watched)
            raise
        self._release(name, watched)

    def _release(self, name: str, watched: dict[str, int]) -> None:
        newest = sorted(watched.items(), key=lambda needed: needed[1], reverse=True)[:MOST_WATCHED]
        document = json.dumps(dict(newest), separators=(",", ":"))
        self._cache.release(_key(name), document, self._clock() + WATCHED_S)


def _is_asker_s_own(error: TransientError) -> bool:
    """Whether others may be answered where this one was not."""
    return isinstance(error, RateLimitedError) or error.code in {OUT_OF_TIME, MARKET_GONE}


def _key(name: str) -> str:
    return f"requests#{name}"
