"""DNS inside the cluster: CoreDNS as a Deployment, with its Service at the address that the kubelet tells to pods."""

from pathlib import Path
from string import Template

from cluster import network, node, program_images
from cluster.commands import output_of
from cluster.kubernetes_client import KubernetesClient
from cluster.paths import Paths
from cluster.progress import step

MANIFEST = Path(__file__).parent / "manifests" / "coredns.yaml"
DEPLOYMENT = "/apis/apps/v1/namespaces/kube-system/deployments/coredns"


def start(paths: Paths, client: KubernetesClient, programs: Path) -> None:
    """Deploy CoreDNS unless this very one is there, and wait until it answers."""
    image = program_images.name_of(programs / "coredns")
    program_images.ensure(paths, programs / "coredns", image)
    if _deployed_image(client) != image:
        kubectl = [str(programs / "kubectl"), f"--kubeconfig={paths.kubeconfig}"]
        output_of([*kubectl, "apply", "--server-side", "--filename", "-"], given=render(image))
    if not is_available(client):
        with step("waiting for DNS"):
            node.wait_for(lambda: is_available(client), "DNS is not available")


def render(image: str) -> str:
    """Write out CoreDNS's manifest."""
    return Template(MANIFEST.read_text()).substitute(IMAGE=image, ADDRESS=network.DNS_SERVICE_ADDRESS)


def _deployed_image(client: KubernetesClient) -> str | None:
    deployment = client.get(DEPLOYMENT)
    if deployment is None:
        return None
    image: str = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


def is_available(client: KubernetesClient) -> bool:
    """Tell whether a pod's question is answered."""
    deployment = client.get(DEPLOYMENT) or {}
    return bool(deployment.get("status", {}).get("availableReplicas"))
