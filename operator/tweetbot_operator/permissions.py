"""What the operator's service account may do, each with why: the chart's RBAC is generated from this table.

No wildcard, and no verb on Secrets: pods mount them by name, the operator never reads one.
"""

from dataclasses import dataclass

from tweetbot_api import names


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One RBAC rule."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    why: str

    def to_wire(self) -> dict[str, list[str]]:
        """Return the rule as a Role holds it."""
        return {"apiGroups": list(self.api_groups), "resources": list(self.resources), "verbs": list(self.verbs)}


NAMESPACED: tuple[Rule, ...] = (
    Rule(
        api_groups=(names.GROUP,),
        resources=(names.PLURAL,),
        verbs=("get", "list", "watch", "create", "patch"),
        why="to know what is wanted, for the finalizer of a bot whose files are deleted with it (deletionPolicy), and "
        "to make the bots of a TweetBotBatch and try them again (spec.runID)",
    ),
    Rule(
        api_groups=(names.GROUP,),
        resources=(names.BATCH_PLURAL,),
        verbs=("get", "list", "watch"),
        why="to know which bots are wanted",
    ),
    Rule(
        api_groups=(names.GROUP,),
        resources=(f"{names.PLURAL}/status", f"{names.BATCH_PLURAL}/status"),
        verbs=("patch",),
        why="to report",
    ),
    Rule(
        api_groups=(names.GROUP,),
        resources=(f"{names.BATCH_PLURAL}/finalizers",),
        verbs=("update",),
        why="to make bots that a foreground deletion of their TweetBotBatch waits for, where the cluster asks for that",
    ),
    Rule(
        api_groups=("batch",),
        resources=("jobs",),
        verbs=("get", "list", "watch", "create", "delete"),
        why="to run prepare and train Jobs, and to delete those of a superseded run",
    ),
    Rule(
        api_groups=("",),
        resources=("pods",),
        verbs=("get", "list", "watch"),
        why="to see why a Job waits or failed, and whose token speaks to the progress server",
    ),
    Rule(
        api_groups=("",),
        resources=("configmaps",),
        verbs=("get", "create", "patch"),
        why="to hand the run manifest to a Job by server-side apply, to see whether a shared Job has its own, and to "
        "read the handles of a TweetBotBatch; the ConfigMap it names is one that its author may read",
    ),
    Rule(
        api_groups=("",),
        resources=("services",),
        verbs=("create", "patch"),
        why="to let the pods of a training of several nodes find each other; Services are never read",
    ),
    Rule(
        api_groups=("kueue.x-k8s.io",),
        resources=("workloads",),
        verbs=("list",),
        why="to tell why a Job waits in its queue; of no use where Kueue is not installed",
    ),
    Rule(
        api_groups=("visibility.kueue.x-k8s.io",),
        resources=("localqueues/pendingworkloads",),
        verbs=("get",),
        why="to tell at which place of its queue a Job waits",
    ),
    Rule(
        api_groups=("",),
        resources=("events",),
        verbs=("list", "create"),
        why="to tell of a run's turns, and to read what only an Event says: why a pod is refused or does not start",
    ),
)
"""In each watched namespace, or in all."""

OWN_NAMESPACE: tuple[Rule, ...] = (
    Rule(
        api_groups=("coordination.k8s.io",),
        resources=("leases",),
        verbs=("get", "create", "update"),
        why="so that only one replica acts",
    ),
)
"""In the namespace of the operator itself."""

CLUSTER_WIDE: tuple[Rule, ...] = (
    Rule(
        api_groups=("authentication.k8s.io",),
        resources=("tokenreviews",),
        verbs=("create",),
        why="to ask whose token a trainer sends; TokenReviews have no namespace",
    ),
)
"""Always for the whole cluster."""
