"""The simulation itself: a history is one seed's, it finds nothing where all is well, and what is put back wrong."""

from tests.integration.simulation.mutants import MUTANTS
from workbench.simulation.episode import Episode


def a_short_episode(seed: str, calm_after: int | None = None) -> Episode:
    episode = Episode(seed, users=1, busy_ticks=2, calm_after=calm_after)
    episode.run()
    return episode


def test_the_same_seed_is_the_same_history() -> None:
    one, again, other = a_short_episode("7"), a_short_episode("7"), a_short_episode("8")
    assert one.world.scheduler.steps > 100
    assert one.world.digest.digest() == again.world.digest.digest() != other.world.digest.digest()


def test_a_prefix_begins_as_the_whole_does_and_then_nothing_fails_any_more() -> None:
    whole, prefix = Episode("7", users=1, busy_ticks=2, keep_history=True), a_short_episode("7", calm_after=600)
    whole.run()
    assert whole.world.choices.drawn > 600
    kept = Episode("7", users=1, busy_ticks=2, calm_after=600, keep_history=True)
    kept.run()
    assert kept.world.digest.digest() == prefix.world.digest.digest()
    begun = kept.world.history.index(next(line for line in kept.world.history if "the calm begins" in line))
    assert begun > 50
    assert kept.world.history[: begun // 2] == whole.world.history[: begun // 2]


def test_every_mutant_says_what_is_wrong() -> None:
    assert all(mutant.__doc__ for mutant in MUTANTS.values())
    assert len(MUTANTS) >= 15
