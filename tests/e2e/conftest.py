"""The local cluster with the operator in it, and a fresh namespace for each module or test."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.environment import Environment, local_cluster, users_cluster
from demo.install import make_namespace
from tests.e2e.bots import Bots, install_with_tiny_model


@pytest.fixture(scope="session")
def environment() -> Environment:
    return users_cluster() or local_cluster()


@pytest.fixture(scope="session")
def values(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The operator installed with a tiny base model, so that a bot trains in seconds."""
    return install_with_tiny_model(environment, tmp_path_factory.mktemp("tiny-gpt2"))


def _namespace(environment: Environment, values: dict) -> Iterator[Bots]:
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    make_namespace(environment, name)
    try:
        yield Bots(environment, name, values)
    finally:
        subprocess.run(
            ["kubectl", "delete", "namespace", name, "--wait=false"],
            env=environment.variables,
            cwd=Path.cwd(),
            check=False,
            capture_output=True,
        )


@pytest.fixture
def bots(environment: Environment, values: dict) -> Iterator[Bots]:
    yield from _namespace(environment, values)


@pytest.fixture(scope="module")
def bots_module(environment: Environment, values: dict) -> Iterator[Bots]:
    yield from _namespace(environment, values)
