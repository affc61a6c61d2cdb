"""The node: the kubelet, kube-proxy, and GPUs that are played."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from cluster import containerd, network, program_images
from cluster.control_plane import ControlPlane
from cluster.errors import ClusterError
from cluster.files import write
from cluster.kubernetes_client import KubernetesClient
from cluster.paths import Paths
from cluster.processes import Daemon

NAME = "tweetbot"
GPU = "nvidia.com/gpu"
PATH = f"/api/v1/nodes/{NAME}"
CLUSTER_DOMAIN = "cluster.local"


def kubelet(paths: Paths, control_plane: ControlPlane, programs: Path) -> Daemon:
    """Describe the kubelet, and write what it reads."""
    paths.kubelet.mkdir(parents=True, exist_ok=True)
    serving = control_plane.authority.server("kubelet", [network.NODE_ADDRESS], [NAME])
    kubeconfig = paths.kubelet / "kubeconfig"
    control_plane.client("kubelet", f"system:node:{NAME}", "system:nodes").write_kubeconfig(kubeconfig)
    (paths.kubelet / "resolv.conf").touch()  # a pod asks the cluster's DNS, or nobody
    settings = {
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "address": network.NODE_ADDRESS,
        "healthzBindAddress": "127.0.0.1",
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(control_plane.authority.root.certificate)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{paths.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "clusterDNS": [network.DNS_SERVICE_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": str(paths.kubelet / "resolv.conf"),
        "podLogsDir": str(paths.logs / "pods"),
        "volumePluginDir": str(paths.kubelet / "plugins"),
        # No registry could give an image back: nothing is evicted and no image removed for want of disk.
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": False,
        "maxPods": 250,
        "serializeImagePulls": False,
    }
    configuration = write(paths.kubelet / "config.json", json.dumps(settings, indent=2))
    return Daemon(
        name="kubelet",
        argv=(
            str(programs / "kubelet"),
            f"--config={configuration}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={paths.kubelet / 'root'}",
            f"--hostname-override={NAME}",
            f"--node-ip={network.NODE_ADDRESS}",
        ),
        run=paths.run,
        logs=paths.logs,
        configuration=(configuration,),
    )


def kube_proxy(paths: Paths, control_plane: ControlPlane, programs: Path) -> Daemon:
    """Describe kube-proxy, and write what it reads."""
    kubeconfig = paths.kubelet / "kube-proxy.kubeconfig"
    control_plane.client("kube-proxy", "system:kube-proxy").write_kubeconfig(kubeconfig)
    settings = {
        "kind": "KubeProxyConfiguration",
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "clusterCIDR": network.POD_RANGE,
        "hostnameOverride": NAME,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "conntrack": {"maxPerCore": 0},
        "oomScoreAdj": 0,
    }
    configuration = write(paths.kubelet / "kube-proxy.json", json.dumps(settings, indent=2))
    return Daemon(
        name="kube-proxy",
        argv=(str(programs / "kube-proxy"), f"--config={configuration}"),
        run=paths.run,
        logs=paths.logs,
        configuration=(configuration,),
    )


def start(paths: Paths, control_plane: ControlPlane, programs: Path, gpus: int) -> None:
    """Start the node, wait until it is ready, and play its GPUs."""
    client = control_plane.administrator
    program_images.ensure(paths, programs / "pause", containerd.PAUSE_IMAGE)
    agent = kubelet(paths, control_plane, programs)
    agent.start()
    # kube-proxy waits half a minute for a node that has no address yet.
    agent.wait_until(lambda: client.get(PATH) is not None)
    proxy = kube_proxy(paths, control_plane, programs)
    if proxy.start():
        proxy.wait_until(network.leads_to_services)
    agent.wait_until(lambda: is_ready(client))
    play_gpus(client, gpus)


def play_gpus(client: KubernetesClient, count: int) -> None:
    """Give the node GPUs to schedule by: an extended resource, as a device plugin would report it."""
    changes = [
        {"op": "add", "path": f"/status/{kind}/{GPU.replace('/', '~1')}", "value": str(count)}
        for kind in ("capacity", "allocatable")
        if _gpus(client, kind) != str(count)
    ]
    if changes:
        client.patch(f"{PATH}/status", changes)


def is_ready(client: KubernetesClient) -> bool:
    """Tell whether pods can run on the node."""
    node = client.get(PATH) or {}
    conditions = node.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def wait_for(condition: Callable[[], bool], complaint: str, timeout_seconds: float = 60) -> None:
    """Wait for something that the cluster does by itself."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"{complaint} after {timeout_seconds:.0f} s")
        time.sleep(0.2)


def _gpus(client: KubernetesClient, kind: str) -> str:
    node = client.get(PATH) or {}
    return str(node.get("status", {}).get(kind, {}).get(GPU, "0"))
