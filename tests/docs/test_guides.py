"""What the guides point at exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs_gen.chart_values import values_schema
from docs_gen.fields import field_rows

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/tweetbot-operator"
PAGES = [ROOT / "README.md", CHART / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
VALUES = {row.path for row in field_rows(values_schema(), "")}


def links(page: Path) -> Iterator[str]:
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    yield from (target for target in re.findall(r"\]\(([^)]+)\)", text) if not target.startswith("http"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_value_that_a_guide_sets_exists(page: Path) -> None:
    text = page.read_text()
    set_by_flag = re.findall(r"--set[ =]([A-Za-z0-9.]+)=", text)
    named_in_prose = re.findall(r"`((?:crds|defaults|images|monitoring|userRoles)\.[A-Za-z0-9.]+)", text)
    assert {*set_by_flag, *named_in_prose} <= VALUES


def test_values_yaml_names_every_value() -> None:
    """Also those that are unset, as comments: the file is the documentation of the chart."""
    text = (CHART / "values.yaml").read_text()
    unnamed = {
        path
        for path in VALUES
        if "[]" not in path and not re.search(rf"(^|[ {{]){path.rsplit('.', 1)[-1]}\b", text, re.MULTILINE)
    }
    assert unnamed == {"global"}
