"""Delete all that a bot's runs have stored: every version, every delete marker, every unfinished upload.

Done only when the store's own lists are empty. Objects are deleted one by one: a request that deletes many must carry a
checksum of a kind that many S3-compatible stores do not know.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome, Purged
from tweetbot_api.runconfig import RunConfig
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.progress import Reporter
from tweetbot_trainer.s3_client import open_client, repeat_until_whole
from tweetbot_trainer.tracking import Tracker

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

_MOST_ROUNDS: Final = 5


def purge(config: RunConfig, store: Store, reporter: Reporter, tracker: Tracker, work_dir: Path) -> BotOutcome:  # noqa: ARG001 - a StageFunction
    """Empty the folder of the bot; `config.output.prefix` is that of all its runs. Raise TrainerError if it cannot."""
    folder = BotFolder(open_client(config.output), config.output.bucket, config.output.prefix)
    versions = uploads = 0
    for _ in range(_MOST_ROUNDS):
        deleted, aborted = repeat_until_whole(config.output.uri, folder.delete_all)
        versions, uploads = versions + deleted, uploads + aborted
        if deleted == aborted == 0:
            logger.info("purged uri=%s versions=%d uploads=%d", config.output.uri, versions, uploads)
            return BotOutcome(purged=Purged(versions=versions, uploads=uploads))
    raise TrainerError(Reason.PURGE_FAILED, f"something still writes to {config.output.uri}: it does not become empty")


class BotFolder:
    """The objects below a prefix."""

    def __init__(self, client: "S3Client", bucket: str, prefix: str) -> None:
        if not prefix.strip("/"):
            raise ValueError("a bot's folder has a name; a whole bucket is never purged")
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/"

    def delete_all(self) -> tuple[int, int]:
        """Delete what is listed now; return how many versions and how many unfinished uploads that were."""
        versions = list(self._versions())
        for key, version in versions:
            self._client.delete_object(Bucket=self._bucket, Key=key, VersionId=version)
        plain = list(self._objects())
        for key in plain:
            self._client.delete_object(Bucket=self._bucket, Key=key)
        uploads = list(self._uploads())
        for key, upload in uploads:
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
        return len(versions) + len(plain), len(uploads)

    def _versions(self) -> Iterator[tuple[str, str]]:
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=self._prefix)
        for page in pages:
            for item in page.get("Versions", []):
                yield item["Key"], item["VersionId"]
            for marker in page.get("DeleteMarkers", []):
                yield marker["Key"], marker["VersionId"]

    def _objects(self) -> Iterator[str]:
        """Yield what a store that knows no versions has not listed as such."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        for page in pages:
            for item in page.get("Contents", []):
                yield item["Key"]

    def _uploads(self) -> Iterator[tuple[str, str]]:
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=self._prefix)
        for page in pages:
            for item in page.get("Uploads", []):
                yield item["Key"], item["UploadId"]
