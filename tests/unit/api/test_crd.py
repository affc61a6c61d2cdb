"""The CRD is structural, bounded, described everywhere, and agrees with the models."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from pydantic import ValidationError

from tests.factories import make_tweetbot
from tests.unit.api.strategies import specs
from tweetbot_api import crd
from tweetbot_api.spec.tweetbot import TweetBotSpec
from tweetbot_api.status import TweetBotStatus

ROOT = Path(__file__).resolve().parents[3]
VERSION = crd.build_crd()["spec"]["versions"][0]
BATCH_VERSION = crd.build_crd(crd.TWEETBOT_BATCH)["spec"]["versions"][0]
TOP = VERSION["schema"]["openAPIV3Schema"]["properties"]
BATCH_TOP = BATCH_VERSION["schema"]["openAPIV3Schema"]["properties"]
# Draft 4 has the boolean exclusiveMinimum of OpenAPI 3.0.
SPEC = jsonschema.Draft4Validator(TOP["spec"])
STATUS = jsonschema.Draft4Validator(TOP["status"])
Schema = dict[str, Any]
X_SOURCE = {"credentialsSecret": {"name": "x-api"}, "termsAccepted": True}


def schemas(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Yield every schema below a path, that of the path first."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from schemas(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from schemas(schema[key], f"{path}[]")


EVERY = [*schemas(TOP["spec"], "spec"), *schemas(TOP["status"], "status")]
EVERY += [*schemas(BATCH_TOP["spec"], "batch.spec"), *schemas(BATCH_TOP["status"], "batch.status")]
resources = pytest.mark.parametrize("resource", crd.RESOURCES, ids=lambda resource: resource.kind)


@resources
def test_the_committed_file_is_the_generated_one(resource: crd.Resource) -> None:
    assert (ROOT / f"crds/{resource.plural}.yaml").read_text() == crd.render(resource)


@resources
def test_rendering_loses_nothing(resource: crd.Resource) -> None:
    assert yaml.safe_load(crd.render(resource)) == yaml.safe_load(yaml.safe_dump(crd.build_crd(resource)))


def test_the_category_is_no_name_of_a_kind() -> None:
    names = [crd.build_crd(resource)["spec"]["names"] for resource in crd.RESOURCES]
    taken = {name for one in names for name in (one["plural"], one["singular"], *one["shortNames"])}
    assert [one["categories"] for one in names] == [["bots"], ["bots"]]
    assert "bots" not in taken


def test_every_property_is_described() -> None:
    assert [path for path, schema in EVERY if not path.endswith("[]") and not schema.get("description")] == []


def test_every_property_has_one_type() -> None:
    untyped = [path for path, schema in EVERY if not isinstance(schema.get("type"), str)]
    assert untyped == [path for path, schema in EVERY if schema.get("x-kubernetes-int-or-string")]


def test_nothing_stands_in_it_that_a_structural_schema_may_not_have() -> None:
    forbidden = {"$ref", "$defs", "anyOf", "allOf", "oneOf", "const", "title", "definitions", "propertyNames"}
    for path, schema in EVERY:
        assert not forbidden & set(schema), path
        assert schema.get("additionalProperties") is not False, path
        assert isinstance(schema.get("exclusiveMinimum", True), bool), path
        assert isinstance(schema.get("exclusiveMaximum", True), bool), path


def test_whatever_a_user_may_write_is_bounded() -> None:
    """The apiserver estimates the cost of CEL rules from these bounds; so does the size of an object."""
    bounds = {"string": ("maxLength", "enum", "pattern"), "array": ("maxItems",), "integer": ("maximum",)}
    bounds["number"] = bounds["integer"]
    for path, schema in [*schemas(TOP["spec"], "spec"), *schemas(BATCH_TOP["spec"], "batch.spec")]:
        wanted = bounds.get(schema.get("type", "string"), ())
        if "additionalProperties" in schema:
            wanted = ("maxProperties",)
        assert not wanted or set(wanted) & set(schema), path


def test_every_rule_tells_the_fix() -> None:
    rules = [rule for _, schema in EVERY for rule in schema.get("x-kubernetes-validations", ())]
    assert len(rules) >= 4
    assert all(rule["message"] for rule in rules)


@resources
def test_it_fits_into_the_annotation_of_kubectl_apply(resource: crd.Resource) -> None:
    assert len(crd.render(resource).encode()) < 256 * 1024


def test_an_object_without_status_is_not_taken_for_finished() -> None:
    assert TOP["status"]["default"] == BATCH_TOP["status"]["default"] == {"observedGeneration": -1}


def test_defaults_satisfy_their_own_schema() -> None:
    for _, schema in EVERY:
        if "default" in schema:
            default = schema["default"]
            if isinstance(default, dict):
                default = {name: value for name, value in default.items() if value is not None}
            jsonschema.Draft4Validator(schema).validate(default)


def test_columns_come_from_fields_that_exist() -> None:
    paths = {path.removeprefix("batch.") for path, _ in EVERY}
    for column in [*VERSION["additionalPrinterColumns"], *BATCH_VERSION["additionalPrinterColumns"]]:
        path = column["jsonPath"].removeprefix(".").replace("[*]", "[]").split("[?")[0]
        assert path in paths or path == "metadata.creationTimestamp", column


def test_a_choice_between_types_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot choose between types"):
        crd.structural({"anyOf": [{"type": "string"}, {"type": "integer"}]}, {})


@pytest.mark.parametrize(
    ("handle", "source"),
    [
        ("@jack", {"x": X_SOURCE}),
        ("Alice.bsky.social", {"bluesky": {}}),
        ("a-b.xn--nxasmq6b.example", {"bluesky": {}}),
        ("Some.long_name-with_more_than_fifteen", {"mastodon": {"instance": "social.example.org:8443"}}),
    ],
)
def test_each_source_has_handles_of_its_own(handle: str, source: dict[str, Any]) -> None:
    SPEC.validate(make_tweetbot(handles=[handle], source=source).spec.to_wire())


@given(specs)
def test_what_the_models_accept_the_crd_accepts(spec: TweetBotSpec) -> None:
    SPEC.validate(spec.to_wire())


def test_the_empty_status_is_accepted() -> None:
    STATUS.validate(TweetBotStatus().to_wire())


BAD_SPECS: dict[str, dict[str, Any]] = {
    "no handle": {"handles": []},
    "four handles": {"handles": ["a", "b", "c", "d"]},
    "handle with a space": {"handles": ["a b"]},
    "handle too long": {"handles": ["a" * 130]},
    "handle with a server": {"handles": ["ada@fosstodon.org"]},
    "handle that climbs": {"handles": ["../ada"]},
    "X without a secret": {"source": {"x": {"termsAccepted": True}}},
    "fewer posts than a page": {"source": {"x": {**X_SOURCE, "maxPosts": 4}}},
    "more posts than X gives": {"source": {"x": {**X_SOURCE, "maxPosts": 3201}}},
    "no money": {"source": {"x": {**X_SOURCE, "maxCostUSD": 0}}},
    "an address for an instance": {"source": {"mastodon": {"instance": "https://fosstodon.org"}}},
    "an instance with a path": {"source": {"mastodon": {"instance": "fosstodon.org/@ada"}}},
    "an instance with a password": {"source": {"mastodon": {"instance": "a:b@fosstodon.org"}}},
    "source without scheme": {"source": {"archive": {"uri": "tweets/a.zip"}}},
    "source over http": {"source": {"archive": {"uri": "http://tweets/a.zip"}}},
    "source without address": {"source": {"files": {}}},
    "no epochs": {"training": {"epochs": 0}},
    "too many epochs": {"training": {"epochs": 51}},
    "half an epoch": {"training": {"epochs": 1.5}},
    "learning rate of zero": {"training": {"learningRate": 0}},
    "negative learning rate": {"training": {"learningRate": -1e-4}},
    "tiny block": {"training": {"blockSize": 8}},
    "everything held out": {"training": {"evalFraction": 1}},
    "unknown precision": {"training": {"precision": "fp16"}},
    "negative seed": {"training": {"seed": -1}},
    "no prompt": {"generation": {"prompts": []}},
    "long prompt": {"generation": {"prompts": ["a" * 281]}},
    "temperature of zero": {"generation": {"temperature": 0}},
    "topP above one": {"generation": {"topP": 1.1}},
    "unknown method": {"training": {"method": "adapter"}},
    "ZeRO stage 4": {"training": {"deepspeed": {"zeroStage": 4}}},
    "adapter module with a space": {"training": {"method": "lora", "lora": {"targetModules": ["c attn"]}}},
    "17 GPUs": {"resources": {"gpus": 17}},
    "memory in gigabytes": {"resources": {"memory": "16GB"}},
    "bad label": {"resources": {"nodeSelector": {"gpu": "a b"}}},
    "unknown taint effect": {"resources": {"tolerations": [{"effect": "NoRun"}]}},
    "bucket in capitals": {"output": {"s3": {"bucket": "My_Bots"}}},
    "endpoint with a path": {"output": {"s3": {"endpoint": "https://minio/path"}}},
    "secret without name": {"output": {"s3": {"credentialsSecret": {}}}},
    "unknown W&B mode": {"tracking": {"wandb": {"mode": "on"}}},
    "no attempts": {"maxAttempts": 0},
    "base model with a space": {"baseModel": {"name": "gpt 2"}},
}


@pytest.mark.parametrize("fields", BAD_SPECS.values(), ids=BAD_SPECS.keys())
def test_what_is_out_of_bounds_is_refused_by_the_models_and_by_the_crd(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make_tweetbot(**fields)
    valid = {"handles": ["a"], "source": {"archive": {"uri": "s3://tweets/a.zip"}}}
    with pytest.raises(jsonschema.ValidationError):
        SPEC.validate({**valid, **fields})


BAD_TOGETHER: dict[str, tuple[dict[str, Any], str]] = {
    "no source": ({"source": {}}, "give exactly one source"),
    "two sources": (
        {"source": {"archive": {"uri": "s3://t/a.zip"}, "files": {"uri": "s3://t/a.jsonl"}}},
        "give exactly one source",
    ),
    "the same handle twice": ({"handles": ["@Ada", "ada"]}, "handles must differ"),
    "one file for two handles": (
        {"handles": ["ada", "grace"], "source": {"archive": {"uri": "s3://t/ada.zip"}}},
        "must contain {handle}",
    ),
    "X without consent": (
        {"source": {"x": {"credentialsSecret": {"name": "x-api"}}}},
        "set termsAccepted: true if your use is allowed",
    ),
    "X with consent refused": ({"source": {"x": {**X_SOURCE, "termsAccepted": False}}}, "need no such consent"),
    "a domain name on X": ({"handles": ["ada.example.org"], "source": {"x": X_SOURCE}}, "handles on X have"),
    "a long handle on X": ({"handles": ["a" * 16], "source": {"x": X_SOURCE}}, "handles on X have"),
    "half a handle on Bluesky": ({"handles": ["alice"], "source": {"bluesky": {}}}, "write alice.bsky.social"),
    "an underscore on Bluesky": (
        {"handles": ["my_name.bsky.social"], "source": {"bluesky": {}}},
        "write alice.bsky.social",
    ),
    "a KMS key without KMS": (
        {"output": {"s3": {"encryption": {"algorithm": "AES256", "kmsKeyID": "alias/bots"}}}},
        "set algorithm: aws:kms",
    ),
    "adapters for full training": ({"training": {"lora": {"rank": 8}}}, "lora is for method lora only"),
    "early stopping by nothing": (
        {"training": {"evalFraction": 0, "earlyStopping": {"patience": 1}}},
        "earlyStopping compares held-out losses",
    ),
    "lengths reversed": ({"generation": {"minLength": 100, "maxLength": 50}}, "minLength must not be larger"),
}


@pytest.mark.parametrize(("fields", "want_message"), BAD_TOGETHER.values(), ids=BAD_TOGETHER.keys())
def test_what_is_wrong_only_together_is_refused_with_the_message_of_the_cel_rule(
    fields: dict[str, Any], want_message: str
) -> None:
    messages = [rule["message"] for _, schema in EVERY for rule in schema.get("x-kubernetes-validations", ())]
    assert [message for message in messages if want_message in message]
    with pytest.raises(ValidationError, match=want_message):
        make_tweetbot(**fields)


def test_a_misspelt_field_is_refused_by_the_models() -> None:
    with pytest.raises(ValidationError, match="epoch\n  Extra inputs are not permitted"):
        make_tweetbot(training={"epoch": 4})
