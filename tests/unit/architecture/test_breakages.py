"""The breakages that the suite has to notice are of the code as it is, and name tests that there are."""

import pytest

from tests.mutations.__main__ import ROOT, Mutation, read_mutations


@pytest.mark.parametrize("mutation", read_mutations(), ids=lambda one: one.means)
def test_every_breakage_applies_and_its_tests_are_there(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    assert mutation.new != mutation.old
    assert mutation.tests
    assert all((ROOT / test).is_file() for test in mutation.tests)
