"""A database or key service that does not do what it is asked to is told in our words, whichever table it is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botbalance.errors import TransientError
from botbalance.store.accounts import AccountsTable, Lease
from botbalance.store.credentials import CredentialsTable
from botbalance.store.decisions import DecisionsTable
from botbalance.store.orders import OrdersTable
from botbalance.store.strategies import StrategiesTable
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.unit.store.concurrent_writers import decided
from tests.unit.store.conftest import NOW
from tests.unit.store.faults import not_reached, refused
from tests.unit.store.test_credentials import KEY
from tests.unit.store.test_decisions import TICK, a_decision
from tests.unit.store.test_orders import an_order
from tests.unit.store.test_strategies import STRATEGY

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient


# The failures are the client's to meet, before any engine sees a request: one engine is enough.
pytestmark = pytest.mark.parametrize("client", ["moto"], indirect=True, scope="session")


@dataclass(frozen=True)
class Stores:
    """Every table that is somebody's only copy, with one item each."""

    strategies: StrategiesTable
    orders: OrdersTable
    decisions: DecisionsTable
    credentials: CredentialsTable
    accounts: AccountsTable
    lease: Lease


@pytest.fixture
def stores(
    strategies: StrategiesTable,
    orders: OrdersTable,
    decisions: DecisionsTable,
    credentials: CredentialsTable,
    accounts: AccountsTable,
    lease: Lease,
) -> Stores:
    strategies.save(STRATEGY)
    orders.create(an_order(), lease, decided(lease))
    decisions.log(a_decision(), lease)
    credentials.save("alice", "okx", KEY, NOW)
    return Stores(strategies, orders, decisions, credentials, accounts, lease)


type Call = Callable[[Stores], object]

DATABASE: dict[str, tuple[str, Call]] = {
    "strategies.find": ("GetItem", lambda on: on.strategies.find("alice")),
    "strategies.get": ("GetItem", lambda on: on.strategies.get("alice")),
    "strategies.find_many": ("BatchGetItem", lambda on: on.strategies.find_many(["alice"])),
    "strategies.save": ("PutItem", lambda on: on.strategies.save(STRATEGY.model_copy(update={"version": 1}))),
    "strategies.users_to_tick": ("Query", lambda on: list(on.strategies.users_to_tick())),
    "orders.create": ("TransactWriteItems", lambda on: on.orders.create(an_order(1), on.lease, decided(on.lease))),
    "orders.update": ("TransactWriteItems", lambda on: on.orders.update(an_order(), on.lease)),
    "orders.find": ("GetItem", lambda on: on.orders.find("alice", an_order().client_order_id)),
    "orders.get": ("GetItem", lambda on: on.orders.get("alice", an_order().client_order_id)),
    "orders.watched": ("Query", lambda on: on.orders.unreconciled("alice")),
    "orders.page": ("Query", lambda on: on.orders.page("alice", limit=1)),
    "orders.every": ("Query", lambda on: list(on.orders.iter_all("alice"))),
    "decisions.log": ("PutItem", lambda on: on.decisions.log(a_decision(TICK + 30), on.lease)),
    "decisions.get": ("GetItem", lambda on: on.decisions.get("alice", TICK)),
    "decisions.page": ("Query", lambda on: on.decisions.page("alice", limit=1)),
    "credentials.save": ("TransactWriteItems", lambda on: on.credentials.save("alice", "binance", KEY, NOW)),
    "credentials.find": ("GetItem", lambda on: on.credentials.find("alice", "okx")),
    "credentials.find_many": ("BatchGetItem", lambda on: on.credentials.find_many([("alice", "okx")])),
    "credentials.decrypt": ("GetItem", lambda on: on.credentials.decrypt("alice", "okx")),
    "credentials.delete": ("TransactWriteItems", lambda on: on.credentials.delete("alice", "okx")),
    "accounts.acquire": ("UpdateItem", lambda on: on.accounts.acquire("bob", NOW)),
    "accounts.acquire for a tick": ("UpdateItem", lambda on: on.accounts.acquire("bob", NOW, ts_tick=TICK)),
    "accounts.find_state": ("GetItem", lambda on: on.accounts.find_state("bob")),
}
KEY_SERVICE: dict[str, tuple[str, Call]] = {
    "credentials.save": ("Decrypt", lambda on: on.credentials.save("alice", "okx", KEY, NOW)),
    "credentials.save of a shard's first": ("GenerateDataKey", lambda on: on.credentials.save("bob", "okx", KEY, NOW)),
    "credentials.decrypt": ("Decrypt", lambda on: on.credentials.decrypt("alice", "okx")),
}
READING_AGAIN: dict[str, Call] = {
    "strategies.save": lambda on: on.strategies.save(STRATEGY),
    "orders.create": lambda on: on.orders.create(an_order(placed_at=NOW), on.lease, decided(on.lease)),
    "orders.update": lambda on: on.orders.update(an_order(revision=7), on.lease),
}
"""Writes whose condition does not hold: whether that is their own doing is read again."""

