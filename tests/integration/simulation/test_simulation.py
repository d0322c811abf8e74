"""The simulation itself: a history is one seed's, it finds nothing where all is well, and what is put back wrong."""

import os
import subprocess
import sys
from pathlib import Path

from tests.integration.simulation.mutants import MUTANTS
from workbench.simulation.choices import Choices
from workbench.simulation.episode import Episode

ROOT = Path(__file__).parents[3]


def a_short_episode(seed: str, calm_after: int | None = None) -> Episode:
    episode = Episode(seed, users=1, busy_ticks=2, calm_after=calm_after)
    episode.run()
    return episode


def test_the_same_seed_is_the_same_history() -> None:
    one, again, other = a_short_episode("7"), a_short_episode("7"), a_short_episode("8")
    assert one.world.scheduler.steps > 100
    assert one.world.digest() == again.world.digest() != other.world.digest()


def test_no_choice_hangs_on_how_many_random_bytes_were_taken_before() -> None:
    """Modules take some as they are first imported: the first episode of a process would not be the one of a replay."""
    one, other = Choices("7"), Choices("7")
    assert one.random_bytes(16) == other.random_bytes(16)
    one.random_bytes(16)
    assert [one.between(0, 10**9) for _ in range(3)] == [other.between(0, 10**9) for _ in range(3)]


def test_a_prefix_begins_as_the_whole_does_and_then_nothing_fails_any_more() -> None:
    whole, prefix = a_short_episode("7"), a_short_episode("7", calm_after=600)
    assert whole.world.choices.drawn > 600
    begun = prefix.world.history.index(next(line for line in prefix.world.history if "the calm begins" in line))
    assert begun > 50
    assert prefix.world.history[: begun // 2] == whole.world.history[: begun // 2]


def test_an_order_that_is_sent_again_is_found() -> None:
    """One of the mutants, with the order of sets that its figures in docs/reliability.md were measured with."""
    hunt = "import sys; from tests.integration.simulation import mutants as m; sys.exit(m.main(['resend']))"
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    ended = subprocess.run(
        [sys.executable, "-c", hunt], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "sent_once" in ended.stdout


def test_every_mutant_says_what_is_wrong() -> None:
    assert all(mutant.__doc__ for mutant in MUTANTS.values())
    assert len(MUTANTS) >= 15
