"""DynamoDB, SQS and KMS on this machine: moto's server, or another DynamoDB by URL."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from botbalance.errors import TryAgainLater
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.server import ThreadedMotoServer

from workbench.template import Template

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LOOPBACK = "127.0.0.1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""Nobody's: what runs here must never reach a real account."""

_TABLE_PROPERTIES = (
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
)


class EmbeddedAws:
    """The template's tables, queues and keys on loopback; ``dynamodb`` is the URL of another DynamoDB."""

    def __init__(self, template: Template, *, dynamodb: str | None = None) -> None:
        self._template = template
        self._dynamodb = dynamodb
        self._server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)

    def start(self) -> dict[str, str]:
        """Start what is needed and make every resource; returns the functions' environment."""
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # otherwise a line for every request
        self._server.start()
        _, port = self._server.get_host_and_port()
        moto = f"http://{LOOPBACK}:{port}"
        dynamodb = self._dynamodb or moto
        physical_ids = self._tables(dynamodb) | self._queues(moto) | self._keys(moto)
        endpoints = {"DYNAMODB_ENDPOINT": dynamodb, "SQS_ENDPOINT": moto, "KMS_ENDPOINT": moto}
        return self._template.environment(physical_ids) | endpoints

    def stop(self) -> None:
        """Stop the server; what it held is gone."""
        self._server.stop()

    def _tables(self, endpoint: str) -> dict[str, str]:
        quick = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
        try:
            client: DynamoDBClient = boto3.client("dynamodb", endpoint_url=endpoint, config=quick)
            return {
                logical_id: _make_table(client, f"botbalance-{logical_id}", properties)
                for logical_id, properties in self._template.resources("AWS::DynamoDB::Table").items()
            }
        except (BotoCoreError, ValueError) as error:
            raise TryAgainLater("dynamodb_unreachable", f"--dynamodb is {endpoint}: {error}") from error

    def _queues(self, endpoint: str) -> dict[str, str]:
        client = boto3.client("sqs", endpoint_url=endpoint)
        return {
            logical_id: client.create_queue(
                QueueName=f"botbalance-{logical_id}",
                Attributes={"VisibilityTimeout": str(properties.get("VisibilityTimeout", 30))},
            )["QueueUrl"]
            for logical_id, properties in self._template.resources("AWS::SQS::Queue").items()
        }

    def _keys(self, endpoint: str) -> dict[str, str]:
        client = boto3.client("kms", endpoint_url=endpoint)
        keys: Mapping[str, Any] = self._template.resources("AWS::KMS::Key")
        return {logical_id: client.create_key()["KeyMetadata"]["KeyId"] for logical_id in keys}


def _make_table(client: "DynamoDBClient", name: str, properties: Mapping[str, Any]) -> str:
    """Create the table where it does not exist yet; returns its name."""
    wanted: dict[str, Any] = {key: properties[key] for key in _TABLE_PROPERTIES if key in properties}
    try:
        client.create_table(TableName=name, **wanted)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceInUseException":
            raise
    return name
