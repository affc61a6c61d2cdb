"""A deleted bot whose files go with it, on an S3 server that keeps every version."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.bots import Bots

pytestmark = pytest.mark.e2e


@pytest.fixture
def bucket(bots: Bots) -> Iterator[str]:
    """A bucket with versioning, removed with all that a test leaves in it."""
    name = f"versioned-{bots.namespace}"
    bots.s3.create_bucket(Bucket=name)
    bots.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    yield name
    for item in versions(bots.s3, name):
        bots.s3.delete_object(Bucket=name, Key=item["Key"], VersionId=item["VersionId"])
    bots.s3.delete_bucket(Bucket=name)


def versions(s3: Any, bucket: str) -> list[dict[str, Any]]:
    """Return all versions and delete markers."""
    listed = s3.list_object_versions(Bucket=bucket)
    return [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]


def uploads(s3: Any, bucket: str) -> list[str]:
    """Return the keys of uploads that were never finished."""
    return [upload["Key"] for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def test_nothing_of_a_deleted_bot_is_left_in_a_bucket_with_versions(bots: Bots, bucket: str) -> None:
    bots.upload_archive("ann", posts=120)
    bots.apply("ann", output={"deletionPolicy": "Delete", "s3": {"bucket": bucket}})
    ended = bots.wait_until_ended("ann")
    assert ended["status"]["phase"] == "Succeeded", ended["status"].get("failure")
    folder = f"{bots.namespace}/ann"
    (overwritten, removed, *_) = bots.keys(bucket, folder)
    bots.s3.put_object(Bucket=bucket, Key=overwritten, Body=b"a newer version")
    bots.s3.delete_object(Bucket=bucket, Key=removed)
    bots.s3.create_multipart_upload(Bucket=bucket, Key=f"{folder}/unfinished")
    bots.s3.put_object(Bucket=bucket, Key=f"{folder}a/of-another-bot", Body=b"")
    num_versions = len(versions(bots.s3, bucket)) - 1

    bots.kubectl("delete", "tweetbot", "ann", "--timeout=120s")

    assert [item["Key"] for item in versions(bots.s3, bucket)] == [f"{folder}a/of-another-bot"]
    assert uploads(bots.s3, bucket) == []
    receipt = bots.kubectl("get", "events", "--field-selector=reason=Purged", "-o=jsonpath={.items[*].message}")
    assert re.match(
        rf"deleted {num_versions} versions and 1 unfinished uploads below s3://{bucket}/{folder}/$", receipt
    )
