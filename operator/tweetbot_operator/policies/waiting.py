"""What is the current attempt waiting for? A pod that cannot start yet is no failure; it says what it lacks."""

from datetime import datetime

from tweetbot_api.conditions import Reason
from tweetbot_api.names import JobKind
from tweetbot_api.status import Phase
from tweetbot_operator.observed import ObservedJob, ObservedPod, QueueWord, WarningEvent
from tweetbot_operator.policies.heartbeat import interval_seconds
from tweetbot_operator.policies.queue import tell_place
from tweetbot_operator.policies.verdict import Verdict

_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
_DOING = {
    "prepare": Verdict(Reason.PREPARING, "posts are being fetched, cleaned and counted"),
    "train": Verdict(Reason.TRAINING, "the bot is being trained"),
    "purge": Verdict(Reason.PURGING, "what the bot's runs have stored is being deleted"),
}
_PHASES: dict[JobKind, Phase] = {"prepare": "Preparing", "train": "Training", "purge": "Deleting"}


def describe_wait(
    job: ObservedJob,
    kind: JobKind,
    pod: ObservedPod | None,
    warning: WarningEvent | None,
    word: QueueWord | None = None,
) -> Verdict:
    """Return what holds a Job of this kind up, or what it is doing if nothing does."""
    if job.state == "suspended":
        return describe_queue(job.key.name, word)
    if warning and (pod is None or pod.is_starting):
        reason = Reason.POD_REFUSED if pod is None else Reason.POD_NOT_STARTED
        return Verdict(reason, f"{warning.reason}: {warning.message}")
    if pod is None or not pod.is_live:
        return describe_work(kind)
    return _describe_pod(pod) or describe_work(kind)


def seconds_until_told(pod: ObservedPod | None, num_bots: int, now: datetime) -> float:
    """Return how long it is too early to say that no node has room for the pod of so many bots.

    Often another pod is about to make room, and each word of it is a write for every bot.
    """
    if pod is None or pod.unschedulable_message is None:
        return 0.0
    return max(0.0, interval_seconds(num_bots) - (now - pod.created).total_seconds())


def describe_line() -> Verdict:
    """Return what is said of a bot for whose Job there is no room in the line for nodes."""
    return Verdict(
        Reason.PENDING,
        "other Jobs of bots like this one wait for a node; it takes its turn when one of them has found its own",
    )


def describe_queue(job_name: str, word: QueueWord | None = None) -> Verdict:
    """Return what is said of a Job that its queue holds back."""
    place = f", {tell_place(word.place)}" if word and word.place else ""
    why = f": {word.message}" if word else ""
    return Verdict(Reason.QUEUED, f"the Job {job_name} waits for its queue to admit it{place}{why}")


def describe_work(kind: JobKind) -> Verdict:
    """Return what is said of a Job that nothing holds up."""
    return _DOING[kind]


def name_phase(job: ObservedJob, kind: JobKind) -> Phase:
    """Return the phase of a run whose Job, of this kind, is not finished."""
    return "Queued" if job.state == "suspended" else name_work(kind)


def name_work(kind: JobKind) -> Phase:
    """Return the phase of a run whose Job nothing holds back."""
    return _PHASES[kind]


def _describe_pod(pod: ObservedPod) -> Verdict | None:
    if pod.unschedulable_message is not None:
        return Verdict(
            Reason.UNSCHEDULABLE, f"no node has room for the pod {pod.key.name}: {pod.unschedulable_message}"
        )
    if pod.waiting_reason in _IMAGE_REASONS:
        return Verdict(Reason.IMAGE_PULL_FAILED, f"{pod.waiting_reason}: {_first_line(pod.waiting_message)}")
    if pod.waiting_reason == "CreateContainerConfigError":
        # The kubelet names the missing Secret or key; nothing else of ours can be missing in the environment.
        return Verdict(Reason.SECRET_NOT_FOUND, f"in namespace {pod.key.namespace}: {pod.waiting_message}")
    return None


def _first_line(text: str) -> str:
    return text.splitlines()[0] if text else "the image cannot be pulled"
