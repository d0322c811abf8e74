"""CloudWatch's filter patterns on JSON lines, as far as the template has them: MiniStack applies none."""

import re
from collections.abc import Mapping
from typing import Any

_CONDITION = re.compile(r'\$\.(\w+) (=|!=) "([^"]*)"')


def matches(pattern: str, line: Mapping[str, Any]) -> bool:
    """Whether a metric filter with ``pattern`` (``{ $.alarm = "x" || $.alarm = "y" }``) counts the line.

    Raises ValueError for a pattern that this does not understand.
    """
    inner = pattern.strip().removeprefix("{").removesuffix("}").strip()
    return any(all(_holds(part, line) for part in one.split("&&")) for one in inner.split("||"))


def _holds(condition: str, line: Mapping[str, Any]) -> bool:
    parsed = _CONDITION.fullmatch(condition.strip())
    if parsed is None:
        raise ValueError(f'condition {condition!r}, expected $.name = "text" or $.name != "text"')
    name, operator, text = parsed.groups()
    if name not in line:
        return False  # neither equal nor different: CloudWatch matches nothing that is not there
    if text == "*":
        return operator == "="
    return (str(line[name]) == text) is (operator == "=")
