"""An operator that may look at one namespace only, and that no role binds to any other."""

from pathlib import Path

import pytest

from cluster.control_plane import ControlPlane
from tests.integration.api import Api
from tests.integration.operator_process import OperatorProcess, write_settings
from tweetbot_operator.permissions import CLUSTER_WIDE, NAMESPACED, OWN_NAMESPACE

pytestmark = pytest.mark.integration
USER = "namespaced-operator"


def test_an_operator_of_one_namespace_needs_no_rights_in_another(
    control_plane: ControlPlane, api: Api, namespace: str, tmp_path: Path
) -> None:
    api.allow(USER, NAMESPACED, namespace)
    api.allow(USER, CLUSTER_WIDE)
    api.allow(f"{USER}-own", OWN_NAMESPACE, "default", USER)
    kubeconfig = tmp_path / "kubeconfig"
    control_plane.client("namespaced", USER).write_kubeconfig(kubeconfig)
    operator = OperatorProcess(tmp_path, kubeconfig, write_settings(tmp_path, control_plane.authority, [namespace]))
    operator.start()

    try:
        api.create_bot(namespace)
        api.wait_for_status(namespace, lambda status: (status.get("run") or {}).get("jobUID"))
    finally:
        assert operator.stop() == 0
    assert "Traceback" not in operator.log
    assert "Forbidden" not in operator.log
