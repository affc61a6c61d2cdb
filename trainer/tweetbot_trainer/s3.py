"""The S3 side of the stores: the run's prefix as a Store, and files at `s3://` and `file://` addresses.

The only file that imports boto3. Its errors leave here as TrainerError with the reason that tells what to mend.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
)

from tweetbot_api.conditions import Reason
from tweetbot_api.runconfig import S3Location
from tweetbot_trainer.artifacts import checked_key
from tweetbot_trainer.errors import TrainerError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DEFAULT_REGION: Final = "us-east-1"
_MAX_ATTEMPTS = 6
_NOT_FOUND = 404
_TRANSIENT_STATUS = frozenset({408, 409, 412, 429})
# A file that was just listed may be gone; other codes with 404 are a store's way to say that it knows no such user.
_GONE_CODES = frozenset({"NoSuchKey", "NoSuchUpload", "NotFound", "404"})
_TRANSIENT_CODES = _GONE_CODES | frozenset({"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable"})
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)


class S3Store:
    """A key prefix of a bucket as a store."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix

    def uri(self, key: str) -> str:
        """Return the `s3://` address of a key."""
        return f"s3://{self._bucket}/{self._key(key)}"

    def exists(self, key: str) -> bool:
        """Tell whether the object is there; a missing bucket is an error."""
        with _named_errors(self.uri(key)):
            return _has_object(self._client, self._bucket, self._key(key))

    def read_bytes(self, key: str) -> bytes | None:
        """Return the object's content, or None if it is not there."""
        with _named_errors(self.uri(key)):
            try:
                return self._client.get_object(Bucket=self._bucket, Key=self._key(key))["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None

    def write_bytes(self, key: str, data: bytes) -> None:
        """Store the object."""
        with _named_errors(self.uri(key)):
            self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=data)

    def upload(self, path: Path, key: str) -> None:
        """Store a local file, a large one in parallel parts."""
        with _named_errors(self.uri(key)):
            self._client.upload_file(str(path), self._bucket, self._key(key))

    def download(self, key: str, path: Path) -> None:
        """Copy the object to a local file."""
        _download(self._client, self._bucket, self._key(key), path, missing=Reason.STORAGE_UNAVAILABLE)

    def list(self, prefix: str = "") -> list[str]:
        """Return all keys below the run's prefix that begin with this one."""
        start = f"{self._prefix}/" if self._prefix else ""
        with _named_errors(self.uri(prefix)):
            return [key.removeprefix(start) for key in _list(self._client, self._bucket, start + prefix)]

    def _key(self, key: str) -> str:
        return "/".join(part for part in (self._prefix, checked_key(key)) if part)


def open_store(output: S3Location) -> S3Store:
    """Return the store of one run."""
    return S3Store(open_client(output), output.bucket, output.prefix)


def open_client(location: S3Location) -> "S3Client":
    """Return a client with the credentials of the environment or of the pod's identity."""
    config = Config(
        retries={"mode": "standard", "max_attempts": _MAX_ATTEMPTS},
        connect_timeout=10,
        read_timeout=60,
        # Other servers than AWS know neither buckets as host names nor the newer checksums.
        s3={"addressing_style": "path" if location.endpoint else "auto"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    region = location.region or (DEFAULT_REGION if location.endpoint else None)
    return boto3.client("s3", endpoint_url=location.endpoint, region_name=region, config=config)


def fetch_uri(uri: str, path: Path, location: S3Location) -> Path:
    """Return a local file with the content at the address; an object is downloaded to `path`, a file stays in place.

    The location says how the S3 store is reached; bucket and key come from the address.
    """
    scheme, bucket, key = _parts(uri)
    if scheme == "file":
        if not Path(key).is_file():
            raise TrainerError(Reason.SOURCE_NOT_FOUND, f"there is no file at {uri}")
        return Path(key)
    _download(open_client(location), bucket, key, path, missing=Reason.SOURCE_NOT_FOUND)
    return path


def list_prefix(uri: str, location: S3Location) -> list[str]:
    """Return the names of the objects directly below an `s3://` prefix."""
    _, bucket, prefix = _parts(uri)
    start = f"{prefix.rstrip('/')}/"
    with _named_errors(uri):
        keys = [key.removeprefix(start) for key in _list(open_client(location), bucket, start)]
    return [name for name in keys if name and name == PurePosixPath(name).name]


def fetch_prefix(uri: str, names: list[str], folder: Path, location: S3Location) -> None:
    """Download the named objects directly below an `s3://` prefix into the folder."""
    _, bucket, prefix = _parts(uri)
    client = open_client(location)
    for name in names:
        path = folder / checked_key(name)
        _download(client, bucket, f"{prefix.rstrip('/')}/{name}", path, missing=Reason.STORAGE_UNAVAILABLE)


def _parts(uri: str) -> tuple[str, str, str]:
    """Return scheme, bucket and key (or absolute path) of an address."""
    parts = urlsplit(uri, allow_fragments=False)
    if parts.scheme == "file":
        return "file", "", unquote(parts.path)
    return parts.scheme, parts.netloc, uri.split("://", 1)[1].partition("/")[2]


def _list(client: "S3Client", bucket: str, prefix: str) -> Iterator[str]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            yield item["Key"]


def _has_object(client: "S3Client", bucket: str, key: str) -> bool:
    """Tell whether the object is there; the answer to HEAD has no body, so a second HEAD tells bucket from key."""
    try:
        client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if _status(error) != _NOT_FOUND:
            raise
        try:
            client.head_bucket(Bucket=bucket)
        except ClientError as bucket_error:
            if _status(bucket_error) == _NOT_FOUND:
                raise TrainerError(Reason.BUCKET_NOT_FOUND, f"there is no bucket {bucket}") from error
        return False
    return True


def _download(client: "S3Client", bucket: str, key: str, path: Path, *, missing: Reason) -> None:
    uri = f"s3://{bucket}/{key}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with _named_errors(uri):
        if not _has_object(client, bucket, key):
            raise TrainerError(missing, f"there is no file at {uri}")
        client.download_file(bucket, key, str(path))


@contextmanager
def _named_errors(uri: str) -> Iterator[None]:
    """Raise TrainerError for everything that S3 or the way to it can raise."""
    try:
        yield
    except ClientError as error:
        raise _named(error, uri) from error
    except Boto3Error as error:
        # The transfer manager wraps the client's error and keeps it as context only.
        cause = error.__context__
        if isinstance(cause, ClientError):
            raise _named(cause, uri) from error
        raise TrainerError(Reason.STORAGE_UNAVAILABLE, f"{uri}: {error}") from error
    except _NO_CREDENTIALS as error:
        raise TrainerError(Reason.STORAGE_ACCESS_DENIED, f"no usable credentials for {uri}: {error}") from error
    except BotoCoreError as error:
        raise TrainerError(Reason.STORAGE_UNAVAILABLE, f"{uri} cannot be reached: {error}") from error


def _named(error: ClientError, uri: str) -> TrainerError:
    """Return the error that the owner of the bot can act on."""
    code = error.response.get("Error", {}).get("Code", "")
    status = _status(error)
    if code == "NoSuchBucket":
        return TrainerError(Reason.BUCKET_NOT_FOUND, f"there is no bucket for {uri}")
    if status >= 500 or status in _TRANSIENT_STATUS or code in _TRANSIENT_CODES:
        return TrainerError(Reason.STORAGE_UNAVAILABLE, f"the store failed on {uri}: {error}")
    return TrainerError(Reason.STORAGE_ACCESS_DENIED, f"the store refused {uri}: {error}")


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
