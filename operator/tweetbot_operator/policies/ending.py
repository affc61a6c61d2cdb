"""Why did an attempt fail? Told by the trainer if it could, else by what Kubernetes saw of the pod and the Job."""

from tweetbot_api.conditions import EXPLANATIONS, Reason
from tweetbot_api.exitcodes import is_retryable
from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import JobKind
from tweetbot_api.status import Failure
from tweetbot_operator.observed import Observed, ObservedPod

_SIGKILL, _SIGTERM = 137, 143
_LONGEST_MESSAGE = 1024


def is_success(outcome: BotOutcome | None, kind: JobKind) -> bool:
    """Tell whether the outcome proves that the Job did its work: a stored manifest, or for prepare a dataset."""
    if outcome is None or outcome.failure is not None:
        return False
    return outcome.manifest_sha256 is not None or (kind == "prepare" and outcome.dataset is not None)


def explain_failure(observed: Observed) -> Failure:
    """Return why the Job of the current attempt, which has ended without success, did so."""
    outcome, pod = observed.outcome, observed.pod
    if outcome and outcome.failure:
        return _complete(outcome.failure, pod)
    if observed.job is None:
        return Failure(reason=Reason.INTERRUPTED, message="the Job was deleted before it had ended")
    if observed.job.state == "succeeded":
        return Failure(
            reason=Reason.RESULT_LOST,
            message="the Job succeeded but no result proves that its output is stored; see the pod's log",
            exit_code=pod.exit_code if pod else None,
        )
    return _explain_by_pod(pod) or Failure(
        reason=Reason.JOB_FAILED,
        message=(observed.job.message or "the Job failed and its pod is gone")[:_LONGEST_MESSAGE],
        exit_code=pod.exit_code if pod else None,
    )


def may_end_better(failure: Failure) -> bool:
    """Tell whether another attempt may succeed where this one failed."""
    code = failure.exit_code
    if failure.reason in set(Reason):
        expected = EXPLANATIONS[Reason(failure.reason)].exit_code
        code = expected if expected is not None else code
    return code is None or is_retryable(code)


def _explain_by_pod(pod: ObservedPod | None) -> Failure | None:
    if pod is None:
        return None
    if pod.is_out_of_memory:
        return Failure(
            reason=Reason.OUT_OF_MEMORY,
            message="the container used more memory than its limit; raise spec.resources.memory",
            exit_code=pod.exit_code,
        )
    if pod.is_disrupted or pod.is_deleting or pod.exit_code in {_SIGKILL, _SIGTERM}:
        return Failure(
            reason=Reason.INTERRUPTED, message=f"the pod {pod.key.name} was stopped", exit_code=pod.exit_code
        )
    return None


def _complete(failure: Failure, pod: ObservedPod | None) -> Failure:
    """Return the trainer's failure with the container's exit code, where the trainer gave none."""
    if failure.exit_code is None and pod and pod.exit_code is not None:
        return failure.model_copy(update={"exit_code": pod.exit_code})
    return failure
