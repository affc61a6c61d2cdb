"""A control plane and an operator of these tests' own: no other operator may lend a hand when theirs is dead."""

from collections.abc import Iterator

import pytest
import yaml

from cluster.control_plane import ControlPlane
from tests.integration.api import Api, serve_crds
from tests.integration.deadly_proxy import DeadlyProxy
from tests.integration.life_cycle.bot import Bot
from tests.integration.life_cycle.mortal_operator import MortalOperator
from tests.integration.operator_process import USER, OperatorProcess, allow_all_namespaces, write_settings

SETTINGS = {"maxPreemptions": 1, "heartbeatTimeoutSeconds": 60}


@pytest.fixture(scope="module")
def control_plane(own_control_plane: ControlPlane) -> ControlPlane:
    return own_control_plane


@pytest.fixture(scope="module")
def api(control_plane: ControlPlane) -> Api:
    api = serve_crds(control_plane)
    allow_all_namespaces(api)
    return api


@pytest.fixture(scope="module")
def operator(
    control_plane: ControlPlane, api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MortalOperator]:
    folder = tmp_path_factory.mktemp("operator-of-lives")
    settings = write_settings(folder, control_plane.authority)
    settings.write_text(yaml.safe_dump(yaml.safe_load(settings.read_text()) | SETTINGS))
    kubeconfig = folder / "kubeconfig"
    with DeadlyProxy(control_plane.client("operator", USER)) as proxy:
        proxy.write_kubeconfig(kubeconfig)
        operator = MortalOperator(OperatorProcess(folder, kubeconfig, settings), proxy)
        operator.process.start()
        yield operator
        operator.process.stop()
    assert "Traceback" not in operator.process.log


@pytest.fixture
def bot(api: Api, namespace: str, operator: MortalOperator) -> Iterator[Bot]:
    """The bot `ann`, not made yet."""
    yield Bot(api, namespace, operator)
    if not operator.process.is_alive():
        operator.revive()
