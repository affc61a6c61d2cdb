"""The S3 side of the stores: the run's prefix as a Store, and files at `s3://` and `file://` addresses."""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError
from s3transfer.utils import ChunksizeAdjuster

from tweetbot_api.conditions import Reason
from tweetbot_api.runconfig import S3Location
from tweetbot_api.spec.output import S3Encryption
from tweetbot_trainer.artifacts import LocalStore, Store, StoredFile, checked_key, file_sha256
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.s3_client import (
    MIB,
    TRANSFER,
    encryption_arguments,
    is_missing,
    open_client,
    repeat_until_whole,
    status_of,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

_EXISTS: Final = 412
# What stores answer that do not know a conditional write.
_NOT_IMPLEMENTED: Final = frozenset({400, 501})


class S3Store:
    """A key prefix of a bucket as a store."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str, encryption: S3Encryption | None = None) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._write_arguments = encryption_arguments(encryption)

    def uri(self, key: str) -> str:
        """Return the `s3://` address of a key."""
        return f"s3://{self._bucket}/{self._key(key)}"

    def exists(self, key: str) -> bool:
        """Tell whether the object is there; a missing bucket is an error."""

        def ask() -> bool:
            try:
                self._client.head_object(Bucket=self._bucket, Key=self._key(key))
            except ClientError as error:
                if is_missing(self._client, self._bucket, error):
                    return False
                raise
            return True

        return repeat_until_whole(self.uri(key), ask)

    def read_bytes(self, key: str) -> bytes | None:
        """Return the object's content, or None if it is not there."""

        def read() -> bytes | None:
            try:
                return self._client.get_object(Bucket=self._bucket, Key=self._key(key))["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None

        return repeat_until_whole(self.uri(key), read)

    def write_bytes(self, key: str, data: bytes) -> None:
        """Store the object."""
        repeat_until_whole(
            self.uri(key),
            lambda: self._client.put_object(
                Bucket=self._bucket, Key=self._key(key), Body=data, **self._write_arguments
            ),
        )

    def create(self, key: str, data: bytes) -> bool:
        """Store the object unless there is one; tell whether it was stored.

        A store that does not know conditional writes is asked first, which leaves a moment in between.
        """

        def put() -> bool | None:
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=self._key(key), Body=data, IfNoneMatch="*", **self._write_arguments
                )
            except ClientError as error:
                if status_of(error) == _EXISTS:
                    return False
                if status_of(error) not in _NOT_IMPLEMENTED:
                    raise
                logger.info("the store knows no conditional write status=%d", status_of(error))
                return None
            return True

        is_stored = repeat_until_whole(self.uri(key), put)
        if is_stored is None:
            is_stored = not self.exists(key)
            if is_stored:
                self.write_bytes(key, data)
        return is_stored

    def upload(self, path: Path, key: str) -> None:
        """Store a local file, a large one in parallel parts."""
        repeat_until_whole(
            self.uri(key),
            lambda: self._client.upload_file(
                str(path), self._bucket, self._key(key), ExtraArgs=dict(self._write_arguments), Config=TRANSFER
            ),
        )

    def download(self, key: str, path: Path) -> None:
        """Copy the object to a local file."""
        _download(self._client, self._bucket, self._key(key), path, missing=Reason.STORAGE_UNAVAILABLE)

    def delete(self, key: str) -> None:
        """Remove the object."""
        repeat_until_whole(self.uri(key), lambda: self._client.delete_object(Bucket=self._bucket, Key=self._key(key)))

    def list(self, prefix: str = "") -> list[str]:
        """Return all keys below the run's prefix that begin with this one."""
        return list(self.files(prefix))

    def files(self, prefix: str = "") -> dict[str, StoredFile]:
        """Return size and ETag of all objects below the run's prefix whose keys begin with this one."""
        start = f"{self._prefix}/" if self._prefix else ""
        found = repeat_until_whole(self.uri(prefix), lambda: list(_list(self._client, self._bucket, start + prefix)))
        return {key.removeprefix(start): file for key, file in found}

    def holds(self, key: str, path: Path, stored: StoredFile) -> bool:
        """Tell whether the object is a copy of the local file, by size and ETag, or by reading it back."""
        if stored.bytes != path.stat().st_size:
            return False
        if stored.tag == (_md5_of_parts(path) if "-" in stored.tag else _md5(path)):
            return True

        def compare() -> bool:
            head = self._client.head_object(Bucket=self._bucket, Key=self._key(key))
            if head.get("ServerSideEncryption", "").startswith("aws:kms"):
                # Such an ETag says nothing of the content; the store has checked each request's signed hash.
                return True
            return _sha256(self._client, self._bucket, self._key(key)) == file_sha256(path)

        return repeat_until_whole(self.uri(key), compare)

    def discard_unfinished(self) -> None:
        """Free the parts of uploads that a killed attempt or a lost answer left; a failure costs only storage."""
        try:
            repeat_until_whole(self.uri(""), self._abort_uploads)
        except TrainerError as error:
            logger.info("unfinished uploads not looked for error=%s", error)

    def _abort_uploads(self) -> None:
        unfinished = self._client.get_paginator("list_multipart_uploads")
        for page in unfinished.paginate(Bucket=self._bucket, Prefix=self._key("")):
            for upload in page.get("Uploads", []):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                logger.info("unfinished upload discarded key=%s", upload["Key"])

    def _key(self, key: str) -> str:
        return "/".join((self._prefix, checked_key(key))) if self._prefix else checked_key(key)


def open_store(output: S3Location) -> S3Store:
    """Return the store of one run."""
    return S3Store(open_client(output), output.bucket, output.prefix, output.encryption)


def open_store_at(uri: str, location: S3Location) -> Store:
    """Return the store below an `s3://` or `file://` prefix; the location says how the S3 store is reached."""
    scheme, bucket, prefix = _parts(uri)
    if scheme == "file":
        return LocalStore(Path(prefix))
    return S3Store(open_client(location), bucket, prefix.strip("/"), location.encryption)


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
    client = open_client(location)
    found = repeat_until_whole(uri, lambda: list(_list(client, bucket, start)))
    names = [key.removeprefix(start) for key, _ in found]
    return [name for name in names if name and name == PurePosixPath(name).name]


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


def _list(client: "S3Client", bucket: str, prefix: str) -> Iterator[tuple[str, StoredFile]]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            yield item["Key"], StoredFile(bytes=item["Size"], tag=item.get("ETag", "").strip('"'))


def _sha256(client: "S3Client", bucket: str, key: str) -> str:
    """Return the hash of an object's content, read in portions."""
    digest = hashlib.sha256()
    for portion in client.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(MIB):
        digest.update(portion)
    return digest.hexdigest()


def _download(client: "S3Client", bucket: str, key: str, path: Path, *, missing: Reason) -> None:
    """Stream the object to the file, which is there only once it is whole."""
    uri = f"s3://{bucket}/{key}"
    path.parent.mkdir(parents=True, exist_ok=True)

    def download() -> None:
        try:
            client.download_file(bucket, key, str(path), Config=TRANSFER)
        except ClientError as error:
            if is_missing(client, bucket, error):
                raise TrainerError(missing, f"there is no file at {uri}") from error
            raise

    repeat_until_whole(uri, download)


def _md5(path: Path) -> str:
    """Return what most stores call the ETag of an object that was stored by one request."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _new_md5).hexdigest()


def _md5_of_parts(path: Path) -> str:
    """Return what most stores call the ETag of an object that the transfer manager has stored in parts."""
    size = path.stat().st_size
    part_size = ChunksizeAdjuster().adjust_chunksize(TRANSFER.multipart_chunksize, size)
    digest, num_parts = _new_md5(), 0
    with path.open("rb") as file:
        while part := file.read(part_size):
            digest.update(_new_md5(part).digest())
            num_parts += 1
    return f"{digest.hexdigest()}-{num_parts}"


def _new_md5(data: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(data, usedforsecurity=False)
