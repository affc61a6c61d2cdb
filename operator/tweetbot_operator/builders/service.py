"""The headless Service by which the pods of one training find each other, owned by their Job: it goes with it."""

from collections.abc import Sequence

from tweetbot_api import names
from tweetbot_api.types import TweetBot
from tweetbot_operator.builders.manifest import Manifest, build_job_owner, build_labels
from tweetbot_operator.observed import ObservedJob
from tweetbot_operator.reading import JOB_NAME_LABEL


def build_service(job: ObservedJob, bots: Sequence[TweetBot]) -> Manifest:
    """Return the Service that gives each pod of a Job a name in DNS."""
    run = bots[0].status.run
    assert run, "a Job is made only for a run that stands in status"  # noqa: S101 - make_plan sees to it
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": names.service_name(run.id, run.attempt),
            "namespace": job.key.namespace,
            "labels": build_labels(run.job_kind, bots),
            "ownerReferences": [build_job_owner(job)],
        },
        "spec": {
            "clusterIP": "None",
            "selector": {JOB_NAME_LABEL: job.key.name},
            # No pod is ready before it has met the others.
            "publishNotReadyAddresses": True,
            "ports": [{"name": "rendezvous", "port": names.MASTER_PORT}],
        },
    }
