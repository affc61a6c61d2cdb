"""The Job that reads a TweetBotBatch's handles from S3, with the namespace's own credentials, and hands them over."""

import json
from typing import Any

from tweetbot_api import names
from tweetbot_api.bot_batch import CsvFile, TweetBotBatch
from tweetbot_api.exitcodes import ExitCode, is_retryable
from tweetbot_api.messages import HandlesMessage
from tweetbot_api.runconfig import BatchIdentity, ListManifest
from tweetbot_api.types import TweetBot
from tweetbot_operator.bot_batches.bot import build_owner, sample_bot
from tweetbot_operator.bot_batches.handles import Entry
from tweetbot_operator.builders.manifest import Manifest
from tweetbot_operator.builders.pod import build_list_pod
from tweetbot_operator.observed import Key
from tweetbot_operator.resolve import locate_folder, resolve
from tweetbot_operator.settings import OperatorSettings

_TRIES = 4
_PERMANENT = [int(code) for code in ExitCode if code is not ExitCode.OK and not is_retryable(code)]
"""Exit codes that another try would end with again."""
_HIDDEN = str.maketrans("#\n\r", "???")
"""What would end a line or begin a remark in the list: no handle has it, so it is told as wrong."""
_LABELS = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_JOB_KIND: names.LIST_JOB}


def list_job_key(batch: TweetBotBatch, csv: CsvFile) -> Key:
    """Return the name of the Job: another file, column or revision is another Job."""
    list_id = names.digest(batch.metadata.uid, csv.uri, csv.column, csv.revision or "")
    return Key(batch.metadata.namespace, names.list_job_name(batch.metadata.name, list_id))


def build_list_job(batch: TweetBotBatch, csv: CsvFile, settings: OperatorSettings) -> Manifest:
    """Return the Job's manifest. Kubernetes itself tries again what may pass."""
    key = list_job_key(batch, csv)
    resolved = resolve(_sample(batch), settings)
    ttl = settings.defaults.ttl_seconds_after_finished
    permanent = {"containerName": names.CONTAINER, "operator": "In", "values": _PERMANENT}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {**_describe(key), "ownerReferences": [_own(batch)]},
        "spec": {
            "backoffLimit": _TRIES - 1,
            **({} if ttl is None else {"ttlSecondsAfterFinished": ttl}),
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "FailJob", "onExitCodes": permanent},
                ]
            },
            "template": {"metadata": {"labels": _LABELS}, "spec": build_list_pod(key.name, resolved, settings)},
        },
    }


def build_list_manifest(batch: TweetBotBatch, csv: CsvFile, settings: OperatorSettings, operator_ca: str) -> Manifest:
    """Return the ConfigMap that the Job's pod mounts."""
    key = list_job_key(batch, csv)
    manifest = ListManifest(
        job_name=key.name,
        operator_url=settings.server.url,
        batch=BatchIdentity(namespace=key.namespace, name=batch.metadata.name, uid=batch.metadata.uid),
        uri=csv.uri,
        column=csv.column,
        store=locate_folder(_sample(batch), settings),
    )
    data = {names.MANIFEST_FILE: json.dumps(manifest.to_wire(), indent=1), names.CA_FILE: operator_ca}
    return _build_config_map(key, _own(batch), data)


def build_handles(message: HandlesMessage) -> Manifest:
    """Return the ConfigMap that keeps what the Job has read; a cell has one line."""
    key = Key(message.batch.namespace, names.handles_config_map(message.job_name))
    text = "\n".join(cell.translate(_HIDDEN) for cell in message.handles)
    return _build_config_map(key, build_owner(message.batch.name, message.batch.uid), {names.HANDLES_KEY: text})


def _build_config_map(key: Key, owner: dict[str, Any], data: dict[str, str]) -> Manifest:
    metadata = {**_describe(key), "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _describe(key: Key) -> dict[str, Any]:
    return {"name": key.name, "namespace": key.namespace, "labels": _LABELS}


def _own(batch: TweetBotBatch) -> dict[str, Any]:
    return build_owner(batch.metadata.name, batch.metadata.uid)


def _sample(batch: TweetBotBatch) -> TweetBot:
    """Return any bot of the batch: storage and credentials are the template's."""
    handle = "nobody.example.org" if batch.spec.template.spec.source.bluesky else "nobody"
    return sample_bot(batch, Entry(handle, batch.metadata.name))
