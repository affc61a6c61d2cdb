"""One list and the watch that follows it, for as long as it takes."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient

Document = dict[str, Any]
_WATCH_SECONDS = 3600


def watch(client: ApiClient, path: str, *, labels: str = "", metadata_only: bool = False) -> Iterator[Document]:
    """Return each object of a collection whenever it is there or changes, deletions left out.

    Raises urllib3's HTTPError when the apiserver goes away.
    """
    form = ";as={};g=meta.k8s.io;v=v1" if metadata_only else ""
    query = {"labelSelector": labels} if labels else {}
    while True:
        with _get(client, path, query, form.format("PartialObjectMetadataList")) as response:
            listed = json.loads(response.data)
        yield from listed["items"] or ()
        version = listed["metadata"]["resourceVersion"]
        for event in _events(client, path, query, form.format("PartialObjectMetadata"), version):
            if event["type"] != "DELETED":
                yield event["object"]


def _events(client: ApiClient, path: str, query: dict[str, str], form: str, version: str) -> Iterator[Document]:
    """Return what happens after a version, until the apiserver has forgotten what came after the last one seen."""
    while True:
        wanted = {**query, "watch": "true", "resourceVersion": version, "timeoutSeconds": str(_WATCH_SECONDS)}
        # The apiserver ends a watch whose client does not keep up.
        with _get(client, path, wanted, form) as response:
            for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    if event["object"].get("code") == HTTPStatus.GONE:
                        return
                    raise RuntimeError(f"the watch of {path} broke: {event['object'].get('message')}")
                version = event["object"]["metadata"]["resourceVersion"]
                yield event


def _get(client: ApiClient, path: str, query: dict[str, str], form: str) -> urllib3.response.BaseHTTPResponse:
    response: urllib3.response.BaseHTTPResponse = client.rest_client.pool_manager.request(
        "GET",
        f"{client.configuration.host}{path}?{urlencode(query)}",
        headers={"Accept": f"application/json{form}"},
        preload_content=False,
        timeout=urllib3.Timeout(connect=10, read=_WATCH_SECONDS),
    )
    return response


def _lines(response: urllib3.response.BaseHTTPResponse) -> Iterator[bytes]:
    rest = b""
    while chunk := response.read1(1 << 16):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
