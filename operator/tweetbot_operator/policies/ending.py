"""Why did an attempt fail? Told by the trainer if it could, else by what Kubernetes saw of the pod and the Job."""

from tweetbot_api.conditions import EXPLANATIONS, Reason
from tweetbot_api.exitcodes import STOPPED, ExitCode, is_retryable
from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import JobKind
from tweetbot_api.status import Failure
from tweetbot_operator.observed import Observed, ObservedPod

_SIGKILL, _SIGTERM = 137, STOPPED[0]
_LONGEST_MESSAGE, _LONGEST_LOG = 1024, 2048
_FROM_OUTSIDE = frozenset({Reason.INTERRUPTED, Reason.EVICTED})
_ECHOES = frozenset({ExitCode.PEER_LOST, *STOPPED})
"""Exit codes of a pod that ended because another one had."""
_BY_CODE = {
    _SIGTERM: (Reason.INTERRUPTED, "the pod was stopped before it could save anything"),
    ExitCode.STOPPED_WITH_CHECKPOINT: (Reason.INTERRUPTED, "the pod was stopped after saving a checkpoint"),
    ExitCode.GPU_FAULT: (Reason.GPU_FAULT, "the GPU reported an error"),
    ExitCode.PEER_LOST: (Reason.PEER_LOST, "another process of the training ended"),
    _SIGKILL: (Reason.KILLED, "the container was killed; most likely the node's memory was used up"),
}


def is_success(outcome: BotOutcome | None, kind: JobKind) -> bool:
    """Tell whether the outcome proves that the Job did its work: a stored manifest, or for prepare a dataset."""
    if outcome is None or outcome.failure is not None:
        return False
    is_prepared = outcome.dataset is not None or outcome.unchanged is not None
    return outcome.manifest_sha256 is not None or (kind == "prepare" and is_prepared)


def explain_failure(observed: Observed) -> Failure:
    """Return why the Job of the current attempt, which has ended without success, did so."""
    outcome, pod, job = observed.outcome, observed.pod, observed.job
    if outcome and outcome.failure:
        return _explain_by_culprit(observed, outcome.failure) or _complete(outcome.failure, pod)
    if job is None:
        return Failure(reason=Reason.INTERRUPTED, message="the Job was deleted before it had ended")
    code = pod.exit_code if pod and pod.exit_code is not None else job.exit_code
    if job.state == "succeeded":
        message = "the Job succeeded but no result proves that its output is stored; see the pod's log"
        return Failure(reason=Reason.RESULT_LOST, message=message, exit_code=code)
    reason, message = _explain_by_pod(pod) or _explain_by_code(code, is_disrupted=job.is_disrupted)
    return Failure(
        reason=reason,
        message=(message or job.message or "the Job failed and its pod is gone")[:_LONGEST_MESSAGE],
        exit_code=code,
        log_tail=_tail_log(pod),
    )


def may_end_better(failure: Failure) -> bool:
    """Tell whether another attempt may succeed where this one failed."""
    code = failure.exit_code
    if failure.reason in set(Reason):
        expected = EXPLANATIONS[Reason(failure.reason)].exit_code
        code = expected if expected is not None else code
    return code is None or is_retryable(code)


def is_failed_for_good(outcome: BotOutcome | None) -> bool:
    """Tell whether the trainer has said that no attempt can end well."""
    return bool(outcome and outcome.failure and not may_end_better(outcome.failure))


def is_from_outside(failure: Failure, observed: Observed) -> bool:
    """Tell whether the attempt was stopped by others, whatever its trainer said while it was."""
    job = observed.job
    is_stopped = job is not None and (job.is_disrupted or job.is_held_back)
    return failure.reason in _FROM_OUTSIDE or is_stopped or any(pod.is_disrupted for pod in observed.pods)


def _explain_by_culprit(observed: Observed, told: Failure) -> Failure | None:
    """Return why a process ended that the one that reports only knows to have lost; None if that cannot be known."""
    if told.reason != Reason.PEER_LOST:
        return None
    ended = sorted(
        (pod for pod in observed.pods if pod.exit_code and pod.finished), key=lambda pod: pod.finished or pod.created
    )
    for pod in ended:
        if pod.exit_code in _ECHOES and not (pod.is_disrupted or pod.is_out_of_memory):
            continue
        reason, message = _explain_by_pod(pod) or _explain_by_code(pod.exit_code, is_disrupted=False)
        text = f"{message or f'exit code {pod.exit_code}'} (pod {pod.key.name}, which the others could not do without)"
        log_tail = _tail_log(pod) if pod.index else told.log_tail
        return Failure(reason=reason, message=text[:_LONGEST_MESSAGE], exit_code=pod.exit_code, log_tail=log_tail)
    return None


def _tail_log(pod: ObservedPod | None) -> str | None:
    return (pod.termination_message or "")[-_LONGEST_LOG:] or None if pod else None


def _explain_by_pod(pod: ObservedPod | None) -> tuple[Reason, str] | None:
    if pod is None:
        return None
    if pod.is_out_of_memory:
        return Reason.OUT_OF_MEMORY, "the container used more memory than its limit; raise spec.resources.memory"
    if pod.ended_by == Reason.EVICTED:
        return Reason.EVICTED, f"the pod {pod.key.name} was evicted: {pod.ended_message}"
    if pod.is_disrupted or pod.is_deleting:
        return Reason.INTERRUPTED, f"the pod {pod.key.name} was stopped"
    return None


def _explain_by_code(code: int | None, *, is_disrupted: bool) -> tuple[Reason, str]:
    if is_disrupted:
        return Reason.INTERRUPTED, "the pod was drained, preempted or evicted, and is gone"
    return _BY_CODE.get(code, (Reason.JOB_FAILED, "")) if code is not None else (Reason.JOB_FAILED, "")


def _complete(failure: Failure, pod: ObservedPod | None) -> Failure:
    """Return the trainer's failure with the container's exit code, where the trainer gave none."""
    if failure.exit_code is None and pod and pod.exit_code is not None:
        return failure.model_copy(update={"exit_code": pod.exit_code})
    return failure
