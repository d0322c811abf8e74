"""`botbalance simulate`: two thousand orders of owners who act, on an exchange with manners, with every fault."""

import json

from tests.e2e.command import finish, start

ORDERS = 2_000
LONGEST_S = 280


def test_two_thousand_orders_with_every_manner_fault_and_act_break_nothing() -> None:
    """In 20,000, as CI has them, each comes ten times as often."""
    process = start("simulate", "--seed", "1", "--orders", str(ORDERS), "--json")
    status, output, errors = finish(process, LONGEST_S)
    assert status == 0, output
    assert "orders in" in errors
    result = json.loads(output)
    assert result["failure"] is None
    assert result["orders"] >= ORDERS
    assert result["processes_died"] > 0
    seen = result["faults"] | result["manners"] | result["acts"]
    assert [name for name, times in seen.items() if not times] == []
