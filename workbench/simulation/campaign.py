"""Episodes one after the other until so many orders were meant to be sent, and what is said of the first that fails."""

import gc
import json
import multiprocessing
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from time import monotonic

from botbalance.errors import InvalidRequestError
from pydantic import BaseModel, ValidationError

from workbench.simulation.episode import BUSY_TICKS, Episode
from workbench.simulation.exchange import Manner
from workbench.simulation.invariants import Finding, Invariant
from workbench.simulation.owners import Act
from workbench.simulation.world import FAULTS

USERS = 8
STORY_LINES = 400
"""Of a story, the last of its lines; the whole of it is what ``--replay`` shows."""


class Failure(BaseModel):
    """An episode that breaks an invariant, and what it takes to see that again.

    ``calm_after`` is the shortest prefix that still fails: so many draws, and then calm. ``step`` is the step of the
    breach in that prefix.
    """

    seed: str
    users: int
    busy_ticks: int
    calm_after: int
    invariant: Invariant
    step: int
    user_id: str | None
    what: str


class CampaignResult(BaseModel):
    """What happened, by kind, and what was found; the same seed is the same result."""

    seed: int
    orders: int
    fills: int
    decisions: int
    episodes: int
    steps: int
    choice_points: int
    faults: dict[str, int]
    manners: dict[str, int]
    acts: dict[str, int]
    alarms: dict[str, int]
    processes_died: int
    digest: str
    """Of the whole history."""
    failure: Failure | None = None
    story: list[str] = []

    def seen(self) -> dict[str, int]:
        """How often each fault, manner and owner's act has happened."""
        return self.faults | self.manners | self.acts


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """What became of an episode, as its process hands it on; ``drawn`` is how many choices were made in it."""

    seed: str
    counts: Counter[str]
    digest: bytes
    findings: list[Finding]
    drawn: int


class Campaign:
    """``orders`` to be reached, within ``minutes`` of real time.

    Episodes know nothing of each other: so many ``processes`` play them, and their results are taken in order. How
    many there are changes nothing of what is found.
    """

    def __init__(
        self,
        seed: int,
        orders: int,
        minutes: float | None = None,
        *,
        users: int = USERS,
        busy_ticks: int = BUSY_TICKS,
        processes: int = 1,
    ) -> None:
        self._seed = seed
        self._orders = orders
        self._minutes = minutes
        self._users = users
        self._busy_ticks = busy_ticks
        self._processes = processes

    def run(self, on_progress: Callable[[int], None] = lambda _: None) -> CampaignResult:
        """Everything; ends with the first finding, which is then made as short as it can be."""
        with rare_garbage_collection():
            return self._run(on_progress)

    def _run(self, on_progress: Callable[[int], None]) -> CampaignResult:
        totals: Counter[str] = Counter()
        digest = sha256()
        began = monotonic()
        with closing(self._episodes()) as episodes:
            while totals["orders"] < self._orders and not self._time_is_up(began):
                episode = next(episodes)
                totals += episode.counts
                totals["episodes"] += 1
                digest.update(episode.digest)
                on_progress(min(totals["orders"], self._orders))
                if episode.findings:
                    episodes.close()
                    failure = shortest(episode.findings[0], episode.seed, self._users, self._busy_ticks, episode.drawn)
                    return self._result(totals, digest.hexdigest(), failure, format_story(failure)[-STORY_LINES:])
        return self._result(totals, digest.hexdigest(), None, [])

    def _episodes(self) -> Generator[EpisodeResult]:
        """One episode after the other, without end; whoever has enough closes it."""
        seeds = (f"{self._seed}:{number}" for number in count())
        play = partial(play_episode, users=self._users, busy_ticks=self._busy_ticks)
        if self._processes == 1:
            yield from map(play, seeds)
            return
        spawning, others = multiprocessing.get_context("spawn"), set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(self._processes, spawning, initializer=collect_garbage_seldom)
        try:
            playing: deque[Future[EpisodeResult]] = deque()
            for seed in seeds:
                playing.append(pool.submit(play, seed))
                if len(playing) > self._processes:
                    yield playing.popleft().result()
        finally:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()  # whatever it plays, nobody takes any more
            pool.shutdown(cancel_futures=True)

    def _time_is_up(self, began: float) -> bool:
        return self._minutes is not None and monotonic() - began > self._minutes * 60

    def _result(self, totals: Counter[str], digest: str, failure: Failure | None, story: list[str]) -> CampaignResult:
        return CampaignResult(
            seed=self._seed,
            orders=totals["orders"],
            fills=totals["fills"],
            decisions=totals["decisions"],
            episodes=totals["episodes"],
            steps=totals["steps"],
            choice_points=totals["choice_points"],
            faults={fault: totals[f"fault:{fault}"] for fault in sorted(FAULTS)},
            manners={manner: totals[f"manner:{manner}"] for manner in Manner},
            acts={act: totals[f"act:{act}"] for act in Act},
            alarms=_of_kind(totals, "alarm"),
            processes_died=totals["process_died"],
            digest=digest,
            failure=failure,
            story=story,
        )


