"""What a shell exports to use the cluster."""

import shlex
from collections.abc import Mapping

from cluster import network, s3, tools
from cluster.errors import ClusterError
from cluster.paths import Paths


def variables(paths: Paths, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of a cluster that is up."""
    if not paths.kubeconfig.exists():
        raise ClusterError("there is no cluster: run `python3 -m cluster up` first")
    keys = s3.keys(paths)
    programs = [str(tools.folder(paths, name)) for name in tools.GROUPS]
    not_proxied = ",".join(filter(None, [environment.get("NO_PROXY"), network.NODE_ADDRESS]))
    return {
        "KUBECONFIG": str(paths.kubeconfig),
        "PATH": ":".join([*programs, environment.get("PATH", "")]),
        "TWEETBOT_NODE_ADDRESS": network.NODE_ADDRESS,
        "TWEETBOT_S3_ENDPOINT": s3.ENDPOINT,
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_DEFAULT_REGION": s3.REGION,
        "NO_PROXY": not_proxied,
        "no_proxy": not_proxied,
    }


def render(found: Mapping[str, str]) -> str:
    """Write the variables as a shell reads them."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in found.items())
