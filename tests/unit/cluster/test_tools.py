import dataclasses

import pytest

from cluster import tools
from cluster.paths import Paths


@pytest.fixture
def group(tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "MODULES", tmp_path)
    (tmp_path / "probe").mkdir()
    (tmp_path / "probe" / "go.mod").write_text("module probe\n")
    return tools.Group("probe", ("./probe",))


def test_key_changes_with_sources_and_flags_only(group, tmp_path):
    before = tools.key(group)
    assert tools.key(group) == before
    assert tools.key(dataclasses.replace(group, tags=("other",))) != before
    (tmp_path / "probe" / "go.sum").write_text("a sum\n")
    assert tools.key(group) != before


@pytest.mark.parametrize("name", tools.GROUPS)
def test_every_group_is_pinned(name):
    sources = tools.GROUPS[name].sources
    assert (sources / "go.mod").is_file()
    assert (sources / "go.sum").is_file()


def test_kubernetes_version_is_the_one_of_its_module():
    module = (tools.GROUPS["kubernetes"].sources / "go.mod").read_text()
    assert f"k8s.io/kubernetes {tools.KUBERNETES_VERSION}\n" in module
    assert f"helm.sh/helm/v4 {tools.HELM_VERSION}" in module


def test_built_tools_are_not_built_again(group, tmp_path, monkeypatch):
    monkeypatch.setitem(tools.GROUPS, "probe", group)
    paths = Paths(tmp_path / "cache")
    tools.folder(paths, "probe").mkdir(parents=True)
    assert tools.ensure(paths, "probe") == tools.folder(paths, "probe")


def test_what_few_tests_need_is_built_only_by_name():
    assert set(tools.GROUPS) - set(tools.EVERYDAY) == {"kueue", "kwok", "rivals"}
