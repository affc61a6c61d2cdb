"""A real apiserver with its controllers, the CRDs in it, and a namespace that admits only restricted pods."""

import uuid
from collections.abc import Iterator

import pytest

from cluster.control_plane import ControlPlane
from tests.integration.api import Api, serve_crds, wait_for
from tests.integration.operator_process import USER, OperatorProcess, allow_all_namespaces, write_settings


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("control-plane"), controllers=True, scheduler=True) as control_plane:
        yield control_plane


@pytest.fixture(scope="module")
def own_control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Where no other operator may lend a hand."""
    with ControlPlane(tmp_path_factory.mktemp("own"), controllers=True, scheduler=True) as control_plane:
        yield control_plane


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> Api:
    """An administrator, with the CRDs served and the operator's user allowed what the table says."""
    api = serve_crds(control_plane)
    allow_all_namespaces(api)
    return api


@pytest.fixture
def namespace(api: Api) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.call("POST", "/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": name, "labels": labels}})
    wait_for(lambda: api.exists(f"/api/v1/namespaces/{name}/serviceaccounts/default"))
    return name


@pytest.fixture(scope="session")
def operator(
    control_plane: ControlPlane, api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator as a process of its own, known to the apiserver as a user with the table's rights."""
    folder = tmp_path_factory.mktemp("operator")
    kubeconfig = folder / "kubeconfig"
    control_plane.client("operator", USER).write_kubeconfig(kubeconfig)
    process = OperatorProcess(folder, kubeconfig, write_settings(folder, control_plane.authority))
    process.start()
    yield process
    process.stop()
    assert "Traceback" not in process.log
