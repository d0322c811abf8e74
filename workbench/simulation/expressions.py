"""DynamoDB's expressions: conditions, key conditions, filters, updates and projections, as far as the store uses them.

An expression is parsed once into functions of an item; its names and values are looked up when it is evaluated. Values
are as in requests: ``{"S": "text"}``, ``{"N": "1"}``.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

type Item = dict[str, Any]
type Values = Mapping[str, Any]
type Operand = Callable[[Item, Values], Any]
type Condition = Callable[[Item, Values], bool]

_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),+\-]|[:#]?[A-Za-z_][A-Za-z0-9_]*)")
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "<>": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


class ExpressionError(ValueError):
    """An expression that DynamoDB does not understand, or that is not understood here."""


@dataclass(frozen=True, slots=True)
class Update:
    """What an update expression does: sets attributes, removes others, and adds to numbers."""

    sets: tuple[tuple[str, Operand], ...]
    removes: tuple[str, ...]
    adds: tuple[tuple[str, Operand], ...]

    def apply(self, item: Item, values: Values) -> Item:
        """The item after the update; every operand sees it as it was before."""
        updated = item | {name: operand(item, values) for name, operand in self.sets}
        for name, operand in self.adds:
            updated[name] = _number(comparable(item.get(name, {"N": "0"})) + comparable(operand(item, values)))
        for name in self.removes:
            updated.pop(name, None)
        return updated


def comparable(value: Any) -> Any:
    """An attribute's value as something that sorts and compares as DynamoDB does; None for one that is not there."""
    if value is None:
        return None
    ((kind, content),) = value.items()
    if kind == "N":
        return Decimal(content)
    if kind == "S":
        return content.encode()
    if kind == "B":
        return bytes(content)
    return content


def as_json(value: Any) -> Any:
    """An attribute's value as it stands in an answer of DynamoDB's: binary in base64."""
    return {"B": b64encode(value["B"]).decode()} if "B" in value else value


@lru_cache(1024)
def parse_condition(expression: str, names: tuple[tuple[str, str], ...] = ()) -> Condition:
    """A condition, key condition or filter; raises ExpressionError. ``names`` are what ``#name`` stands for."""
    parser = _Parser(expression, dict(names))
    condition = parser.either()
    parser.require_end()
    return condition


@lru_cache(1024)
def parse_update(expression: str, names: tuple[tuple[str, str], ...] = ()) -> Update:
    """An update expression; raises ExpressionError."""
    parser = _Parser(expression, dict(names))
    update = parser.update()
    parser.require_end()
    return update


@lru_cache(1024)
def parse_projection(expression: str, names: tuple[tuple[str, str], ...] = ()) -> tuple[str, ...]:
    """The attributes that a projection names."""
    known = dict(names)
    return tuple(known.get(name.strip(), name.strip()) for name in expression.split(","))