type Trouble = Callable[[Any, str], AbstractContextManager[None]]


def _refused(code: str) -> Trouble:
    return lambda client, operation: refused(client, operation, code)


TROUBLES: dict[str, Trouble] = {
    "throttled": _refused("ProvisionedThroughputExceededException"),
    "limited": _refused("RequestLimitExceeded"),
    "failing": _refused("InternalServerError"),
    "not allowed": _refused("AccessDeniedException"),
    "gone": _refused("ResourceNotFoundException"),
    "timed out": not_reached,
}


def check(stores: Stores, client: Any, operation: str, call: Call, trouble: Trouble) -> TransientError:
    with trouble(client, operation), pytest.raises(TransientError) as raised:
        call(stores)
    assert raised.value.code == "storage_unavailable"
    assert isinstance(raised.value.__cause__, (ClientError, ReadTimeoutError))
    assert KEY.secret not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(("operation", "call"), DATABASE.values(), ids=DATABASE)
def test_every_failure_of_the_database_passes_by_itself(
    stores: Stores, dynamodb: "DynamoDBClient", operation: str, call: Call
) -> None:
    for trouble in TROUBLES.values():
        check(stores, dynamodb, operation, call, trouble)


@pytest.mark.parametrize(("operation", "call"), KEY_SERVICE.values(), ids=KEY_SERVICE)
def test_every_failure_of_the_key_service_passes_by_itself(
    stores: Stores, kms: "KMSClient", operation: str, call: Call
) -> None:
    for trouble in (*TROUBLES.values(), _refused("KMSInvalidStateException"), _refused("DisabledException")):
        assert "the key service" in str(check(stores, kms, operation, call, trouble))


@pytest.mark.parametrize("call", READING_AGAIN.values(), ids=READING_AGAIN)
def test_a_write_of_which_it_cannot_be_read_whose_it_is_is_neither_done_nor_lost(
    stores: Stores, dynamodb: "DynamoDBClient", call: Call
) -> None:
    for trouble in TROUBLES.values():
        check(stores, dynamodb, "GetItem", call, trouble)


def test_the_error_says_what_the_database_answered(stores: Stores, dynamodb: "DynamoDBClient") -> None:
    operation, call = DATABASE["strategies.find"]
    assert "(ResourceNotFoundException)" in str(check(stores, dynamodb, operation, call, TROUBLES["gone"]))
    assert "(ReadTimeoutError)" in str(check(stores, dynamodb, operation, call, TROUBLES["timed out"]))


def test_a_failing_write_leaves_everything_as_it_was(stores: Stores, dynamodb: "DynamoDBClient") -> None:
    for operation, call in DATABASE.values():
        for trouble in TROUBLES.values():
            check(stores, dynamodb, operation, call, trouble)
    assert stores.strategies.get("alice").version == 1
    assert list(stores.orders.iter_all("alice")) == [an_order()]
    assert stores.decisions.page("alice", limit=10).items == [a_decision()]
    assert stores.credentials.decrypt("alice", "okx") == KEY
    assert stores.credentials.find("alice", "binance") is None
    lease, _ = stores.accounts.acquire("bob", NOW, ts_tick=TICK)
    assert lease.fencing_token == 1
