"""The examples, and the YAML in the guides, are what the models accept."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from docs_gen.fields import field_rows
from tweetbot_api.bot_batch import TweetBotBatch
from tweetbot_api.crd import build_crd
from tweetbot_api.types import TweetBot

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = {
    f"{page.relative_to(ROOT)}#{number}": block
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))
}
VALUES_SCHEMA = json.loads((ROOT / "charts/tweetbot-operator/values.schema.json").read_text())


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of a document's scalars, as field_rows names them."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            yield from leaves(item, f"{path}[]")
    else:
        yield path


def read_resource(document: dict[str, Any]) -> TweetBot | TweetBotBatch:
    kinds = {"TweetBot": TweetBot, "TweetBotBatch": TweetBotBatch}
    return kinds[document["kind"]].model_validate(document)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_a_valid_bot(path: Path) -> None:
    read_resource(yaml.safe_load(path.read_text()))


def test_the_minimal_example_takes_ten_lines_at_most() -> None:
    assert len((ROOT / "examples/tweetbot.yaml").read_text().splitlines()) <= 10


def test_the_full_example_shows_every_field() -> None:
    top = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    want = {row.path for row in field_rows(top["spec"], "spec") if row.type != "object"}
    shown = set(leaves(yaml.safe_load((ROOT / "examples/full.yaml").read_text())))
    without = {"spec.resources.nodeSelector", "spec.resources.tolerations"}  # their items are shown
    missing = want - shown - without
    assert {path for path in missing if not path.startswith("spec.source.")} == set()
    elsewhere = {leaf for path in EXAMPLES for leaf in leaves(yaml.safe_load(path.read_text()))}
    assert missing - elsewhere == set(), "each other source has its own example"


def test_the_readme_shows_the_minimal_example() -> None:
    assert (ROOT / "examples/tweetbot.yaml").read_text() in BLOCKS.values()


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
def test_yaml_in_a_guide_is_a_valid_bot_or_valid_values(block: str) -> None:
    document = yaml.safe_load(block)
    if "kind" in document:
        read_resource(document)
    else:
        jsonschema.Draft7Validator(VALUES_SCHEMA).validate(document)
