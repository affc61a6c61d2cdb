"""Whose token is this? Asked of the cluster by TokenReview, remembered for a minute by the token's hash."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from tweetbot_api.names import TOKEN_AUDIENCE
from tweetbot_operator.cluster import Cluster
from tweetbot_operator.observed import Document

REMEMBERED_SECONDS = 60
_MOST_REMEMBERED = 20_000
_ACCOUNT_PREFIX = "system:serviceaccount:"
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """The pod that a token was issued for."""

    namespace: str
    name: str
    uid: str


class TokenReviewer:
    """Tells which pod a token belongs to."""

    def __init__(self, cluster: Cluster, uptime: Callable[[], float]) -> None:
        self._cluster = cluster
        self._uptime = uptime
        self._known: OrderedDict[bytes, tuple[float, PodIdentity | None]] = OrderedDict()
        """Until when whose token is known, the oldest first."""

    async def identify(self, token: str) -> PodIdentity | None:
        """Return the pod, or None if the token is not valid for us or not bound to a pod."""
        fingerprint = hashlib.sha256(token.encode()).digest()
        until, identity = self._known.get(fingerprint, (0.0, None))
        if until > self._uptime():
            return identity
        review = await asyncio.to_thread(self._cluster.review_token, token, [TOKEN_AUDIENCE])
        identity = read_identity(review)
        self._remember(fingerprint, identity)
        return identity

    def _remember(self, fingerprint: bytes, identity: PodIdentity | None) -> None:
        self._known[fingerprint] = (self._uptime() + REMEMBERED_SECONDS, identity)
        self._known.move_to_end(fingerprint)
        if len(self._known) > _MOST_REMEMBERED:
            self._known.popitem(last=False)


def read_identity(review: Document) -> PodIdentity | None:
    """Return the pod that a TokenReview's status names."""
    user = review.get("user") or {}
    username, extra = user.get("username", ""), user.get("extra") or {}
    names, uids = extra.get(_POD_NAME), extra.get(_POD_UID)
    is_valid = review.get("authenticated") and TOKEN_AUDIENCE in (review.get("audiences") or ())
    if not (is_valid and username.startswith(_ACCOUNT_PREFIX) and names and uids):
        return None
    return PodIdentity(username.removeprefix(_ACCOUNT_PREFIX).partition(":")[0], names[0], uids[0])
