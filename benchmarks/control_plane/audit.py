"""Who asked the apiserver for what, from its audit log: one count per client, verb and resource."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

READS: Final = frozenset({"get", "list", "watch"})
HOUSEKEEPING: Final = frozenset({"nodes", "leases", "csinodes"})
"""What a cluster writes however many bots there are: heartbeats of nodes and of whoever holds a Lease."""
_SERVICE_ACCOUNT: Final = "system:serviceaccount:"
_UNSEEN_SERVERS: Final = frozenset({"system:apiserver"})
"""The apiserver's own requests to itself."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that the apiserver has answered."""

    client: str
    verb: str
    resource: str
    code: int
    time: datetime

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.verb in READS


def read_requests(lines: Iterable[str]) -> Iterator[Request]:
    """Return the requests about resources, housekeeping left out; a watch counts once, when it is opened."""
    for line in lines:
        event = json.loads(line)
        reference = event.get("objectRef") or {}
        user = event["user"]["username"]
        counted_stage = "ResponseStarted" if event["verb"] == "watch" else "ResponseComplete"
        resource = reference.get("resource", "")
        if event["stage"] != counted_stage or user in _UNSEEN_SERVERS or not resource or resource in HOUSEKEEPING:
            continue
        yield Request(
            client=name_client(user),
            verb=event["verb"],
            resource="/".join(filter(None, (resource, reference.get("subresource")))),
            code=(event.get("responseStatus") or {}).get("code", 0),
            time=datetime.fromisoformat(event["stageTimestamp"]),
        )


def name_client(user: str) -> str:
    """Return a short name of who asks: a service account without its namespace, a component without `system:`."""
    return user.rsplit(":", 1)[-1] if user.startswith(_SERVICE_ACCOUNT) else user.removeprefix("system:")


def count(requests: Iterable[Request], *, reads: bool) -> dict[str, Counter[str]]:
    """Return, for each client, how many reads (or writes) of what it asked for, as `verb resource`."""
    counted: dict[str, Counter[str]] = {}
    for request in requests:
        if request.is_read is reads:
            counted.setdefault(request.client, Counter())[f"{request.verb} {request.resource}"] += 1
    return counted


def per_object(counted: Mapping[str, Mapping[str, int]], objects: int) -> dict[str, float]:
    """Return requests per object for each client, the busiest first."""
    sums = {client: sum(requests.values()) / max(objects, 1) for client, requests in counted.items()}
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def total(counted: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the requests of all clients."""
    return sum(sum(requests.values()) for requests in counted.values())
