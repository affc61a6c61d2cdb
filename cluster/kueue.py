"""Kueue in the cluster, for the tests that ask for it: built, installed from its own module's manifests, removed."""

import os
import tempfile
from pathlib import Path
from string import Template

from cluster import program_images, tools
from cluster.commands import output_of
from cluster.errors import ClusterError
from cluster.node import wait_for
from cluster.paths import Paths
from cluster.progress import step

MANIFEST = Path(__file__).parent / "manifests" / "kueue.yaml"
MODULE = "sigs.k8s.io/kueue"
# What users make of Kueue's kinds. While the manager runs it lets them go; without it they would stay for good.
OBJECTS = ("workloads", "localqueues", "clusterqueues", "resourceflavors", "workloadpriorityclasses")
# The APIs by which it tells who waits where.
PLACES = ("v1beta1.visibility.kueue.x-k8s.io", "v1beta2.visibility.kueue.x-k8s.io")
START_SECONDS = 180
PROBE = '{"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "ResourceFlavor", "metadata": {"name": "probe"}}'


def install(paths: Paths) -> None:
    """Build and start Kueue, and wait until it takes orders."""
    program = tools.ensure(paths, "kueue") / "kueue"
    image = program_images.name_of(program)
    program_images.ensure(paths, program, image)
    with step("starting Kueue"):
        output_of([*_kubectl(paths), "apply", "--server-side", "--filename", "-"], given=render(paths, image))
        wait_for(lambda: _takes_orders(paths), "Kueue takes no orders", START_SECONDS)
        # Until then every listing of the cluster's APIs fails in part.
        available = [*_kubectl(paths), "wait", "--for=condition=Available", f"--timeout={START_SECONDS}s"]
        output_of([*available, "apiservice", *PLACES])


def remove(paths: Paths) -> None:
    """Remove Kueue and every queue; what waits in one stays as it is."""
    kubectl = _kubectl(paths)
    with step("removing Kueue"):
        # First what would be missed: who lists the cluster's APIs asks each of them.
        output_of([*kubectl, "delete", "apiservice", *PLACES, "--ignore-not-found"])
        for kind in OBJECTS:
            name = f"{kind}.kueue.x-k8s.io"
            if output_of([*kubectl, "get", "crd", name, "--ignore-not-found"]):
                output_of([*kubectl, "delete", name, "--all", "--all-namespaces", "--timeout=60s"])
        manifest = render(paths, "docker.io/local/kueue:any")
        output_of([*kubectl, "delete", "--ignore-not-found", "--timeout=120s", "--filename", "-"], given=manifest)


def render(paths: Paths, image: str) -> str:
    """Write out Kueue's manifests, those of the very version that is built."""
    name, _, tag = image.rpartition(":")
    with tempfile.TemporaryDirectory(dir=paths.state, prefix="kueue-") as scratch:
        # Kustomize follows no absolute path.
        module = os.path.relpath(tools.module_folder("kueue", MODULE), Path(scratch).resolve())
        text = Template(MANIFEST.read_text()).substitute(MODULE=module, IMAGE_NAME=name, IMAGE_TAG=tag)
        (Path(scratch) / "kustomization.yaml").write_text(text)
        return output_of([tools.folder(paths, "kubernetes") / "kubectl", "kustomize", scratch])


def _takes_orders(paths: Paths) -> bool:
    """Tell whether Kueue's webhooks answer: they need a certificate that it gives itself."""
    try:
        output_of([*_kubectl(paths), "apply", "--dry-run=server", "--filename", "-"], given=PROBE)
    except ClusterError:
        return False
    return True


def _kubectl(paths: Paths) -> list[str]:
    return [str(tools.folder(paths, "kubernetes") / "kubectl"), f"--kubeconfig={paths.kubeconfig}"]
