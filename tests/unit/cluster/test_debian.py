"""Packages are installed once, whoever else uses apt meanwhile."""

import os
from pathlib import Path

import pytest

from cluster import debian
from cluster.errors import ClusterError
from cluster.paths import Paths

APT = """#!/bin/sh
echo "$1" >> "$APT_CALLS"
[ "$1" = update ] || exit 0
[ -e "$APT_LOCK" ] || exit 0
rm "$APT_LOCK"
echo "E: $APT_COMPLAINT" >&2
exit 100
"""


class Apt:
    """A machine's apt, once in trouble if told so."""

    def __init__(self, folder: Path) -> None:
        self.calls_file, self.lock = folder / "calls", folder / "lock"

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().split() if self.calls_file.exists() else []


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    program = tmp_path / "bin" / "apt-get"
    program.parent.mkdir()
    program.write_text(APT)
    program.chmod(0o755)
    apt = Apt(tmp_path)
    monkeypatch.setattr(debian, "_PAUSE_SECONDS", 0)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("APT_CALLS", str(apt.calls_file))
    monkeypatch.setenv("APT_LOCK", str(apt.lock))
    monkeypatch.setenv("APT_COMPLAINT", "Unable to lock directory /var/lib/apt/lists/")
    return apt


def test_apt_is_not_asked_for_what_is_there(apt: Apt, tmp_path: Path) -> None:
    assert debian.install(list, Paths(tmp_path)) == []
    assert apt.calls == []


def test_what_another_process_has_installed_meanwhile_is_left_alone(apt: Apt, tmp_path: Path) -> None:
    answers = iter([["nftables"], []])
    assert debian.install(lambda: next(answers), Paths(tmp_path)) == []
    assert apt.calls == []


def test_lists_that_another_process_reads_are_waited_for(apt: Apt, tmp_path: Path) -> None:
    apt.lock.touch()
    assert debian.install(lambda: ["nftables"], Paths(tmp_path)) == ["nftables"]
    assert apt.calls == ["update", "update", "install"]


def test_another_trouble_of_apt_is_told_at_once(apt: Apt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt.lock.touch()
    monkeypatch.setenv("APT_COMPLAINT", "The repository is not signed.")
    with pytest.raises(ClusterError, match="not signed"):
        debian.install(lambda: ["nftables"], Paths(tmp_path))
    assert apt.calls == ["update"]
