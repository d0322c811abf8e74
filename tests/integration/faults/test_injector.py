"""Who is struck, asked of the injector itself."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from workbench.faults.injector import Fault, Injector, RequestInfo
from workbench.faults.kinds import FaultKind, Where

START = 1_700_000_010
PUT = RequestInfo(Where.DATABASE_WRITE, "ann", "dynamodb.PutItem", frozenset({"orders"}))
SHARED = RequestInfo(Where.BATCH_READ, None, "dynamodb.BatchGetItem", frozenset({"cache"}))
KINDS = [FaultKind.DB_TIMEOUT, FaultKind.THROTTLED]


def met(injector: Injector, occasion: RequestInfo, times: int) -> list[Fault | None]:
    return [injector.inject(occasion) for _ in range(times)]


def test_every_request_of_a_user_is_a_draw_of_its_own() -> None:
    drawn = met(Injector(lambda: START, kinds=KINDS, rate=0.5), PUT, 50)
    assert 10 < drawn.count(None) < 40
    assert len(set(drawn)) > 10


def test_what_all_share_meets_the_same_all_through_a_moment() -> None:
    now = [START]
    injector = Injector(lambda: now[0], kinds=KINDS, rate=0.5)
    moments = []
    for _ in range(20):
        now[0] += 30
        moments.append(set(met(injector, SHARED, 5)))
    assert [len(moment) for moment in moments] == [1] * 20
    assert 5 < moments.count({None}) < 15


def test_a_moment_is_drawn_alike_whatever_came_before_it() -> None:
    """So that a worker which replaces another one goes on where that would have."""
    now = [START]
    first, replacement = (Injector(lambda: now[0], seed=1, kinds=KINDS, rate=0.5) for _ in range(2))
    met(first, PUT, 7)
    now[0] += 30
    assert met(first, PUT, 20) == met(replacement, PUT, 20)


@pytest.mark.parametrize("seeds", [(1, 2), ("1", "2"), (1, "1:again")])
def test_another_seed_is_another_run(seeds: tuple[int | str, int | str]) -> None:
    one, other = (met(Injector(lambda: START, seed=seed, kinds=KINDS, rate=0.5), PUT, 20) for seed in seeds)
    assert one != other


def test_without_kinds_or_rate_nothing_is_struck() -> None:
    assert set(met(Injector(lambda: START, rate=1.0), PUT, 20)) == {None}
    assert set(met(Injector(lambda: START, kinds=KINDS), PUT, 20)) == {None}
    assert set(met(Injector(lambda: START, kinds=[FaultKind.KMS_FAILED], rate=1.0), PUT, 20)) == {None}


def test_a_script_comes_before_chance() -> None:
    injector = Injector(lambda: START, kinds=[FaultKind.THROTTLED], rate=1.0)
    injector.script(FaultKind.DB_TIMEOUT, Where.DATABASE_WRITE, times=2)
    kinds = [fault and fault.kind for fault in met(injector, PUT, 3)]
    assert kinds == [FaultKind.DB_TIMEOUT, FaultKind.DB_TIMEOUT, FaultKind.THROTTLED]


def test_many_threads_are_struck_as_often_as_scripted_and_counted_each() -> None:
    injector = Injector(lambda: START)
    injector.script(FaultKind.DB_TIMEOUT, Where.DATABASE_WRITE, times=300)
    with ThreadPoolExecutor(8) as pool:
        struck = list(pool.map(lambda _: injector.inject(PUT), range(1_000)))
    assert sum(fault is not None for fault in struck) == 300
    assert injector.counts() == {FaultKind.DB_TIMEOUT: 300}
    assert injector.unplayed() == []
