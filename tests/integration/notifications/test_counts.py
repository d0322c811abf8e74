"""What a message takes of AWS, counted: whoever makes it dearer has to say so in the bill."""

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botbalance.models.notification import Channel, DeliveryState

from tests.integration.notifications.conftest import START, World
from workbench.aws.cost import MESSAGE_TO_OWNER, MessageToOwner
from workbench.aws.template import Template
from workbench.aws.usage_meter import UsageMeter

_PROPERTIES = ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes", "LocalSecondaryIndexes")


@pytest.fixture
def metered(world: World, template: Template) -> Iterator[UsageMeter]:
    """Counts what the functions ask of the database, over tables of moto's."""
    with closing(boto3.client("dynamodb")) as client, closing(boto3.client("dynamodb")) as reader:
        tables = {}
        for name, properties in template.resources("AWS::DynamoDB::Table").items():
            wanted: Any = {key: properties[key] for key in _PROPERTIES if key in properties}
            tables[name] = f"botbalance-test-{name}"
            client.create_table(TableName=tables[name], **wanted)
        meter = UsageMeter(
            template, tables, lambda table, key: reader.get_item(TableName=table, Key=key).get("Item", {})
        )
        world.services.dynamodb = client
        meter.watch(client)
        for other in (world.services.sqs, world.services.kms):
            meter.watch(other)
        yield meter


def test_what_a_digest_takes(world: World, metered: UsageMeter) -> None:
    world.set_up(Channel.WEBHOOK, digest="silent", digest_hour=(START // 3_600 + 1) % 24)
    world.now = START + 3_600
    metered.reset()
    world.due()
    made = metered.read_units, metered.write_units
    world.deliver()
    assert world.states() == [(Channel.WEBHOOK, DeliveryState.SENT)]
    assert made[1] > 0
    found = MessageToOwner(
        read_units=metered.read_units - 8 * Decimal("0.5"),  # of the index's shards, asked once for everybody
        write_units=Decimal(metered.write_units),
        kms=Decimal(sum(n for name, n in metered.used.items() if name.startswith("kms."))),
    )
    metered.reset()
    assert world.due() == 0
    assert metered.read_units == 8 * Decimal("0.5")
    assert found == MESSAGE_TO_OWNER
