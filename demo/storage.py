"""The demo's S3 side: buckets, what goes in before the run, and a check of what the run left there."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from demo.environment import Environment

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

OUTPUT_BUCKET, TWEETS_BUCKET, MODELS_BUCKET = "bots", "tweets", "models"


def connect(environment: Environment) -> "S3Client":
    """Return a client for the environment's store."""
    return boto3.client(
        "s3",
        endpoint_url=environment.s3_endpoint,
        aws_access_key_id=environment.variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment.variables["AWS_SECRET_ACCESS_KEY"],
        region_name=environment.variables.get("AWS_DEFAULT_REGION", "us-east-1"),
        config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
    )


def make_buckets(client: "S3Client") -> None:
    """Make the demo's buckets where they are missing."""
    present = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for bucket in {OUTPUT_BUCKET, TWEETS_BUCKET, MODELS_BUCKET} - present:
        client.create_bucket(Bucket=bucket)


def upload_folder(client: "S3Client", folder: Path, bucket: str, prefix: str) -> None:
    """Upload the files of a folder that are not there yet in the same size."""
    sizes = {item["Key"]: item["Size"] for item in list_objects(client, bucket, prefix)}
    for path in sorted(folder.iterdir()):
        key = f"{prefix}/{path.name}"
        if sizes.get(key) != path.stat().st_size:
            client.upload_file(str(path), bucket, key)


def list_objects(client: "S3Client", bucket: str, prefix: str) -> list[dict[str, object]]:
    """Return key and size of every object below the prefix."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    return [{"Key": item["Key"], "Size": item["Size"]} for page in pages for item in page.get("Contents", [])]


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and key of an `s3://` address."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def mismatches(client: "S3Client", manifest_uri: str, manifest_sha256: str) -> list[str]:
    """Return what of a run's files in S3 differs from its manifest, or the manifest from the hash in the status."""
    bucket, key = split_uri(manifest_uri)
    prefix = key.rsplit("/", 1)[0]
    manifest = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    wrong = [] if hashlib.sha256(manifest).hexdigest() == manifest_sha256 else [key]
    for entry in json.loads(manifest)["files"]:
        body = client.get_object(Bucket=bucket, Key=f"{prefix}/{entry['path']}")["Body"]
        digest = hashlib.sha256()
        for chunk in body.iter_chunks(1 << 20):
            digest.update(chunk)
        if digest.hexdigest() != entry["sha256"]:
            wrong.append(entry["path"])
    return wrong
