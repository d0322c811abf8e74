"""Copies the built dashboard into its bucket: a custom resource, so that one deployment brings it and rolls it back.

Old files with a hash in their name stay, for tabs that are open; they go with the stack.
"""

import json
import mimetypes
import urllib.request
from pathlib import Path
from typing import Any

import boto3

DIST = Path(__file__).parent / "dist"
IMMUTABLE = "public, max-age=31536000, immutable"
"""Of files whose name changes with their content."""
ASK_AGAIN = "no-cache"
_HASHED = "assets/"


def lambda_handler(event: dict[str, Any], context: Any) -> None:
    """Answer one request of CloudFormation's, whatever happens: otherwise it waits for an hour."""
    outcome = {"Status": "SUCCESS", "Reason": "done"}
    properties = event["ResourceProperties"]
    try:
        if event["RequestType"] == "Delete":
            empty(properties["Bucket"])
        else:
            publish(properties["Bucket"], json.loads(properties["Config"]))
    except Exception as error:  # noqa: BLE001 - CloudFormation is told, and rolls back
        outcome = {"Status": "FAILED", "Reason": f"{type(error).__name__}: {error}"[:1000]}
    print(json.dumps({"message": "web files", "request": event["RequestType"], **outcome}))
    body = outcome | {
        "PhysicalResourceId": properties["Bucket"],
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    request = urllib.request.Request(  # noqa: S310 - the address is CloudFormation's
        event["ResponseURL"], data=json.dumps(body).encode(), method="PUT", headers={"Content-Type": ""}
    )
    urllib.request.urlopen(request, timeout=30).close()  # noqa: S310


def publish(bucket: str, config: dict[str, Any]) -> None:
    """Write every file, the page itself last: whoever loads it finds what it names."""
    if not (DIST / "index.html").is_file():
        raise FileNotFoundError("the dashboard is not built: run make web, then make deploy again")
    client = boto3.client("s3")
    files = sorted(path for path in DIST.rglob("*") if path.is_file() and path.name != "index.html")
    for path in files:
        _put(client, bucket, path.relative_to(DIST).as_posix(), path.read_bytes())
    _put(client, bucket, "config.json", json.dumps(config).encode())
    _put(client, bucket, "index.html", (DIST / "index.html").read_bytes())


def empty(bucket: str) -> None:
    """Delete every version of every file, so that the bucket can go."""
    client = boto3.client("s3")
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for found in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            client.delete_object(Bucket=bucket, Key=found["Key"], VersionId=found["VersionId"])


def _put(client: Any, bucket: str, key: str, content: bytes) -> None:
    client.put_object(
        Bucket=bucket,
        Key=key,
        Body=content,
        ContentType=mimetypes.guess_type(key)[0] or "application/octet-stream",
        CacheControl=IMMUTABLE if key.startswith(_HASHED) else ASK_AGAIN,
    )
