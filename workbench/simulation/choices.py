"""Everything that is left to chance, from one seed and in one order."""

from collections import Counter
from collections.abc import Sequence
from random import Random


class Choices:
    """Draws by name, counted. After the draw number ``calm_after`` nothing goes wrong and nobody acts any more."""

    def __init__(self, seed: str, calm_after: int | None = None) -> None:
        self._random = Random(seed)
        self._bytes = Random(f"{seed} bytes")  # modules take some as they are first imported, which shifts no choice
        self._calm_after = calm_after
        self.drawn = 0
        self.calm = False
        self.counts: Counter[str] = Counter()

    def happens(self, chance: float) -> bool:
        """Whether something does that has this chance (0 to 1); never in the calm."""
        self.drawn += 1
        if self._calm_after is not None and self.drawn > self._calm_after:
            self.calm = True
        return self._random.random() < chance and not self.calm

    def choose_one[T](self, things: Sequence[T]) -> T:
        """One of ``things``."""
        return things[int(self._random.random() * len(things))]

    def choose_some[T](self, things: Sequence[T], number: int) -> list[T]:
        """``number`` different ones of ``things``."""
        return self._random.sample(things, number)

    def between(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return least + int(self._random.random() * (most - least + 1))

    def random_bytes(self, number: int) -> bytes:
        """In place of the machine's own."""
        return self._bytes.randbytes(number)

    def count(self, what: str) -> None:
        """Note that something happened."""
        self.counts[what] += 1
