"""An operator that may look at one namespace only, and that no role binds to any other."""

from pathlib import Path

import pytest

from cluster.control_plane import ControlPlane
from tests.integration.api import Api
from tests.integration.operator_process import OperatorProcess, allow_one_namespace, write_settings

pytestmark = pytest.mark.integration


def test_an_operator_of_one_namespace_needs_no_rights_in_another(
    control_plane: ControlPlane, api: Api, namespace: str, tmp_path: Path
) -> None:
    user = allow_one_namespace(api, namespace)
    kubeconfig = tmp_path / "kubeconfig"
    control_plane.client(user, user).write_kubeconfig(kubeconfig)
    operator = OperatorProcess(tmp_path, kubeconfig, write_settings(tmp_path, control_plane.authority, [namespace]))
    operator.start()

    try:
        api.create_bot(namespace)
        api.wait_for_status(namespace, lambda status: (status.get("run") or {}).get("jobUID"))
    finally:
        assert operator.stop() == 0
    assert "Traceback" not in operator.log
    assert "Forbidden" not in operator.log
