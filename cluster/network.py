"""The cluster's network: an address for the node, routes, and a guard that keeps every packet on this machine.

Before anything of the cluster connects, its ranges are routed to a bridge of ours, and a filter drops what would
leave by another device. Each pod has a route of its own (the `ptp` plugin); what is sent to a pod that is gone is
unreachable, and a pod reaches nothing outside.
"""

import json
import socket
from fnmatch import fnmatch
from ipaddress import IPv4Network
from typing import Any

from cluster.commands import output_of, succeeds
from cluster.errors import ClusterError
from cluster.files import write
from cluster.paths import Paths

BRIDGE = "tweetbot0"
NODE_ADDRESS = "10.87.0.1"
NODE_RANGE = "10.87.0.0/24"
POD_RANGE = "10.88.0.0/16"
SERVICE_RANGE = "10.96.0.0/16"
API_SERVICE_ADDRESS = "10.96.0.1"
DNS_SERVICE_ADDRESS = "10.96.0.10"
GUARD = "tweetbot"
# Each pod's end of the link on the node has a name like this, given by the `ptp` plugin.
POD_DEVICES = "veth*"

GUARD_RULES = f"""\
table inet {GUARD}
delete table inet {GUARD}
table inet {GUARD} {{
  chain output {{
    type filter hook output priority 0; policy accept;
    oifname {{ "lo", "{BRIDGE}" }} accept
    oifname "{POD_DEVICES}" accept
    ip daddr {{ {NODE_RANGE}, {POD_RANGE}, {SERVICE_RANGE} }} counter drop
  }}
  chain forward {{
    type filter hook forward priority 0; policy accept;
    oifname {{ "lo", "{BRIDGE}" }} accept
    oifname "{POD_DEVICES}" accept
    ip daddr {{ {NODE_RANGE}, {POD_RANGE}, {SERVICE_RANGE} }} counter drop
    ip saddr {POD_RANGE} counter reject with icmp type admin-prohibited
  }}
}}
"""
KUBE_PROXY_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))


def up(paths: Paths) -> None:
    """Lay the network; what is there already stays as it is."""
    taken = conflicts(json.loads(output_of(["ip", "-json", "-4", "route", "show", "table", "all"])))
    if taken:
        raise ClusterError(f"this machine has routes to addresses that the cluster would use: {', '.join(taken)}")
    output_of(["nft", "--file", "-"], given=GUARD_RULES)
    if not succeeds(["ip", "link", "show", BRIDGE]):
        output_of(["ip", "link", "add", BRIDGE, "type", "bridge"])
    output_of(["ip", "address", "replace", f"{NODE_ADDRESS}/24", "dev", BRIDGE])
    output_of(["ip", "link", "set", BRIDGE, "up"])
    output_of(["ip", "route", "replace", SERVICE_RANGE, "dev", BRIDGE])
    output_of(["ip", "route", "replace", "unreachable", POD_RANGE])
    output_of(["sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1"])
    write(paths.cni / "conf" / "10-tweetbot.conflist", render_cni(paths))


def render_cni(paths: Paths) -> str:
    """Write out how a pod is connected."""
    connection = {
        "type": "ptp",
        "ipMasq": False,
        "ipam": {
            "type": "host-local",
            "dataDir": str(paths.cni / "addresses"),
            "ranges": [[{"subnet": POD_RANGE}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return json.dumps({"cniVersion": "0.4.0", "name": "tweetbot", "plugins": [connection]}, indent=2)


def conflicts(routes: list[dict[str, Any]]) -> list[str]:
    """Name the routes of others into our ranges: another cluster's, a VPN's. A wider one yields to ours."""
    ours = [IPv4Network(addresses) for addresses in (NODE_RANGE, POD_RANGE, SERVICE_RANGE)]
    return [
        f"{route['dst']} ({route['dev']})"
        for route in routes
        if route["dst"] != "default" and "dev" in route and not fnmatch(route["dev"], POD_DEVICES)
        if route["dev"] != BRIDGE and any(IPv4Network(route["dst"]).subnet_of(addresses) for addresses in ours)
    ]


def leads_to_services() -> bool:
    """Tell whether kube-proxy has laid its rules: the apiserver answers at its address as a service."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((API_SERVICE_ADDRESS, 443)) == 0


def forget_services() -> None:
    """Take away kube-proxy's rules, so that it lays all of them when it starts."""
    for family, table in KUBE_PROXY_TABLES:
        _try(["nft", "delete", "table", family, table])


def down() -> None:
    """Take away all that `up`, kube-proxy and the pods have added; the guard goes last."""
    forget_services()
    _try(["ip", "link", "delete", BRIDGE])
    _try(["ip", "route", "delete", "unreachable", POD_RANGE])
    _try(["nft", "delete", "table", "inet", GUARD])


def _try(argv: list[str]) -> None:
    """Remove a thing that may be gone already."""
    succeeds(argv)
