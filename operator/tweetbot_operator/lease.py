"""Only one replica acts: the one that holds the Lease. It stops acting before another may take it.

A holder renews every RENEW_SECONDS and may act for ACT_SECONDS after the moment at which it *asked* for the last
renewal that was granted. Another replica takes the Lease only after it has seen it unchanged for LEASE_SECONDS by its
own clock. So clocks of different machines are never compared, and a request, which is cut off after REQUEST_SECONDS,
cannot outlive the holder's time. The same scheme as client-go's leaderelection.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from tweetbot_operator.cluster import AlreadyExistsError, Cluster, ClusterError, ConflictError, GoneError
from tweetbot_operator.observed import Document, Key

logger = logging.getLogger(__name__)

LEASE_SECONDS = 30
ACT_SECONDS = 18
"""Less than LEASE_SECONDS - REQUEST_SECONDS."""
RENEW_SECONDS = 8
RETRY_SECONDS = 2


class LostLeaseError(Exception):
    """Another replica may act from now on."""


class Lease:
    """One replica's view of the Lease."""

    def __init__(
        self,
        cluster: Cluster,
        key: Key,
        identity: str,
        *,
        clock: Callable[[], datetime],
        uptime: Callable[[], float],
    ) -> None:
        self._cluster = cluster
        self._key = key
        self._identity = identity
        self._clock = clock
        self._uptime = uptime
        self._held_until = 0.0
        self._seen_version = ""
        self._seen_at = 0.0

    def may_act(self) -> bool:
        """Tell whether this replica may write to the cluster now."""
        return self._uptime() < self._held_until

    async def acquire(self) -> None:
        """Return once this replica holds the Lease."""
        while not await asyncio.to_thread(self.try_once):
            await asyncio.sleep(RETRY_SECONDS)
        logger.info("lease acquired identity=%s", self._identity)

    async def hold(self) -> None:
        """Renew the Lease until cancelled; raise LostLeaseError when this replica may no longer act."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            while not await asyncio.to_thread(self.try_once):
                if not self.may_act():
                    raise LostLeaseError(f"{self._identity} could not renew the Lease {self._key.name} in time")
                await asyncio.sleep(RETRY_SECONDS)

    def try_once(self) -> bool:
        """Take or renew the Lease; tell whether it is ours now."""
        asked_at = self._uptime()
        try:
            is_ours = self._take()
        except ConflictError:
            return False
        except ClusterError as error:
            logger.warning("lease not renewed reason=%s", error)
            return False
        if is_ours:
            self._held_until = asked_at + ACT_SECONDS
        return is_ours

    def release(self) -> None:
        """Let another replica take the Lease at once; from here on this one does not act."""
        self._held_until = 0.0
        try:
            lease = self._cluster.get("Lease", self._key)
            if lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                self._cluster.replace(lease)
        except ClusterError as error:
            logger.info("lease not released reason=%s", error)

    def _take(self) -> bool:
        try:
            lease = self._cluster.get("Lease", self._key)
        except GoneError:
            return self._create()
        spec, version = lease["spec"], lease["metadata"]["resourceVersion"]
        if version != self._seen_version:
            self._seen_version, self._seen_at = version, self._uptime()
        holder = spec.get("holderIdentity")
        is_expired = self._uptime() - self._seen_at >= spec.get("leaseDurationSeconds", LEASE_SECONDS)
        if holder and holder != self._identity and not is_expired:
            return False
        transitions = spec.get("leaseTransitions", 0) + (holder != self._identity)
        self._cluster.replace({**lease, "spec": self._describe(transitions)})
        return True

    def _create(self) -> bool:
        metadata = {"name": self._key.name, "namespace": self._key.namespace}
        manifest = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
        try:
            self._cluster.create({**manifest, "spec": self._describe(0)})
        except AlreadyExistsError:
            return False
        return True

    def _describe(self, transitions: int) -> Document:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "leaseTransitions": transitions,
            "renewTime": self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
