"""How an S3 store is reached: the client, its time limits and retries, and the reasons of its errors.

With `s3`, the only place that knows boto3. Errors leave here as TrainerError with the reason that tells what to mend.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import boto3
import urllib3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError

from tweetbot_api.conditions import Reason
from tweetbot_api.runconfig import S3Location
from tweetbot_api.spec.output import S3Encryption
from tweetbot_trainer.errors import TrainerError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

DEFAULT_REGION: Final = "us-east-1"
MIB: Final = 1024 * 1024
_CONCURRENCY: Final = 8
_MOST_CONNECTIONS: Final = 4 * _CONCURRENCY + 2
"""Kept open: several bots are read and stored at once."""
_MAKING_CLIENTS: Final = Lock()
TRANSFER: Final = TransferConfig(
    multipart_threshold=16 * MIB,
    multipart_chunksize=16 * MIB,
    max_concurrency=_CONCURRENCY,
    # Each with all the attempts of its requests: a store that never answers is given up after some minutes.
    num_download_attempts=2,
    # The other client, in C, is chosen by machine type and knows other limits and errors.
    preferred_transfer_client="classic",
)
"""Parts large enough that few requests are lost to latency, small enough that a repeated one costs little."""
_MAX_ATTEMPTS = 5
_CONNECT_SECONDS = 10
_READ_SECONDS = 40
_NOT_FOUND = 404
_TRANSIENT_STATUS = frozenset({408, 409, 412, 429})
# A file that was just listed may be gone; other codes with 404 are a store's way to say that it knows no such user.
_GONE_CODES = frozenset({"NoSuchKey", "NoSuchUpload", "NotFound", "404"})
_TRANSIENT_CODES = _GONE_CODES | frozenset({"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable"})
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
# botocore repeats a request that gets no answer, but not one whose answer breaks off. The last two are not its own.
_BROKEN_ANSWERS = (IncompleteReadError, ResponseStreamingError, ResponseParserError, urllib3.exceptions.HTTPError)
_ON_THE_WAY = (BotoCoreError, ResponseParserError, urllib3.exceptions.HTTPError)
_WHOLE_ANSWER_ATTEMPTS = 3


def open_client(location: S3Location) -> "S3Client":
    """Return the client of this process with the credentials of the environment or of the pod's identity.

    Bots that reach their stores in the same way share it, and with it its connections; threads may.
    """
    # boto3 makes clients in one thread at a time only.
    with _MAKING_CLIENTS:
        return _make_client(location.endpoint, location.region, location.checksums)


@cache
def _make_client(
    endpoint: str | None, region: str | None, checksums: Literal["when_supported", "when_required"] | None
) -> "S3Client":
    # Other servers than AWS know neither buckets as host names nor the newer checksums.
    chosen = checksums or ("when_required" if endpoint else "when_supported")
    config = Config(
        retries={"mode": "standard", "max_attempts": _MAX_ATTEMPTS},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_MOST_CONNECTIONS,
        s3={"addressing_style": "path" if endpoint else "auto"},
        request_checksum_calculation=chosen,
        response_checksum_validation=chosen,
    )
    region = region or (DEFAULT_REGION if endpoint else None)
    return boto3.client("s3", endpoint_url=endpoint, region_name=region, config=config)


def encryption_arguments(encryption: S3Encryption | None) -> dict[str, Any]:
    """Return the arguments that every write carries."""
    if encryption is None:
        return {}
    key = {"SSEKMSKeyId": encryption.kms_key_id} if encryption.kms_key_id else {}
    return {"ServerSideEncryption": encryption.algorithm, **key}


def repeat_until_whole(uri: str, action: Callable[[], _Result]) -> _Result:
    """Return what the action returns, repeating it if an answer breaks off; raise TrainerError if it fails."""
    with _named_errors(uri):
        for _ in range(1, _WHOLE_ANSWER_ATTEMPTS):
            try:
                return action()
            except _BROKEN_ANSWERS as error:
                logger.info("answer broke off uri=%s error=%r", uri, error)
        return action()


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
    except _ON_THE_WAY as error:
        raise TrainerError(Reason.STORAGE_UNAVAILABLE, f"{uri} cannot be reached: {error}") from error


def status_of(error: ClientError) -> int:
    """Return the HTTP status of the store's answer."""
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


def is_missing(client: "S3Client", bucket: str, error: ClientError) -> bool:
    """Tell whether the error means that there is no such object; raise BucketNotFound if there is no bucket either.

    The answer to HEAD has no body, so a second HEAD tells bucket from key.
    """
    if status_of(error) != _NOT_FOUND:
        return False
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as bucket_error:
        if status_of(bucket_error) == _NOT_FOUND:
            raise TrainerError(Reason.BUCKET_NOT_FOUND, f"there is no bucket {bucket}") from error
    return True


def _named(error: ClientError, uri: str) -> TrainerError:
    """Return the error that the owner of the bot can act on."""
    code = error.response.get("Error", {}).get("Code", "")
    status = status_of(error)
    if code == "NoSuchBucket":
        return TrainerError(Reason.BUCKET_NOT_FOUND, f"there is no bucket for {uri}")
    if status >= 500 or status in _TRANSIENT_STATUS or code in _TRANSIENT_CODES:
        return TrainerError(Reason.STORAGE_UNAVAILABLE, f"the store failed on {uri}: {error}")
    return TrainerError(Reason.STORAGE_ACCESS_DENIED, f"the store refused {uri}: {error}")
