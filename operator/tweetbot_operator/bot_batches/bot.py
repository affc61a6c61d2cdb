"""The TweetBot that a TweetBotBatch makes for a handle."""

from typing import Any

from tweetbot_api import names
from tweetbot_api.bot_batch import TweetBotBatch
from tweetbot_api.types import ObjectMeta, TweetBot
from tweetbot_operator.bot_batches.handles import Entry
from tweetbot_operator.builders.manifest import Manifest


def build_bot(batch: TweetBotBatch, entry: Entry) -> Manifest:
    """Return the manifest. What the template leaves out stays left out: defaults are the CRD's own."""
    metadata, template = batch.metadata, batch.spec.template
    spec = template.spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    token = {"runID": batch.spec.retry_failed} if batch.spec.retry_failed else {}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {
            "name": entry.name,
            "namespace": metadata.namespace,
            "labels": template.metadata.labels | {names.LABEL_BOT_BATCH: metadata.name},
            "annotations": template.metadata.annotations,
            "ownerReferences": [build_owner(metadata.name, metadata.uid)],
        },
        "spec": {"handles": [entry.handle], **spec, **token},
    }


def build_owner(name: str, uid: str) -> dict[str, Any]:
    """Return the reference by which what a TweetBotBatch has made goes with it."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.BATCH_KIND,
        "name": name,
        "uid": uid,
        "controller": True,
        # `kubectl delete --cascade=foreground` waits until the bot is gone, with what it has stored.
        "blockOwnerDeletion": True,
    }


def sample_bot(batch: TweetBotBatch, entry: Entry) -> TweetBot:
    """Return the bot as the operator would read it: what is wrong with it is wrong with all."""
    metadata = ObjectMeta(name=entry.name, namespace=batch.metadata.namespace)
    return TweetBot.model_validate({"metadata": metadata, "spec": build_bot(batch, entry)["spec"]})
