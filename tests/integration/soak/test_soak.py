"""Many users, everything failing at random: nothing is lost or doubled, and an audit that finds it if it is."""

import pytest
from botbalance import bootstrap

from tests.integration.soak.mutants import PREPARATIONS, Mutant
from tests.thorough import thorough_only
from tests.unit.api.exports_read_back import TOOLS, moved, parsed_back
from workbench.soak.population import population
from workbench.soak.run import SETTLING_TICKS, Options, Result, Soak, faults_named

LOST_REPLIES = "reset_after,truncated,server_error_after"


def soak(users: int, ticks: int, faults: str, *, rate: float = 0.02, mutant: Mutant | None = None) -> Result:
    prepare = PREPARATIONS[mutant] if mutant else None
    options = Options(users, ticks, faults_named(faults), seed=5, exchange_fault_rate=rate, prepare=prepare)
    return Soak(options).run()


def test_whatever_fails_no_order_is_lost_or_doubled_and_exports_tell_what_was_filled() -> None:
    options = Options(6, 25, faults_named("all"), seed=5, exchange_fault_rate=0.02)
    soak = Soak(options)
    exported: set[str] = set()

    def read_exports_back(ticks: int) -> None:
        if ticks < options.ticks:
            return
        for user in population(options.users, options.seed):
            orders = list(bootstrap.services().context.orders.iter_all(user.user_id))
            for tool in TOOLS:
                assert parsed_back(tool, orders) == moved(orders)
            exported.update(moved(orders))

    result = soak.run(read_exports_back)
    assert len(exported) >= 3, exported
    assert result.findings == []
    assert result.clean
    assert result.orders_placed > 20
    assert sum(result.faults_injected.values()) > 20
    assert result.user_ticks_decided > result.user_ticks / 2


@thorough_only
def test_where_nothing_fails_every_user_has_every_tick() -> None:
    result = soak(3, 8, "none")
    assert result.findings == []
    assert result.faults_injected == {}
    assert result.user_ticks_decided == result.user_ticks == 3 * (8 + SETTLING_TICKS)


@thorough_only
def test_the_audit_finds_orders_that_were_sent_without_an_intent() -> None:
    result = soak(3, 4, LOST_REPLIES, mutant=Mutant.NO_INTENT)
    assert result.orders_lost > 0
    assert not result.clean


@thorough_only
def test_the_audit_finds_orders_that_were_sent_again() -> None:
    result = soak(4, 12, LOST_REPLIES, rate=0.2, mutant=Mutant.RESEND)
    assert result.orders_doubled > 0
    assert result.orders_lost > 0


def test_an_unknown_kind_of_fault_is_named() -> None:
    with pytest.raises(Exception, match="earthquake"):
        faults_named("limited,earthquake")
