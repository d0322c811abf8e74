"""DynamoDB, SQS and KMS on this machine: moto's server, or another DynamoDB by URL."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
import requests
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
    """The template's tables, queues and keys on loopback; ``dynamodb`` is the URL of another DynamoDB.

    ``run`` is part of the tables' names: the simulated exchange starts anew with every run, so each has its own.
    """

    def __init__(self, template: Template, *, run: str, dynamodb: str | None = None) -> None:
        self._template = template
        self._dynamodb = dynamodb
        self._run = run
        self._url = ""
        self._server = ThreadedMotoServer(ip_address=LOOPBACK, port=0, verbose=False)

    def start(self) -> dict[str, str]:
        """Start what is needed and make every resource; returns the functions' environment."""
        logging.getLogger("werkzeug").setLevel(logging.WARNING)  # otherwise a line for every request
        self._server.start()
        _, port = self._server.get_host_and_port()
        self._url = moto = f"http://{LOOPBACK}:{port}"
        dynamodb = self._dynamodb or moto
        physical_ids = self._tables(dynamodb) | self._queues(moto) | self._keys(moto)
        endpoints = {"DYNAMODB_ENDPOINT": dynamodb, "SQS_ENDPOINT": moto, "KMS_ENDPOINT": moto}
        return self._template.environment(physical_ids) | endpoints

    def stop(self) -> None:
        """Stop the server; what it held is gone."""
        if self._url:
            requests.post(f"{self._url}/moto-api/reset", timeout=30)  # moto keeps its state for the whole process
        self._server.stop()

    def _tables(self, endpoint: str) -> dict[str, str]:
        names = {
            logical_id: f"botbalance-{self._run}-{logical_id}"
            for logical_id in self._template.resources("AWS::DynamoDB::Table")
        }
        patient = Config(connect_timeout=2, read_timeout=30, retries={"total_max_attempts": 1})
        try:
            client: DynamoDBClient = boto3.client("dynamodb", endpoint_url=endpoint, config=patient)
            for logical_id, properties in self._template.resources("AWS::DynamoDB::Table").items():
                wanted: dict[str, Any] = {key: properties[key] for key in _TABLE_PROPERTIES if key in properties}
                client.create_table(TableName=names[logical_id], **wanted)
        except (BotoCoreError, ClientError, ValueError) as error:
            raise TryAgainLater("dynamodb_unreachable", f"--dynamodb is {endpoint}: {error}") from error
        return names

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
