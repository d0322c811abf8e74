"""Copies the items of one table into another, as after a restoration.

    python -m workbench.aws.copy_items SOURCE TARGET --user SUB

Credentials, region and endpoint are those of the AWS CLI.
"""

from argparse import ArgumentParser
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def copy_items(client: Any, source: str, target: str, user_id: str | None, *, missing: bool) -> int:
    """How many items were copied: those of ``user_id``, or all; where ``missing``, only under keys that ``target``
    does not have. Others are replaced.
    """
    copied = 0
    keys = [part["AttributeName"] for part in client.describe_table(TableName=target)["Table"]["KeySchema"]]
    absent: dict[str, Any] = {
        "ConditionExpression": "attribute_not_exists(#key)",
        "ExpressionAttributeNames": {"#key": keys[0]},
    }
    whose: dict[str, Any] = {
        "FilterExpression": "user_id = :user",
        "ExpressionAttributeValues": {":user": {"S": user_id}},
    }
    scanned = client.get_paginator("scan").paginate(
        TableName=source, ConsistentRead=True, **({} if user_id is None else whose)
    )
    for page in scanned:
        for item in page["Items"]:
            try:
                client.put_item(TableName=target, Item=item, **(absent if missing else {}))
            except client.exceptions.ConditionalCheckFailedException:
                continue
            copied += 1
    return copied


def main() -> None:
    """Copy, and print how many items."""
    parser = ArgumentParser(description="Copies the items of one table into another, as after a restoration.")
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("target", metavar="TARGET")
    parser.add_argument("--user", help="only the items of this user, by the attribute sub")
    parser.add_argument("--missing", action="store_true", help="only items whose key the target does not have")
    arguments = parser.parse_args()
    try:
        copied = copy_items(
            boto3.client("dynamodb"), arguments.source, arguments.target, arguments.user, missing=arguments.missing
        )
    except (BotoCoreError, ClientError) as error:
        parser.exit(1, f"{error}\n")
    print(copied, "item copied" if copied == 1 else "items copied")


if __name__ == "__main__":
    main()
