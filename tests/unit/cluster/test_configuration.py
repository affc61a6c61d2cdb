import json
import tomllib
from string import Template

import pytest
import yaml

from cluster import buildkit, containerd, dns, kueue, network, shell_environment
from cluster.errors import ClusterError
from cluster.paths import Paths


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path)


def test_containerd_keeps_to_its_own_folders(paths):
    settings = tomllib.loads(containerd.render(paths))
    assert settings["grpc"]["address"] == str(paths.containerd_socket)
    for place in ("root", "state"):
        assert settings[place].startswith(str(paths.state))
    assert settings["plugins"]["io.containerd.grpc.v1.cri"]["sandbox_image"] == containerd.PAUSE_IMAGE


def test_buildkitd_builds_into_the_kubelets_store(paths):
    worker = tomllib.loads(buildkit.render(paths))["worker"]
    assert worker["oci"]["enabled"] is False
    assert worker["containerd"]["namespace"] == "k8s.io"
    assert worker["containerd"]["address"] == str(paths.containerd_socket)
    assert worker["containerd"]["gc"] is True


def test_pods_get_addresses_of_the_guarded_range(paths):
    (plugin,) = json.loads(network.render_cni(paths))["plugins"]
    assert plugin["ipam"]["ranges"] == [[{"subnet": network.POD_RANGE}]]
    assert plugin["ipam"]["dataDir"].startswith(str(paths.state))


@pytest.mark.parametrize("addresses", [network.NODE_RANGE, network.POD_RANGE, network.SERVICE_RANGE])
def test_guard_drops_each_range_on_its_way_out(addresses):
    drops = [line for line in network.GUARD_RULES.splitlines() if line.endswith("drop")]
    assert len(drops) == 2  # what the node sends, and what it forwards
    assert all(addresses in line for line in drops)


def test_routes_of_others_into_our_ranges_are_found():
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "192.0.2.0/24", "dev": "eth0"},
        {"dst": "10.96.0.0/16", "dev": "tweetbot0"},
        {"dst": "10.88.0.2", "dev": "veth1"},
        {"type": "unreachable", "dst": "10.88.0.0/16"},
        {"dst": "10.0.0.0/8", "dev": "tun0"},
        {"dst": "10.96.7.0/24", "dev": "tun0"},
    ]
    assert network.conflicts(routes) == ["10.96.7.0/24 (tun0)"]


def test_dns_manifest_names_the_image_and_the_address():
    manifest = dns.render("docker.io/local/coredns:1")
    assert "image: docker.io/local/coredns:1\n" in manifest
    assert f"clusterIP: {network.DNS_SERVICE_ADDRESS}\n" in manifest
    assert "forward" not in manifest.replace("Nothing is forwarded", "")


def test_kueue_is_deployed_from_its_module_with_our_image():
    text = Template(kueue.MANIFEST.read_text()).substitute(MODULE="../m", IMAGE_NAME="local/kueue", IMAGE_TAG="v1")
    manifest = yaml.safe_load(text)
    assert manifest["resources"] == ["../m/config/default"]
    assert (manifest["images"][0]["newName"], manifest["images"][0]["newTag"]) == ("local/kueue", "v1")
    (deployment,) = (yaml.safe_load(item["patch"]) for item in manifest["patches"])
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["imagePullPolicy"] == "Never"


def test_environment_needs_a_cluster(paths):
    with pytest.raises(ClusterError, match="cluster up"):
        shell_environment.variables(paths, {})


def test_environment_leads_to_the_cluster(paths):
    paths.control_plane.mkdir(parents=True)
    paths.kubeconfig.touch()
    found = shell_environment.variables(paths, {"PATH": "/bin", "NO_PROXY": "localhost"})
    assert found["KUBECONFIG"] == str(paths.kubeconfig)
    assert found["PATH"].endswith(":/bin")
    assert found["NO_PROXY"] == "localhost,10.87.0.1"
    assert found["TWEETBOT_S3_ENDPOINT"].startswith(f"http://{found['TWEETBOT_NODE_ADDRESS']}:")
    assert found == shell_environment.variables(paths, {"PATH": "/bin", "NO_PROXY": "localhost"}), "keys are kept"
    assert (paths.s3 / "keys.json").stat().st_mode & 0o777 == 0o600


def test_shell_lines_are_quoted():
    assert shell_environment.render({"A": "it's $HOME"}) == "export A='it'\"'\"'s $HOME'"
