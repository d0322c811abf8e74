"""A user's key of an exchange: in the clear for as long as a request takes, and what may be known of it otherwise."""

from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class ExchangeKey:
    """A key in the clear; its secrets are not in its repr."""

    api_key: str = field(repr=False)
    secret: str = field(repr=False)
    password: str = field(default="", repr=False)


class StoredKey(BaseModel, frozen=True):
    """What may be known of a stored key; ``hint`` is its last four characters, ``version`` rises when it is
    replaced."""

    schema_version: Literal[1] = 1
    user_id: str
    exchange: str
    hint: str
    version: int
