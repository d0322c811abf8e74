"""Decides which request is struck by which fault, and keeps account of it. Performs nothing.

A scripted fault strikes the next request that fits it. A random one depends on the seed, on whom the request is of,
what it is, when it is made and which of its kind at that moment, and on nothing else: however threads interleave, the
same user meets the same faults. What all share, the public connection, meets the same fault all through one moment.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from random import Random
from threading import RLock

from workbench.faults.kinds import KINDS, FaultKind, Where


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was decided on: it strikes the first ``attempts`` attempts of a call that its client repeats.

    ``pick``, from 0 up to 1, says which one of several things it is about, such as the resting order that fills.
    """

    kind: FaultKind
    variant: str
    attempts: int = 1
    pick: float = 0.0

    def choose_one[T](self, things: Collection[T]) -> T:
        """The one of ``things`` that it is about."""
        return list(things)[int(self.pick * len(things))]


@dataclass(frozen=True, slots=True)
class RequestInfo:
    """A request that may be struck.

    ``subject`` is the API key or the user id that it is of, None where it is nobody's own; ``path`` names the request
    (``POST /api/v3/order``, ``dynamodb.PutItem``), ``about`` the symbols or tables in it.
    """

    where: Where
    subject: str | None
    path: str
    about: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hit:
    """A request that was struck, ``at`` an epoch second of the exchange's clock."""

    fault: Fault
    subject: str | None
    path: str
    at: int


@dataclass(slots=True)
class _Line:
    """A line of the script: ``fault`` for the next ``times`` requests that fit."""

    fault: Fault
    where: Where
    subject: str | None
    about: str | None
    times: int
    misses: int = 0
    """How often it was chosen and found nothing to do: others that fit come first then."""

    def fits(self, occasion: RequestInfo) -> bool:
        return (
            occasion.where is self.where
            and self.subject in {None, occasion.subject}
            and (self.about is None or self.about in occasion.about)
        )


class Injector:
    """``rate`` (0 to 1) of the requests that one of ``kinds`` can strike are struck at random; scripts come first.

    ``clock`` gives the exchange's epoch seconds; a worker process that is replaced within the same second meets the
    same random faults again, unless its ``seed`` is another. ``active`` False stops all injecting, also of what is
    scripted; a limit that the exchange has set already stays until it ends. For any number of threads.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        *,
        seed: int | str = 0,
        kinds: Collection[FaultKind] = (),
        rate: float = 0.0,
    ) -> None:
        if not 0 <= rate <= 1:
            raise ValueError(f"rate is {rate}, expected 0 to 1")
        self.clock = clock
        self.active = True
        self._seed = seed
        self._kinds_at = {
            where: [kind for kind in KINDS if kind in kinds and where in KINDS[kind].where] for where in Where
        }
        self._rate = rate
        self._script: list[_Line] = []
        self._drawn: dict[tuple[str, str], tuple[int, int]] = {}
        self._hits: list[Hit] = []
        self._lock = RLock()

    def script(
        self,
        kind: FaultKind,
        where: Where,
        *,
        of: str | None = None,
        about: str | None = None,
        variant: str | None = None,
        attempts: int = 1,
        times: int = 1,
    ) -> None:
        """Let ``kind`` strike the next ``times`` requests for ``where``; where it cannot, it waits for one it can.

        ``of`` narrows it to an API key or user id, ``about`` to a symbol or table; ``variant`` None is the first.
        """
        if where not in KINDS[kind].where:
            raise ValueError(f"where is {where}, expected one of {', '.join(sorted(KINDS[kind].where))} for {kind}")
        if variant is not None and variant not in KINDS[kind].variants:
            raise ValueError(f"variant is {variant!r}, expected one of {', '.join(KINDS[kind].variants)} for {kind}")
        fault = Fault(kind, KINDS[kind].variants[0] if variant is None else variant, attempts)
        with self._lock:
            self._script.append(_Line(fault, where, of, about, times))

    def choose(self, occasion: RequestInfo) -> Fault | None:
        """The fault for ``occasion``, if any. It counts once it is recorded: not every one finds something to do."""
        with self._lock:
            if not self.active:
                return None
            line = min((line for line in self._script if line.fits(occasion)), key=lambda it: it.misses, default=None)
            if line is None:
                return self._random(occasion)
            line.misses += 1
            return line.fault

    def record(self, fault: Fault, occasion: RequestInfo) -> None:
        """``fault`` has struck ``occasion``."""
        with self._lock:
            self._hits.append(Hit(fault, occasion.subject, occasion.path, self.clock()))
            line = next((line for line in self._script if line.fault is fault), None)
            if line is not None:
                line.misses -= 1
                line.times -= 1
                if not line.times:
                    self._script.remove(line)

    def inject(self, occasion: RequestInfo) -> Fault | None:
        """Choose and record at once, for faults that always find something to do."""
        with self._lock:
            fault = self.choose(occasion)
            if fault is not None:
                self.record(fault, occasion)
            return fault

    def hits(self) -> list[Hit]:
        """Every request that was struck so far, in that order."""
        with self._lock:
            return list(self._hits)

    def counts(self) -> Counter[FaultKind]:
        """How many requests each kind has struck so far."""
        return Counter(hit.fault.kind for hit in self.hits())

    def unplayed(self) -> list[FaultKind]:
        """What of the script has not struck yet."""
        with self._lock:
            return [line.fault.kind for line in self._script]

    def _random(self, occasion: RequestInfo) -> Fault | None:
        kinds = self._kinds_at[occasion.where]
        draw = self._draw_name(occasion)
        if not kinds or _fraction(draw) >= self._rate:
            return None
        stream = Random(draw)
        (kind,) = stream.choices(kinds, [KINDS[kind].weight for kind in kinds])
        return Fault(
            kind,
            stream.choice(KINDS[kind].variants),
            attempts=stream.randint(1, KINDS[kind].most_attempts),
            pick=stream.random(),
        )

    def _draw_name(self, occasion: RequestInfo) -> str:
        """What this request's draw depends on; the same for all such requests at one moment that all share."""
        now, number = self.clock(), 0
        if occasion.subject is not None:
            drawn_at, drawn = self._drawn.get((occasion.subject, occasion.path), (now, 0))
            number = drawn + 1 if drawn_at == now else 1
            self._drawn[occasion.subject, occasion.path] = now, number
        return f"{self._seed}:{occasion.subject}:{occasion.path}:{now}:{number}"


def _fraction(draw: str) -> float:
    """A number from 0 up to 1 that looks random and is the same for the same ``draw``; far quicker than a Random."""
    return int.from_bytes(sha256(draw.encode()).digest()[:7]) / (1 << 56)
