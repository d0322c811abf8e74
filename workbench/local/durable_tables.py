"""The tables of a run at home: in memory as in the simulation, and each write in a file before it is answered.

SQLite keeps the file. A request's writes are one transaction of it, synced to the disk before the tables in memory
change, so that what was answered is there after a kill or a power cut, and what was not is there whole or not at all.
"""

import json
import sqlite3
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from botbalance.errors import InvalidRequestError
from botocore.exceptions import ClientError

from workbench.aws.template import Template
from workbench.simulation.database import Database, Write
from workbench.simulation.dynamodb import InMemoryDynamoDB
from workbench.simulation.expressions import as_json

FILE = "state.sqlite3"
_TABLE_PROPERTIES = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "LocalSecondaryIndexes")
_NOT_KEPT = frozenset({"CacheTable"})
"""Nothing in it is anybody's only copy."""


@contextmanager
def durable_tables(template: Template, folder: Path, now: int) -> Iterator[InMemoryDynamoDB]:
    """The template's tables, by their logical ids, with what ``folder`` has of them; it is made where there is none.

    What has expired at ``now`` (epoch seconds) is left out. Raises InvalidRequestError where the folder cannot be used,
    as while another run uses it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(folder / FILE, timeout=0, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise InvalidRequestError("data_folder", f"--data is {folder}, which cannot be used: {error}") from None
    with closing(connection):
        try:
            _prepare(connection)
        except sqlite3.Error as error:
            why = "another run uses it" if "locked" in str(error) else f"{FILE} cannot be read: {error}"
            raise InvalidRequestError("data_folder", f"--data is {folder}: {why}") from None
        yield InMemoryDynamoDB(_loaded(template, connection, now))


def _prepare(connection: sqlite3.Connection) -> None:
    """Lock the file until the connection is closed, and have every commit synced to the disk."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    with connection:
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS items (table_name TEXT, item_key TEXT, item TEXT, "
            "PRIMARY KEY (table_name, item_key)) WITHOUT ROWID"
        )


def _loaded(template: Template, connection: sqlite3.Connection, now: int) -> Database:
    database = Database(keep=lambda writes: _keep(connection, writes))
    tables: Mapping[str, Any] = template.resources("AWS::DynamoDB::Table")
    for name, properties in tables.items():
        wanted = {key: properties[key] for key in _TABLE_PROPERTIES if key in properties}
        database.create_table(TableName=name, **wanted)
    for name, text in connection.execute("SELECT table_name, item FROM items"):
        if name in database.tables:  # of a table that is no more, whatever it held
            item = json.loads(text, object_hook=_bytes)
            table = database.tables[name]
            table.put(table.primary_key(item), item)
    for name, properties in tables.items():
        if "TimeToLiveSpecification" in properties:
            database.expire(name, properties["TimeToLiveSpecification"]["AttributeName"], now)
    return database


def _keep(connection: sqlite3.Connection, writes: list[Write]) -> None:
    """Write ``writes`` to the file, all or none; raises as DynamoDB does where that cannot be."""
    kept = [(table, repr(key), item) for table, key, item in writes if table not in _NOT_KEPT]
    if not kept:
        return
    try:
        with connection:
            for table, key, item in kept:
                if item is None:
                    connection.execute("DELETE FROM items WHERE table_name = ? AND item_key = ?", (table, key))
                else:
                    text = json.dumps(item, default=_base64)
                    connection.execute("INSERT OR REPLACE INTO items VALUES (?, ?, ?)", (table, key, text))
    except sqlite3.Error as error:
        response: Any = {"Error": {"Code": "InternalServerError", "Message": str(error)}}
        raise ClientError(response, "Write") from error


def _base64(value: Any) -> Any:
    if isinstance(value, bytes):
        return as_json({"B": value})["B"]
    raise TypeError(f"{type(value).__name__} is nothing that DynamoDB keeps")


def _bytes(value: dict[str, Any]) -> dict[str, Any]:
    return {"B": b64decode(value["B"])} if set(value) == {"B"} else value
