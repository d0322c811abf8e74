"""The names by which faults are asked for."""

import pytest
from botbalance.errors import InvalidRequestError

from workbench.faults.injector import Injector
from workbench.faults.kinds import KINDS, FaultKind, Where, kinds_named


def test_every_kind_has_its_line_in_the_table() -> None:
    assert list(KINDS) == list(FaultKind)
    for kind in FaultKind:
        assert kind.value == kind.name.lower()
        assert kind.describe()
        assert KINDS[kind].where
        assert KINDS[kind].weight > 0
    assert len({kind.describe() for kind in FaultKind}) == len(FaultKind)


def test_everything_that_is_asked_for_can_fail() -> None:
    assert {where for kind in KINDS.values() for where in kind.where} == set(Where)


def test_kinds_are_named_in_a_list() -> None:
    assert kinds_named("all") == set(FaultKind)
    assert kinds_named("limited") == {FaultKind.LIMITED}
    assert kinds_named("limited, db_timeout") == {FaultKind.LIMITED, FaultKind.DB_TIMEOUT}


@pytest.mark.parametrize("names", ["", "LIMITED", "limited,", "limited;banned", "all,limited", "everything"])
def test_any_other_name_is_refused_with_those_there_are(names: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"expected all or some of not_received, .*kms_failed") as raised:
        kinds_named(names)
    assert raised.value.code == "unknown_fault"


def test_a_script_is_checked_when_it_is_written() -> None:
    injector = Injector(lambda: 0)
    with pytest.raises(ValueError, match="where is balances, expected one of place_order for would_take"):
        injector.script(FaultKind.WOULD_TAKE, Where.BALANCES)
    with pytest.raises(ValueError, match="variant is 'xml', expected one of html, "):
        injector.script(FaultKind.GARBAGE, Where.BALANCES, variant="xml")
    assert injector.unplayed() == []
