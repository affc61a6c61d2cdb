"""Where each kind is in the Kubernetes API, and what a path is about."""

import re

from tweetbot_api import names

_UNFENCED = ("/apis/coordination.k8s.io/", "/apis/authentication.k8s.io/")
"""What a replica that does not act may write: Leases and TokenReviews."""
_RESOURCE = re.compile(r"/(?:api|apis/[^/]+)/[^/]+(?:/namespaces/[^/]+)?/([a-z]+)")
"""What a path is about, whatever the namespace is called."""
_PREFIXES = {
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "Event": "/api/v1/namespaces/{}/events",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    names.KIND: f"/apis/{names.API_VERSION}/namespaces/{{}}/{names.PLURAL}",
    names.BATCH_KIND: f"/apis/{names.API_VERSION}/namespaces/{{}}/{names.BATCH_PLURAL}",
}


def collection_path(kind: str, namespace: str | None) -> str:
    """Return the path of a collection; without a namespace, that of all namespaces together."""
    prefix = _PREFIXES[kind]
    return prefix.replace("/namespaces/{}", "") if namespace is None else prefix.format(namespace)


def name_resource(path: str) -> str:
    """Return what a path of ours is about: `tweetbots`, `jobs`."""
    found = _RESOURCE.match(path)
    assert found  # noqa: S101 - the paths are our own
    return found[1]


def is_fenced(method: str, path: str) -> bool:
    """Tell whether only a replica that acts may send this."""
    return method != "GET" and not path.startswith(_UNFENCED)