class _Parser:
    def __init__(self, expression: str, names: dict[str, str]) -> None:
        self._expression = expression
        self._names = names
        self._tokens: list[str] = []
        position = 0
        text = expression.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ExpressionError(f"the expression is {expression!r}, not understood at {text[position:]!r}")
            self._tokens.append(match[1])
            position = match.end()
        self._next = 0

    # conditions

    def either(self) -> Condition:
        condition = self._all()
        while self._take("OR"):
            condition = _either(condition, self._all())
        return condition

    def _all(self) -> Condition:
        condition = self._one()
        while self._take("AND"):
            condition = _both(condition, self._one())
        return condition

    def _one(self) -> Condition:
        if self._take("NOT"):
            denied = self._one()
            return lambda item, values: not denied(item, values)
        if self._take("("):
            condition = self.either()
            self._require(")")
            return condition
        name = self._peek()
        if name in _FUNCTIONS and self._peek(1) == "(":
            return self._function(name)
        return self._comparison()

    def _function(self, name: str) -> Condition:
        self._next += 2
        attribute = self._attribute()
        operand: Operand | None = None
        if self._take(","):
            operand = self._operand()
        self._require(")")
        return _FUNCTIONS[name](attribute, operand)

    def _comparison(self) -> Condition:
        left = self._operand()
        if self._take("BETWEEN"):
            lowest = self._operand()
            self._require("AND")
            highest = self._operand()
            return _between(left, lowest, highest)
        if self._take("IN"):
            self._require("(")
            listed = [self._operand()]
            while self._take(","):
                listed.append(self._operand())
            self._require(")")
            return lambda item, values: any(left(item, values) == one(item, values) for one in listed)
        sign = self._word()
        if sign not in _COMPARISONS:
            raise ExpressionError(f"the expression is {self._expression!r}, expected a comparison at {sign!r}")
        return _compared(left, _COMPARISONS[sign], self._operand())

    # updates

    def update(self) -> Update:
        sets: list[tuple[str, Operand]] = []
        removes: list[str] = []
        adds: list[tuple[str, Operand]] = []
        while self._next < len(self._tokens):
            clause = self._word().upper()
            while True:
                attribute = self._attribute()
                if clause == "SET":
                    self._require("=")
                    sets.append((attribute, self._sum()))
                elif clause == "REMOVE":
                    removes.append(attribute)
                elif clause == "ADD":
                    adds.append((attribute, self._operand()))
                else:
                    raise ExpressionError(f"the update is {self._expression!r}, expected SET, REMOVE or ADD")
                if not self._take(","):
                    break
        return Update(tuple(sets), tuple(removes), tuple(adds))

    def _sum(self) -> Operand:
        total = self._term()
        while self._peek() in {"+", "-"}:
            total = _added(total, self._word(), self._term())
        return total

    def _term(self) -> Operand:
        if self._peek() == "if_not_exists" and self._peek(1) == "(":
            self._next += 2
            attribute = self._attribute()
            self._require(",")
            otherwise = self._operand()
            self._require(")")
            return lambda item, values: item[attribute] if attribute in item else otherwise(item, values)
        return self._operand()

    # words

    def _operand(self) -> Operand:
        word = self._word()
        if word.startswith(":"):
            return lambda _, values: values[word]
        if word == "size" and self._take("("):
            attribute = self._attribute()
            self._require(")")
            return lambda item, _: {"N": str(len(comparable(item[attribute])))} if attribute in item else None
        attribute = self._names.get(word, word)
        return lambda item, _: item.get(attribute)

    def _attribute(self) -> str:
        word = self._word()
        return self._names.get(word, word)

    def _peek(self, ahead: int = 0) -> str:
        place = self._next + ahead
        return self._tokens[place] if place < len(self._tokens) else ""

    def _word(self) -> str:
        word = self._peek()
        if not word:
            raise ExpressionError(f"the expression is {self._expression!r}, which ends too early")
        self._next += 1
        return word

    def _take(self, word: str) -> bool:
        if self._peek().upper() != word:
            return False
        self._next += 1
        return True

    def _require(self, word: str) -> None:
        if not self._take(word):
            raise ExpressionError(f"the expression is {self._expression!r}, expected {word} at {self._peek()!r}")

    def require_end(self) -> None:
        if self._next < len(self._tokens):
            raise ExpressionError(f"the expression is {self._expression!r}, not understood from {self._peek()!r} on")


def _either(first: Condition, second: Condition) -> Condition:
    return lambda item, values: first(item, values) or second(item, values)


def _both(first: Condition, second: Condition) -> Condition:
    return lambda item, values: first(item, values) and second(item, values)


def _compared(left: Operand, compare: Callable[[Any, Any], bool], right: Operand) -> Condition:
    def holds(item: Item, values: Values) -> bool:
        one, other = left(item, values), right(item, values)
        if one is None or other is None or one.keys() != other.keys():
            return compare is _COMPARISONS["<>"]  # what is not there, or of another type, is only different
        return compare(comparable(one), comparable(other))

    return holds


def _between(operand: Operand, lowest: Operand, highest: Operand) -> Condition:
    from_lowest = _compared(operand, _COMPARISONS[">="], lowest)
    return _both(from_lowest, _compared(operand, _COMPARISONS["<="], highest))


def _added(left: Operand, sign: str, right: Operand) -> Operand:
    def total(item: Item, values: Values) -> Any:
        one, other = comparable(left(item, values)), comparable(right(item, values))
        return _number(one + other if sign == "+" else one - other)

    return total


def _number(number: Decimal) -> dict[str, str]:
    return {"N": f"{number:f}"}


def _exists(attribute: str, _: Operand | None) -> Condition:
    return lambda item, __: attribute in item


def _not_exists(attribute: str, _: Operand | None) -> Condition:
    return lambda item, __: attribute not in item


def _begins_with(attribute: str, operand: Operand | None) -> Condition:
    def holds(item: Item, values: Values) -> bool:
        prefix = None if operand is None else operand(item, values)
        found = item.get(attribute)
        if found is None or prefix is None or found.keys() != prefix.keys():
            return False
        return bool(comparable(found).startswith(comparable(prefix)))

    return holds


def _contains(attribute: str, operand: Operand | None) -> Condition:
    def holds(item: Item, values: Values) -> bool:
        part = None if operand is None else operand(item, values)
        found = item.get(attribute)
        if found is None or part is None:
            return False
        if "SS" in found:
            return part.get("S") in found["SS"]
        return found.keys() == part.keys() and comparable(part) in comparable(found)

    return holds


_FUNCTIONS: dict[str, Callable[[str, Operand | None], Condition]] = {
    "attribute_exists": _exists,
    "attribute_not_exists": _not_exists,
    "begins_with": _begins_with,
    "contains": _contains,
}
