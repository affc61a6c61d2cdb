"""The schema in a real apiserver: what it refuses, what it fills in, what it explains."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.api import Api, ApiError

pytestmark = pytest.mark.integration

S3 = {"archive": {"uri": "s3://tweets/{handle}.zip"}}
REFUSED = {
    "two sources": (
        {"source": {"archive": {"uri": "s3://a/b"}, "files": {"uri": "s3://a/b"}}},
        "give exactly one source",
    ),
    "no source": ({"source": {}}, "give exactly one source"),
    "a repeated handle": ({"handles": ["Ann", "@ann"], "source": S3}, "handles must differ from each other"),
    "one file for two handles": ({"handles": ["ann", "ben"]}, "the archive's uri must contain {handle}"),
    "X without consent": (
        {"source": {"x": {"credentialsSecret": {"name": "x-api"}}}},
        "set termsAccepted: true if your use is allowed",
    ),
    "a domain name on X": (
        {"handles": ["ada.example"], "source": {"x": {"credentialsSecret": {"name": "x"}, "termsAccepted": True}}},
        "handles on X have 1 to 15 letters",
    ),
    "half a handle on Bluesky": ({"handles": ["alice"], "source": {"bluesky": {}}}, "write alice.bsky.social"),
    "four handles": ({"handles": ["a", "b", "c", "d"], "source": S3}, "Too many"),
    "a handle that X does not allow": ({"handles": ["not a handle"]}, "spec.handles[0]"),
    "a KMS key without KMS": (
        {"output": {"s3": {"encryption": {"algorithm": "AES256", "kmsKeyID": "alias/bots"}}}},
        "set algorithm: aws:kms",
    ),
    "lengths the wrong way round": ({"generation": {"minLength": 50, "maxLength": 20}}, "minLength must not be larger"),
    "a learning rate of zero": ({"training": {"learningRate": 0}}, "spec.training.learningRate"),
    "no epochs": ({"training": {"epochs": 0}}, "spec.training.epochs"),
    "more GPUs than a node has": ({"resources": {"gpus": 17}}, "spec.resources.gpus"),
    "an unknown field": ({"learningRate": 1}, "unknown field"),
}


@pytest.mark.parametrize(("spec", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_an_invalid_spec_is_refused_with_the_fix(api: Api, namespace: str, spec: dict, message: str) -> None:
    with pytest.raises(ApiError) as refusal:
        api.create_bot(namespace, **spec)

    assert message in str(refusal.value)


def test_the_least_spec_is_accepted_and_filled_in(api: Api, namespace: str) -> None:
    bot = api.create_bot(namespace, name="least")

    assert bot["spec"]["training"]["epochs"] == 4
    assert "baseModel" not in bot["spec"]
    assert "resources" not in bot["spec"]


def test_an_object_that_was_never_looked_at_says_so(api: Api, namespace: str) -> None:
    """Without this, kstatus would take it for finished. The operator does not run here."""
    bot = api.create_bot(namespace, name="unseen")

    assert bot["status"]["observedGeneration"] == -1


def test_every_field_is_explained(api: Api) -> None:
    crd = api.call("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tweetbots.tweetbot.dev")
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    unexplained = [path for path, field in walk(schema) if not field.get("description") and path != ".metadata"]

    assert unexplained == []


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in (schema.get("properties") or {}).items():
        yield f"{path}.{name}", field
        yield from walk(field, f"{path}.{name}")
        yield from walk(field.get("items") or {}, f"{path}.{name}[]")
