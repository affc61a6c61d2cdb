"""What every image must be, read from the Dockerfiles themselves."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
FILES = ("Dockerfile.operator", "Dockerfile.trainer")
FINAL_STAGES = (
    ("Dockerfile.operator", "operator"),
    ("Dockerfile.trainer", "prepare"),
    ("Dockerfile.trainer", "train"),
)
FROM = re.compile(r"FROM (?P<parent>\S+) AS (?P<name>\S+)")


def instructions(file: str) -> list[str]:
    """Return the instructions of a Dockerfile, each on one line, without comments."""
    text = (REPOSITORY / file).read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [" ".join(line.split()) for line in joined.splitlines() if line.strip()]


def stages(file: str) -> dict[str, tuple[str, list[str]]]:
    """Return each stage's parent and instructions, by the stage's name."""
    found: dict[str, tuple[str, list[str]]] = {}
    for instruction in instructions(file):
        if start := FROM.fullmatch(instruction):
            body: list[str] = []
            found[start["name"]] = (start["parent"], body)
        elif found:
            body.append(instruction)
    return found


def lineage(file: str, stage: str) -> list[str]:
    """Return a stage and all that it is built on, youngest first."""
    found, names = stages(file), [stage]
    while found[names[-1]][0] in found:
        names.append(found[names[-1]][0])
    return names


@pytest.mark.parametrize("file", FILES)
def test_every_stage_comes_from_the_base_image_argument(file: str):
    assert instructions(file)[0] == "ARG BASE_IMAGE=python:3.11-slim-bookworm"
    assert len(stages(file)) == sum(line.startswith("FROM") for line in instructions(file))
    for stage in stages(file):
        assert stages(file)[lineage(file, stage)[-1]][0] == "${BASE_IMAGE}"


@pytest.mark.parametrize(("file", "stage"), FINAL_STAGES)
def test_a_final_stage_runs_our_command_as_a_numeric_user_that_is_not_root(file: str, stage: str):
    _, body = stages(file)[stage]
    command = "tweetbot-operator" if stage == "operator" else "tweetbot"
    assert body[-2:] == ["USER 65532:65532", f'ENTRYPOINT ["{command}"]']


@pytest.mark.parametrize("file", FILES)
def test_whatever_is_downloaded_is_checked_against_its_hash(file: str):
    installs = [line for line in instructions(file) if re.search(r"\bpip (install|sync|wheel)\b", line)]
    downloads = [line for line in installs if "--no-index" not in line]
    assert downloads
    for line in downloads:
        assert line.count("pip install") + line.count("pip sync") == line.count("--require-hashes"), line


@pytest.mark.parametrize(("file", "stage"), FINAL_STAGES)
def test_code_is_the_last_layer_so_that_a_change_of_it_leaves_the_dependencies_alone(file: str, stage: str):
    code, dependencies = stages(file)["wheel"][1], lineage(file, stage)[1:]
    assert any(line.startswith("COPY api ") for line in code)
    assert [line for line in stages(file)[stage][1] if line.startswith("RUN")][-1].count("from=wheel") == 1
    for ancestor in dependencies:
        assert not any("from=wheel" in line or "api" in line.split() for line in stages(file)[ancestor][1])


@pytest.mark.parametrize(("file", "stage"), FINAL_STAGES)
def test_a_final_stage_holds_no_compiler(file: str, stage: str):
    for name in lineage(file, stage):
        assert not any("apt-get" in line or "g++" in line for line in stages(file)[name][1])


def test_only_the_train_image_reads_the_trainer_pins():
    assert "trainer.txt" not in (REPOSITORY / "Dockerfile.operator").read_text()
    assert "COPY trainer" not in (REPOSITORY / "Dockerfile.operator").read_text()
    found = stages("Dockerfile.trainer")
    for name in lineage("Dockerfile.trainer", "prepare"):
        assert not any("trainer.txt" in line for line in found[name][1])
    assert any("trainer.txt" in line for name in lineage("Dockerfile.trainer", "train") for line in found[name][1])


@pytest.mark.parametrize("file", FILES)
def test_no_secret_is_required_so_that_a_plain_docker_build_works(file: str):
    text = "\n".join(instructions(file))
    assert "type=secret" in text
    assert "required" not in text


def test_both_files_pin_the_same_tools():
    first, second = (stages(file)["tools"] for file in FILES)
    assert first == second


@pytest.mark.parametrize("file", [*FILES, ".dockerignore"])
def test_no_address_of_a_registry_and_no_path_of_a_machine(file: str):
    text = (REPOSITORY / file).read_text()
    assert "://" not in text
    assert not re.search(r"/(work|root|home)/", text)
