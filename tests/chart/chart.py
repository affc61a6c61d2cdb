"""The chart, rendered by the real helm."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parents[2] / "charts/tweetbot-operator"
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Chart:
    """What `helm` makes of the chart."""

    helm: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.helm, *arguments], capture_output=True, text=True, check=False)

    def template(self, values: Manifest) -> subprocess.CompletedProcess[str]:
        release = ("tweetbot", str(CHART), "--namespace", "tweetbot-system")
        return self.run("template", *release, "--set-json", json.dumps(values))

    def render(self, **values: Any) -> list[Manifest]:
        """Return the manifests for these values, namespaces included."""
        rendered = self.template(values)
        assert rendered.returncode == 0, rendered.stderr
        return [manifest for manifest in yaml.safe_load_all(rendered.stdout) if manifest]

    def render_one(self, kind: str, **values: Any) -> Manifest:
        """Return the only manifest of a kind."""
        (manifest,) = of_kind(self.render(**values), kind)
        return manifest

    def refusal(self, values: Manifest) -> str:
        """Return the message with which helm refuses the values."""
        refused = self.template(values)
        assert refused.returncode != 0, f"helm accepted {values}"
        return refused.stderr


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in kinds]
