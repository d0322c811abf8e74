"""executor: as many threads as are wanted, and none for one thing at a time."""

from threading import get_ident

import pytest
from botbalance.executors import executor


@pytest.mark.parametrize("threads", [1, 2])
def test_results_come_in_order_and_a_failure_is_told_to_whoever_asks(threads: int) -> None:
    with executor(threads) as pool:
        failed = pool.submit(int, "one")
        assert list(pool.map(int, ["1", "2", "3"])) == [1, 2, 3]
        with pytest.raises(ValueError, match="one"):
            failed.result()


def test_one_thing_at_a_time_is_done_by_whoever_submits_it() -> None:
    with executor(1) as alone, executor(2) as several:
        assert alone.submit(get_ident).result() == get_ident()
        assert several.submit(get_ident).result() != get_ident()