def play_episode(seed: str, *, users: int, busy_ticks: int) -> EpisodeResult:
    """Play one episode to its end."""
    episode = Episode(seed, users=users, busy_ticks=busy_ticks)
    findings = episode.run()
    world = episode.world
    return EpisodeResult(seed, episode.counts(), world.digest(), findings, world.choices.drawn)


def collect_garbage_seldom() -> None:
    """Look for cycles once in some episodes: they make few that are garbage, and many objects to look through."""
    gc.freeze()
    gc.set_threshold(1_000_000, 10, 10)


@contextmanager
def rare_garbage_collection() -> Iterator[None]:
    """Look for cycles seldom for as long as this lasts."""
    before = gc.get_threshold()
    collect_garbage_seldom()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def shortest(finding: Finding, seed: str, users: int, busy_ticks: int, drawn: int) -> Failure:
    """The shortest prefix of an episode that still breaks the same invariant: so many draws, and then calm.

    Looked for by halves, as if what fails after so many draws failed after more of them; the one that is told fails.
    """
    too_few, enough, found = 0, drawn, finding
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        again = [
            one
            for one in Episode(seed, users=users, busy_ticks=busy_ticks, calm_after=middle).run()
            if one.invariant is finding.invariant
        ]
        if again:
            enough, found = middle, again[0]
        else:
            too_few = middle
    return Failure(
        seed=seed,
        users=users,
        busy_ticks=busy_ticks,
        calm_after=enough,
        invariant=found.invariant,
        step=found.step,
        user_id=found.user_id,
        what=found.what,
    )


def format_story(failure: Failure, on_line: Callable[[str], None] | None = None) -> list[str]:
    """What happened in a failing prefix, as far as it is about the user whom it failed; every line where it is nobody.

    ``on_line`` is handed every line, whoever it is about.
    """
    episode = Episode(
        failure.seed,
        users=failure.users,
        busy_ticks=failure.busy_ticks,
        calm_after=failure.calm_after,
    )
    episode.world.on_line = on_line
    findings = episode.run()
    lines = episode.world.history
    if failure.user_id is not None:
        lines = _about(failure.user_id, lines)
    return [*lines, *(f"FOUND {one.invariant} at step {one.step}, {one.user_id}: {one.what}" for one in findings)]


def read_failure(path: Path) -> Failure:
    """What a campaign wrote of its failure; raises InvalidRequestError for anything else."""
    try:
        document = json.loads(path.read_text())
        return Failure.model_validate(document["failure"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        raise InvalidRequestError(
            "replay", f"--replay is {path}, expected what `simulate --json` printed of a failure"
        ) from None


def _about(user_id: str, lines: list[str]) -> list[str]:
    """The lines about a user: their own, and those of the runs that they are in."""
    runs = {line.split(" begins ")[0].split()[-1] for line in lines if " begins " in line and user_id in line.split()}
    runs = {run.rpartition("#")[2] for run in runs}
    told = ("OPERATOR", "EXCHANGE", "the calm", "the exchange's manners")
    return [
        line
        for line in lines
        if user_id in line
        or any(word in line for word in told)
        or any(f"#{run}" in line for run in _numbers(line) & runs)
    ]


def _numbers(line: str) -> set[str]:
    """The numbers of the runs that a line names."""
    return {word[: len(word) - len(word.lstrip("0123456789"))] for word in line.split("#")[1:]}


def _of_kind(totals: Counter[str], kind: str) -> dict[str, int]:
    return {name.partition(":")[2]: totals[name] for name in sorted(totals) if name.startswith(f"{kind}:")}
