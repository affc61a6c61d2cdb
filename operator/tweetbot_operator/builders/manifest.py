"""The run manifest as a ConfigMap, owned by the Job that reads it: it goes when the Job goes."""

import json
from collections.abc import Sequence
from typing import Any

from tweetbot_api import names
from tweetbot_api.runconfig import RunManifest
from tweetbot_api.types import TweetBot
from tweetbot_operator.observed import ObservedJob
from tweetbot_operator.resolve import resolve_run
from tweetbot_operator.settings import OperatorSettings

Manifest = dict[str, Any]


def build_run_manifest(
    kind: names.JobKind, job_name: str, bots: Sequence[TweetBot], settings: OperatorSettings
) -> RunManifest:
    """Return all that a Job needs to know of its batch."""
    return RunManifest(
        job_kind=kind,
        job_name=job_name,
        operator_url=settings.server.url,
        bots=[resolve_run(bot, settings) for bot in bots],
    )


def build_config_map(
    kind: names.JobKind, job: ObservedJob, bots: Sequence[TweetBot], settings: OperatorSettings, operator_ca: str
) -> Manifest:
    """Return the ConfigMap that the Job's pods mount at names.MANIFEST_DIR."""
    manifest = build_run_manifest(kind, job.key.name, bots, settings)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": job.key.name,
            "namespace": job.key.namespace,
            "labels": build_labels(kind, bots),
            "ownerReferences": [build_job_owner(job)],
        },
        "data": {
            names.MANIFEST_FILE: json.dumps(manifest.to_wire(), indent=1, ensure_ascii=False),
            names.CA_FILE: operator_ca,
        },
    }


def build_job_owner(job: ObservedJob) -> dict[str, Any]:
    """Return the reference by which what a Job needs goes with it."""
    return {"apiVersion": "batch/v1", "kind": "Job", "name": job.key.name, "uid": job.uid, "controller": True}


def build_labels(kind: names.JobKind, bots: Sequence[TweetBot]) -> dict[str, str]:
    """Return the labels of a Job, its pods and its ConfigMap."""
    runs = [bot.status.run for bot in bots if bot.status.run]
    assert len(runs) == len(bots), "a Job is made only for runs that stand in status"  # noqa: S101 - make_plan sees to it
    return {
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_JOB_KIND: kind,
        **{names.run_label(run.id): str(run.attempt) for run in runs},
    }
