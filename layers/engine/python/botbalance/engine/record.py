"""The engine's records: data classes that nobody changes."""

from dataclasses import dataclass
from typing import dataclass_transform


@dataclass_transform(frozen_default=True)
def record[T](cls: type[T]) -> type[T]:
    """A data class with slots and a hash, frozen for the type checker alone.

    One that Python itself freezes takes five times as long to make, which was most of a decision.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
