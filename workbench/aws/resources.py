"""The template's tables, queues and keys on this machine, or its tables in another DynamoDB by URL."""

from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import boto3
from botbalance.errors import TransientError
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from workbench.aws.emulator import LOOPBACK, AwsEmulator
from workbench.aws.template import Template
from workbench.simulation.dynamodb import InMemoryDynamoDB

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import WaiterConfigTypeDef
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_sqs import SQSClient

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",  # nosec B105  # of the emulator, which takes any
    "AWS_DEFAULT_REGION": "us-east-1",
}
"""Nobody's: what runs here must never reach a real account."""
LOCAL_SETTINGS = {
    "PORTFOLIO_MAX_AGE": "0",
    "USER_REQUESTS_PER_MINUTE": "1000000",
    "NOTIFICATION_LOOPBACK": "true",
}
"""Every tick looks at the account: time goes as fast as ticks come here, and candles have a time of their own. Nobody's
requests keep another's from being met. Messages may go to what listens on this machine.
"""

_TABLE_PROPERTIES = (
    "AttributeDefinitions",
    "KeySchema",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "LocalSecondaryIndexes",
)
_PATIENT = Config(connect_timeout=2, read_timeout=30, retries={"total_max_attempts": 1})
_LONGEST_CREATION: "WaiterConfigTypeDef" = {"Delay": 1, "MaxAttempts": 60}


class EmbeddedAws:
    """The template's resources; ``dynamodb`` is the URL of another DynamoDB than the embedded one.

    Those that are started listen at ``host``. ``run`` is part of the tables' names. What another DynamoDB has under
    these names already is used as it is.
    """

    def __init__(self, template: Template, *, run: str, dynamodb: str | None = None, host: str = LOOPBACK) -> None:
        self._template = template
        self._dynamodb = dynamodb
        self._run = run
        self._cloud = AwsEmulator(host)

    def start(self) -> dict[str, str]:
        """Start what is needed and make every resource that is not there; returns the functions' environment.

        Raises TransientError where that cannot be.
        """
        cloud = self._cloud.start()
        dynamodb = self._dynamodb or cloud
        with (
            closing(_dynamodb_client(dynamodb)) as tables,
            closing(boto3.client("sqs", endpoint_url=cloud)) as queues,
            closing(boto3.client("kms", endpoint_url=cloud)) as keys,
        ):
            self._cloud.wait()  # last of all: making the clients took most of the time that it needs
            physical_ids = self._tables(tables) | self._queues(queues) | self._keys(keys)
        endpoints = {"DYNAMODB_ENDPOINT": dynamodb, "SQS_ENDPOINT": cloud, "KMS_ENDPOINT": cloud}
        return self._template.environment(physical_ids) | endpoints

    def stop(self) -> None:
        """End what was started; what it held is gone."""
        self._cloud.stop()

    def _tables(self, client: "DynamoDBClient") -> dict[str, str]:
        tables = self._template.resources("AWS::DynamoDB::Table")
        names = {logical_id: f"botbalance-{self._run}-{logical_id}" for logical_id in tables}
        try:
            for logical_id, properties in tables.items():
                wanted: Any = {key: properties[key] for key in _TABLE_PROPERTIES if key in properties}
                if "StreamSpecification" in properties:  # CloudFormation leaves out that it is enabled
                    wanted["StreamSpecification"] = {"StreamEnabled": True, **properties["StreamSpecification"]}
                with suppress(client.exceptions.ResourceInUseException):
                    client.create_table(TableName=names[logical_id], **wanted)
            active = client.get_waiter("table_exists")
            for name in names.values():
                active.wait(TableName=name, WaiterConfig=_LONGEST_CREATION)
        except (BotoCoreError, ClientError, ValueError) as error:
            raise _no_dynamodb(client.meta.endpoint_url, error) from error
        return names

    def _queues(self, client: "SQSClient") -> dict[str, str]:
        return {
            logical_id: client.create_queue(
                QueueName=f"botbalance-{logical_id}",
                Attributes={"VisibilityTimeout": str(properties.get("VisibilityTimeout", 30))},
            )["QueueUrl"]
            for logical_id, properties in self._template.resources("AWS::SQS::Queue").items()
        }

    def _keys(self, client: "KMSClient") -> dict[str, str]:
        keys = self._template.resources("AWS::KMS::Key")
        return {logical_id: client.create_key()["KeyMetadata"]["KeyId"] for logical_id in keys}


def in_memory_dynamodb(template: Template, run: str) -> InMemoryDynamoDB:
    """The template's tables in this process, under the names that :class:`EmbeddedAws` gives them: much faster."""
    client = InMemoryDynamoDB()
    for logical_id, properties in template.resources("AWS::DynamoDB::Table").items():
        wanted = {key: properties[key] for key in _TABLE_PROPERTIES if key in properties}
        client.create_table(TableName=f"botbalance-{run}-{logical_id}", **wanted)
    return client


def in_process_environment(template: Template, table_prefix: str) -> dict[str, str]:
    """The functions' environment where tables, queues and keys are in this process: nothing in it is an endpoint."""
    tables = {name: table_prefix + name for name in template.resources("AWS::DynamoDB::Table")}
    queues = {name: f"http://{LOOPBACK}/{name}" for name in template.resources("AWS::SQS::Queue")}
    keys = {name: name for name in template.resources("AWS::KMS::Key")}
    return template.environment(tables | queues | keys)


def _dynamodb_client(endpoint: str) -> "DynamoDBClient":
    try:
        return boto3.client("dynamodb", endpoint_url=endpoint, config=_PATIENT)
    except ValueError as error:
        raise _no_dynamodb(endpoint, error) from error


def _no_dynamodb(endpoint: str, error: Exception) -> TransientError:
    return TransientError("dynamodb_unreachable", f"no DynamoDB can be used at {endpoint}: {error}")
