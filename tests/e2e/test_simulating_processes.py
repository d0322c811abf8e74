"""`botbalance simulate` finds the same however many processes play its episodes."""

from tests.e2e.command import run
from tests.thorough import thorough_only


@thorough_only
def test_episodes_in_several_processes_are_the_same_campaign() -> None:
    campaign = ("simulate", "--seed", "3", "--orders", "1500", "--json", "--processes")
    alone, together = (run(*campaign, processes)[:2] for processes in ("1", "2"))
    assert '"episodes": 1,' not in alone[1]
    assert together == alone
