"""What is generated says what the code says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs_gen import __main__ as docs_gen
from tweetbot_api.conditions import EXPLANATIONS, Reason
from tweetbot_api.exitcodes import ExitCode

ROOT = Path(__file__).resolve().parents[2]
REASONS = (ROOT / "docs/reasons.md").read_text()


def test_no_generated_file_is_out_of_date() -> None:
    assert sorted(docs_gen.stale_files(ROOT)) == [], "run `make generate`"


def test_check_names_what_is_out_of_date_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["docs_gen", "--check"])
    monkeypatch.setattr(docs_gen, "ROOT", tmp_path)
    monkeypatch.setattr(docs_gen, "GENERATED", {Path("page.md"): lambda: "new"})
    (tmp_path / "page.md").write_text("old")
    assert docs_gen.main() == 1
    assert "page.md is out of date" in capsys.readouterr().err
    assert (tmp_path / "page.md").read_text() == "old"


def test_writing_brings_a_file_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["docs_gen"])
    monkeypatch.setattr(docs_gen, "ROOT", tmp_path)
    monkeypatch.setattr(docs_gen, "GENERATED", {Path("page.md"): lambda: "new"})
    assert docs_gen.main() == 0
    assert (tmp_path / "page.md").read_text() == "new"
    assert docs_gen.stale_files(tmp_path) == {}


def test_the_generator_writes_the_same_in_every_process() -> None:
    """A set or a hash in the output would differ between processes."""
    checked = subprocess.run(
        [sys.executable, "-m", "docs_gen", "--check"],
        cwd=ROOT,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"| `{reason}` | {EXPLANATIONS[reason].meaning} |" in REASONS


@pytest.mark.parametrize("exit_code", ExitCode)
def test_every_exit_code_is_listed(exit_code: ExitCode) -> None:
    assert f"\n| {int(exit_code)} | " in REASONS
