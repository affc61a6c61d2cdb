"""The fields that name Secrets, found in the model."""

import pytest

from tweetbot_api.crd import build_crd
from tweetbot_api.model import ApiModel
from tweetbot_api.secret_fields import secret_paths
from tweetbot_api.spec.fields import SecretReference


def test_every_field_of_the_crd_that_looks_like_a_secret_is_found() -> None:
    spec = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]

    def looks_like_one(schema: dict, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
        found = {path} if path and path[-1].endswith("Secret") else set()
        for name, field in schema.get("properties", {}).items():
            found |= looks_like_one(field, (*path, name))
        return found | looks_like_one(schema["items"], (*path, "[]")) if "items" in schema else found

    found = set(secret_paths())
    assert found == looks_like_one(spec)
    assert ("output", "s3", "credentialsSecret") in found


def test_a_secret_in_a_list_is_refused_rather_than_forgotten() -> None:
    class Item(ApiModel):
        token_secret: SecretReference

    class Spec(ApiModel):
        items: list[Item]

    with pytest.raises(TypeError, match="not guarded"):
        list(secret_paths(Spec))
