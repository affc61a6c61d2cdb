"""TweetBots: the real operator as a process, with the token and the rights of its service account."""

import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.control_plane.contestant import collection, has_condition, own_folder
from benchmarks.control_plane.plane import Plane, Setting
from tests.integration.api import wait_for
from tests.integration.operator_process import OperatorProcess, write_settings
from tweetbot_api import names
from tweetbot_operator.permissions import CLUSTER_WIDE, NAMESPACED, OWN_NAMESPACE
from tweetbot_operator.settings import OperatorSettings

Document = dict[str, Any]
OPERATOR = "tweetbot-operator"
_ROOT = Path(__file__).parents[2]
_HOME = "tweetbot-system"
_RESTART_SECONDS = 120


class TweetBots:
    """Our operator; its trainers are played."""

    name = "TweetBot"
    collection = collection(names.API_VERSION, names.PLURAL)

    def __init__(self, setting: Setting, max_bots: int) -> None:
        self._setting = setting
        self._max_bots = max_bots
        self._process: OperatorProcess | None = None

    def start(self, plane: Plane) -> None:
        """Install the CRDs and the rights of the chart; start the operator and what plays its trainers."""
        for crd in sorted((_ROOT / "crds").glob("*.yaml")):
            plane.apply(yaml.safe_load(crd.read_text()))
        plane.ensure_namespace(_HOME)
        account = {"name": OPERATOR, "namespace": _HOME}
        plane.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
        user = f"system:serviceaccount:{_HOME}:{OPERATOR}"
        plane.api.allow("operator", [*NAMESPACED, *CLUSTER_WIDE], user=user)
        plane.api.allow("operator", OWN_NAMESPACE, _HOME, user)
        plane.allow_all("player")
        path = os.pathsep.join(str(_ROOT / part) for part in (".", "api", "operator"))
        plane.start(
            "player",
            sys.executable,
            "-m",
            "benchmarks.control_plane.player",
            plane.be_user("player"),
            environment={"PYTHONPATH": path},
        )
        folder = own_folder(plane, "operator")
        settings = self._write_settings(folder, plane)
        self._process = OperatorProcess(folder, plane.be_service_account(_HOME, OPERATOR), settings)
        self._operator.start()

    def stop(self) -> None:
        """End the operator."""
        if self._process is not None:
            self._process.stop()

    @property
    def _operator(self) -> OperatorProcess:
        if self._process is None:
            raise RuntimeError("the operator was not started")
        return self._process

    def processes(self) -> dict[str, int]:
        """Return the operator's process id."""
        return {"operator": self._operator.pid}

    def make(self, number: int) -> Document:
        """Return a TweetBot."""
        name = f"bot-{number:05d}"
        spec = {"handles": [f"bot{number:05d}"], "source": {"archive": {"uri": f"s3://tweets/{name}.zip"}}}
        return {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": {"name": name}, "spec": spec}

    def is_complete(self, document: Document) -> bool:
        """Tell whether the bot is trained."""
        return has_condition(document, "Complete")

    def objects_of(self, job: Document) -> list[str]:
        """Return the bots of a prepare Job's batch: the first that works for them."""
        if job["metadata"].get("labels", {}).get(names.LABEL_JOB_KIND) != "prepare":
            return []
        return [owner["name"] for owner in job["metadata"]["ownerReferences"]]

    def restart(self, bots: int) -> float:
        """Restart the operator; return the seconds until it acts, watches and knows all bots."""
        self._operator.stop()
        started = time.monotonic()
        self._operator.start()
        wait_for(lambda: self._count_known() == bots, _RESTART_SECONDS)
        return time.monotonic() - started

    def _count_known(self) -> float:
        return sum(map(float, re.findall(r"^tweetbot_bots{.*} (\S+)$", self._operator.get("/metrics"), re.MULTILINE)))

    def _write_settings(self, folder: Path, plane: Plane) -> Path:
        path = write_settings(folder, plane.authority)
        settings = yaml.safe_load(path.read_text())
        settings["lease"]["namespace"] = _HOME
        if "batching" in OperatorSettings.model_fields:
            settings["batching"] = {"maxBots": self._max_bots}
        if self._setting.operator_requests_per_second is not None:
            settings["apiRequestsPerSecond"] = self._setting.operator_requests_per_second
        path.write_text(yaml.safe_dump(settings))
        return path
