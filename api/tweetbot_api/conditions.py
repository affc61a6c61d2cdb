"""Condition types, the reasons that stand on them, and how a condition changes.

Types follow kstatus (sigs.k8s.io/cli-utils/pkg/kstatus): `Reconciling` and `Stalled` are present only while true,
`Ready` always. Reasons carry a meaning and a remedy, from which `docs/reasons.md` is generated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from tweetbot_api.exitcodes import ExitCode
from tweetbot_api.status import Condition


class ConditionType(StrEnum):
    """Types of the conditions on a TweetBot."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    COMPLETE = "Complete"
    FAILED = "Failed"
    SUSPENDED = "Suspended"
    QUOTA_RESERVED = "QuotaReserved"
    """Copied from Kueue's Workload, with Kueue's own reason and message, while a Job with a queue is there."""


class Reason(StrEnum):
    """CamelCase reasons of conditions, failures and Events."""

    # On the way
    PENDING = "Pending"
    PREPARING = "Preparing"
    QUEUED = "Queued"
    TRAINING = "Training"
    RETRYING = "Retrying"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a password
    POD_REFUSED = "PodRefused"
    POD_NOT_STARTED = "PodNotStarted"
    NO_HEARTBEAT = "NoHeartbeat"
    UNCHANGED = "Unchanged"
    PURGING = "Purging"
    PURGED = "Purged"
    PURGE_SKIPPED = "PurgeSkipped"
    PURGE_FAILED = "PurgeFailed"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    SUPERSEDED = "Superseded"
    SUCCEEDED = "Succeeded"
    HUB_PUSH_FAILED = "HubPushFailed"
    # A TweetBotBatch
    BOTS_RUNNING = "BotsRunning"
    BOTS_SUCCEEDED = "BotsSucceeded"
    BOTS_FAILED = "BotsFailed"
    BATCH_PAUSED = "BatchPaused"
    READING_HANDLES = "ReadingHandles"
    HANDLES_NOT_FOUND = "HandlesNotFound"
    HANDLES_INVALID = "HandlesInvalid"
    BOT_NAME_TAKEN = "BotNameTaken"
    BOT_REFUSED = "BotRefused"
    # The spec or what it names
    INVALID_SPEC = "InvalidSpec"
    BASE_MODEL_NOT_FOUND = "BaseModelNotFound"
    BASE_MODEL_UNUSABLE = "BaseModelUnusable"
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_UNREADABLE = "SourceUnreadable"
    SOURCE_EMPTY = "SourceEmpty"
    IDS_WITHOUT_TEXT = "IdsWithoutText"
    HANDLE_MISMATCH = "HandleMismatch"
    HANDLE_NOT_FOUND = "HandleNotFound"
    HANDLE_PROTECTED = "HandleProtected"
    HANDLE_SUSPENDED = "HandleSuspended"
    HANDLE_RENAMED = "HandleRenamed"
    # The source on the network
    SOURCE_UNAUTHORIZED = "SourceUnauthorized"
    SOURCE_NOT_ENROLLED = "SourceNotEnrolled"
    SOURCE_FORBIDDEN = "SourceForbidden"
    SOURCE_CREDIT_EXHAUSTED = "SourceCreditExhausted"
    SOURCE_BUDGET_SPENT = "SourceBudgetSpent"
    SOURCE_ADDRESS_REFUSED = "SourceAddressRefused"
    SOURCE_ANSWER_UNUSABLE = "SourceAnswerUnusable"
    SOURCE_RATE_LIMITED = "SourceRateLimited"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    # What came of it, and where it goes
    TOO_LITTLE_TEXT = "TooLittleText"
    DATASET_DAMAGED = "DatasetDamaged"
    STORAGE_ACCESS_DENIED = "StorageAccessDenied"
    BUCKET_NOT_FOUND = "BucketNotFound"
    # The machine or the network
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    OUTPUT_CONFLICT = "OutputConflict"
    OUT_OF_MEMORY = "OutOfMemory"
    NON_FINITE_LOSS = "NonFiniteLoss"
    KILLED = "Killed"
    INTERRUPTED = "Interrupted"
    EVICTED = "Evicted"
    GPU_FAULT = "GPUFault"
    PREEMPTED = "Preempted"
    PEER_LOST = "PeerLost"
    PEERS_MISSING = "PeersMissing"
    TOO_MANY_PREEMPTIONS = "TooManyPreemptions"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    RESULT_LOST = "ResultLost"
    JOB_FAILED = "JobFailed"
    INTERNAL_ERROR = "InternalError"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reason means to the owner of the bot and what to do about it."""

    meaning: str
    remedy: str
    exit_code: ExitCode | None = None
    """The code with which a trainer that meets this failure exits; None for reasons that only the operator gives."""


EXPLANATIONS: Final[dict[Reason, Explanation]] = {
    Reason.PENDING: Explanation("The run is accepted and its first Job is about to be made.", "Nothing to do."),
    Reason.PREPARING: Explanation("Posts are being fetched, cleaned and counted; no GPU is held.", "Nothing to do."),
    Reason.QUEUED: Explanation(
        "The Job is suspended until its Kueue queue admits it; the message is Kueue's own.",
        "Nothing to do, unless the message says that the queue does not exist or can never have as much; "
        "see [queues](queues.md).",
    ),
    Reason.TRAINING: Explanation("The train Job exists; `status.stage` says how far it is.", "Nothing to do."),
    Reason.RETRYING: Explanation(
        "An attempt failed in a way that another may not; the next one starts after a pause.",
        "Nothing to do; `status.failure` tells what went wrong.",
    ),
    Reason.UNSCHEDULABLE: Explanation(
        "No node has room for the pod.",
        "Compare `spec.resources` with the nodes' free GPUs, CPU and memory; the message is the scheduler's own.",
    ),
    Reason.IMAGE_PULL_FAILED: Explanation(
        "The node cannot get the trainer's image.",
        "Check the chart's `images` values and the pull secret; the pod starts by itself once the image is there.",
    ),
    Reason.SECRET_NOT_FOUND: Explanation(
        "A Secret that the bot names, or a key in it, is missing in the bot's namespace.",
        "Create it; the pod starts by itself. The message names the Secret.",
    ),
    Reason.POD_REFUSED: Explanation(
        "Kubernetes does not let the Job make its pod: a quota, a limit range, or a policy of the namespace.",
        "The message is Kubernetes' own. Free or raise the quota, or lower `spec.resources`; the pods pass the "
        "`restricted` Pod Security Standard. The Job goes on trying by itself.",
    ),
    Reason.POD_NOT_STARTED: Explanation(
        "The pod has a node, but the node cannot start it: a volume, the network or the sandbox fails.",
        "The message is the node's own. A run manifest (ConfigMap) that was deleted is made again by itself.",
    ),
    Reason.NO_HEARTBEAT: Explanation(
        "The pod runs, but its trainer has not been heard for long: it hangs, or cannot reach the operator.",
        "Allow the bot's namespace to reach port 8443 of the operator, then look at the pod's log. The run goes on, "
        "and its result is read from the pod in any case. To give the attempt up, delete its Job.",
    ),
    Reason.UNCHANGED: Explanation(
        "The schedule started a run, but there are fewer new posts than `spec.schedule.minNewPosts`. No GPU was asked "
        "for; the former model stays.",
        "Nothing to do. To train all the same, change `spec.runID` or lower `minNewPosts`.",
    ),
    Reason.PURGING: Explanation(
        "The TweetBot is being deleted, and with it all that its runs have stored (`deletionPolicy: Delete`).",
        "Nothing to do.",
    ),
    Reason.PURGED: Explanation(
        "Everything that the TweetBot's runs had stored is deleted; the Event counts it.", "Nothing to do."
    ),
    Reason.PURGE_SKIPPED: Explanation(
        "The TweetBot was let go without its purge, by the annotation `tweetbot.dev/skip-purge`.",
        "Delete `<prefix>/<namespace>/<name>/` in the bucket yourself.",
    ),
    Reason.PURGE_FAILED: Explanation(
        "What the TweetBot's runs have stored could not be deleted, so the TweetBot stays. It is tried again.",
        "Mend what the message names: mostly the credentials' right to list and delete all versions. To give it up and "
        "keep the files: `kubectl annotate tweetbot NAME tweetbot.dev/skip-purge=true`.",
        ExitCode.TRANSIENT,
    ),
    Reason.SUSPENDING: Explanation(
        "`spec.suspend` is true; the pod is saving a checkpoint and ends.", "Nothing to do; it has a minute for it."
    ),
    Reason.SUSPENDED: Explanation(
        "`spec.suspend` is true; no pod runs. What is prepared and every checkpoint stay in S3.",
        "Set `spec.suspend` to false, and the same run goes on.",
    ),
    Reason.SUPERSEDED: Explanation(
        "The spec changed in a way that shapes the model, so another run took this one's place.",
        "Nothing to do. What the former run had stored stays in S3 under its own run id.",
    ),
    Reason.SUCCEEDED: Explanation("The model and its manifest are stored.", "See `status.outputs`."),
    Reason.HUB_PUSH_FAILED: Explanation(
        "The model is stored in S3, but could not be pushed to the Hugging Face Hub. The run is complete.",
        "See `status.outputs.huggingFace.failure`; mostly the token in the Secret may not write to the repository. "
        "Mend it and change `spec.runID`, or push the model folder by hand with `hf upload`.",
    ),
    Reason.BOTS_RUNNING: Explanation(
        "Bots of the TweetBotBatch are at work, or wait until others have ended.",
        "Nothing to do; `status.bots` counts them, `kubectl get tweetbots -l tweetbot.dev/bot-batch=NAME` lists them.",
    ),
    Reason.BOTS_SUCCEEDED: Explanation(
        "Every bot of the TweetBotBatch is trained, but for those that were deleted by hand.", "Nothing to do."
    ),
    Reason.BOTS_FAILED: Explanation(
        "Every bot of the TweetBotBatch has ended, and some failed.",
        "See `status.failureReasons` and `status.failures`, and each reason in this table. Mend what they share, then "
        "change `spec.retryFailed` to any new text; only the failed bots are trained again.",
    ),
    Reason.BATCH_PAUSED: Explanation(
        "`spec.paused` is true: no further bot is made, those at work go on.", "Set `spec.paused` to false."
    ),
    Reason.READING_HANDLES: Explanation(
        "A Job reads the TweetBotBatch's handles from the file in S3.",
        "Nothing to do. If it does not start, `kubectl describe job` on the Job that the message names tells why.",
    ),
    Reason.HANDLES_NOT_FOUND: Explanation(
        "The ConfigMap with the handles, or its key, is missing in the namespace of the TweetBotBatch.",
        "Create it, for example by `kubectl create configmap NAME --from-file=handles=FILE`; it is looked for each "
        "minute.",
    ),
    Reason.HANDLES_INVALID: Explanation(
        "Handles of the list are repeated or not what the source calls a handle, or there is none. The good ones are "
        "trained all the same.",
        "Correct what the message names by place, in the ConfigMap or in `spec.handles`; it is read again each minute.",
    ),
    Reason.BOT_NAME_TAKEN: Explanation(
        "A TweetBot that the batch did not make has the name that a bot of the batch should have. The others go on.",
        "Delete that TweetBot, or give the TweetBotBatch another name; that a name is free again is seen within five "
        "minutes.",
    ),
    Reason.BOT_REFUSED: Explanation(
        "Kubernetes does not let the operator make a bot: a quota, an admission policy, or a label of the template.",
        "The message is Kubernetes' own. Free or raise the quota, or make a TweetBotBatch with another template. It is "
        "tried again by itself.",
    ),
    Reason.INVALID_SPEC: Explanation(
        "The spec passed the schema but cannot be run.",
        "Edit the field that the message names.",
        ExitCode.BAD_SPEC,
    ),
    Reason.BASE_MODEL_NOT_FOUND: Explanation(
        "The base model is neither on the Hub under that name and revision nor under that S3 prefix.",
        "Correct `spec.baseModel.name` or `revision`; without a network use an `s3://` mirror.",
        ExitCode.BAD_SPEC,
    ),
    Reason.BASE_MODEL_UNUSABLE: Explanation(
        "The base model has no safetensors weights, no fast tokenizer, or is not a causal language model.",
        "Choose a causal language model saved with `save_pretrained` (safetensors and tokenizer.json).",
        ExitCode.BAD_SPEC,
    ),
    Reason.SOURCE_NOT_FOUND: Explanation(
        "There is no file at the source's address.",
        "Upload it, or correct `spec.source`; `{handle}` in the address becomes the handle.",
        ExitCode.HANDLE_MISSING,
    ),
    Reason.SOURCE_UNREADABLE: Explanation(
        "The file is of no known shape, is damaged, or asks for more memory than any file of posts.",
        "Upload it as the network or the tool wrote it; the message names the place. `docs/sources.md` lists the known "
        "shapes, and `spec.source.files.columns` names the columns of others. `tweetbot inspect` tries it at once.",
        ExitCode.HANDLE_MISSING,
    ),
    Reason.SOURCE_EMPTY: Explanation(
        "The file is well-formed but holds no posts of the handle.",
        "Ask the network for the archive again, with posts included, or correct `spec.source`.",
        ExitCode.HANDLE_MISSING,
    ),
    Reason.IDS_WITHOUT_TEXT: Explanation(
        "The file holds the ids of posts but not their texts, as datasets of X must be shared.",
        "Hydrate the ids first (for example `twarc2 hydrate ids.txt posts.jsonl`) and upload what comes of it.",
        ExitCode.HANDLE_MISSING,
    ),
    Reason.HANDLE_MISMATCH: Explanation(
        "The archive, or every post of the file, belongs to another account than the handle asked for.",
        "Correct `spec.handles` or the file's address.",
        ExitCode.HANDLE_MISSING,
    ),
    Reason.HANDLE_NOT_FOUND: Explanation(
        "The source knows no account of that name: it was never there, was deleted, or was renamed.",
        "Correct `spec.handles`; look at the account's page for its present name.",
        ExitCode.HANDLE_MISSING,
    ),
    Reason.HANDLE_PROTECTED: Explanation(
        "The account's posts are not public, or not to the credentials given.",
        "Ask the account's owner for the archive and use `spec.source.archive`.",
        ExitCode.HANDLE_MISSING,
    ),
    Reason.HANDLE_SUSPENDED: Explanation(
        "The source has suspended, deactivated or taken down the account.",
        "Choose another handle; the owner can still give the archive.",
        ExitCode.HANDLE_MISSING,
    ),
    Reason.HANDLE_RENAMED: Explanation(
        "The account that had this handle has another one now; the message names it.",
        "Write the new name in `spec.handles`.",
        ExitCode.HANDLE_MISSING,
    ),
    Reason.SOURCE_UNAUTHORIZED: Explanation(
        "The source does not know the credentials (HTTP 401), or there are none.",
        "Put a valid token under the key `X_BEARER_TOKEN` into the Secret that `spec.source.x.credentialsSecret` "
        "names, and change `spec.runID`.",
        ExitCode.SOURCE_REFUSED,
    ),
    Reason.SOURCE_NOT_ENROLLED: Explanation(
        "X knows the token, but its app belongs to no project with access to this API (HTTP 403 "
        "`client-not-enrolled`).",
        "Attach the app to a project in X's developer console, make a new bearer token there, and change `spec.runID`.",
        ExitCode.SOURCE_REFUSED,
    ),
    Reason.SOURCE_FORBIDDEN: Explanation(
        "The source refuses to answer these credentials, or anybody without an account (HTTP 403).",
        "Read the message; use the owner's archive if the source lets nobody else read.",
        ExitCode.SOURCE_REFUSED,
    ),
    Reason.SOURCE_CREDIT_EXHAUSTED: Explanation(
        "The developer account has no credit left, or its spending or usage limit is reached.",
        "Buy credit in X's developer console or raise the limit there, then change `spec.runID`; what was bought so "
        "far is kept and not bought again.",
        ExitCode.SOURCE_REFUSED,
    ),
    Reason.SOURCE_BUDGET_SPENT: Explanation(
        "`spec.source.x.maxPosts` or `maxCostUSD` leaves nothing that could be asked for, and no posts are kept from "
        "earlier runs.",
        "Raise them: a look-up of the account and a page of 5 posts must be affordable.",
        ExitCode.SOURCE_REFUSED,
    ),
    Reason.SOURCE_ADDRESS_REFUSED: Explanation(
        "A source may only be read over TLS at public addresses; the server named, or one that it points to, is "
        "elsewhere.",
        "Correct the instance or handle; for a server of your own ask the platform team to add it to "
        "`sources.trustedServers`.",
        ExitCode.BAD_SPEC,
    ),
    Reason.SOURCE_ANSWER_UNUSABLE: Explanation(
        "What answers is not what the source says: no JSON, not its fields, without end, or pages in a circle.",
        "Check that `spec.source` names the right kind of server; the message says what was wrong.",
        ExitCode.SOURCE_REFUSED,
    ),
    Reason.SOURCE_RATE_LIMITED: Explanation(
        "The source kept refusing for too many requests although its pauses were kept.",
        "Nothing at first: it is tried again. If it stays, use fewer bots at a time with these credentials.",
        ExitCode.TRANSIENT,
    ),
    Reason.SOURCE_UNAVAILABLE: Explanation(
        "The source or the network did not answer in time, or answered with a server error.",
        "Nothing at first: it is tried again. If it stays, look at the source's status page.",
        ExitCode.TRANSIENT,
    ),
    Reason.TOO_LITTLE_TEXT: Explanation(
        "Fewer than 6,000 characters are left after cleaning; a model would only learn them by heart.",
        "Give more posts, or add a handle.",
        ExitCode.TOO_LITTLE_TEXT,
    ),
    Reason.DATASET_DAMAGED: Explanation(
        "The dataset that the prepare Job stored is gone, or is not what it stored any more.",
        "See who else writes or deletes below the run's prefix; then give `spec.runID` a new text.",
        ExitCode.BAD_SPEC,
    ),
    Reason.STORAGE_ACCESS_DENIED: Explanation(
        "The S3 store refused the credentials or the action.",
        "Check the Secret's `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` and the bucket's policy.",
        ExitCode.BAD_SPEC,
    ),
    Reason.BUCKET_NOT_FOUND: Explanation(
        "The bucket does not exist.",
        "Create it, or correct the bucket's name in `spec.output.s3`, `spec.source` or the chart's values.",
        ExitCode.BAD_SPEC,
    ),
    Reason.STORAGE_UNAVAILABLE: Explanation(
        "The S3 store or the network did not answer, or answered with a server error.",
        "Nothing at first: it is tried again. If it stays, check the endpoint.",
        ExitCode.TRANSIENT,
    ),
    Reason.OUTPUT_CONFLICT: Explanation(
        "Another attempt of the same run published its manifest while this one was publishing.",
        "Nothing: the next attempt checks what is stored and reports it, or trains again. If it stays, look for a pod "
        "of an earlier attempt that still runs.",
        ExitCode.TRANSIENT,
    ),
    Reason.OUT_OF_MEMORY: Explanation(
        "The container used more memory than its limit, or the GPU's memory ran out.",
        "Raise `spec.resources.memory`, or lower `spec.training.batchSize` or `blockSize`.",
    ),
    Reason.NON_FINITE_LOSS: Explanation(
        "The loss became NaN or infinite.",
        "Lower `spec.training.learningRate`, or use `precision: fp32`.",
        ExitCode.BAD_SPEC,
    ),
    Reason.KILLED: Explanation(
        "The container was killed by SIGKILL, and nothing tells by whom; mostly the node's memory was used up.",
        "Nothing at first: it is tried again. If it stays, raise `spec.resources.memory`.",
    ),
    Reason.INTERRUPTED: Explanation(
        "The pod was stopped from outside: drained, preempted or deleted.",
        "Nothing to do; another attempt follows and goes on from the last checkpoint. It does not count towards "
        "`spec.maxAttempts`.",
        ExitCode.STOPPED_WITH_CHECKPOINT,
    ),
    Reason.EVICTED: Explanation(
        "The node evicted the pod: its memory or disk ran short, or the pod used more disk than it may.",
        "Nothing at first: another attempt follows, and it does not count towards `spec.maxAttempts`. The message is "
        "the node's own.",
    ),
    Reason.GPU_FAULT: Explanation(
        "The GPU reported an error that is not the program's.",
        "Nothing at first: it is tried again. If it stays, look at the node's Xid and ECC errors and take it out.",
        ExitCode.GPU_FAULT,
    ),
    Reason.PREEMPTED: Explanation(
        "The Kueue queue stopped the Job, to give its place to another one.",
        "Nothing to do; the same Job goes on from its last checkpoint once it is admitted again. It does not count "
        "towards `spec.maxAttempts`.",
    ),
    Reason.PEER_LOST: Explanation(
        "Another process of the same training ended, or could not be reached any more, and left no cause of its own.",
        "Nothing at first: it is tried again. If it stays, look at the node of the pod that ended first, and whether a "
        "NetworkPolicy lets the pods of a Job speak to each other.",
        ExitCode.PEER_LOST,
    ),
    Reason.PEERS_MISSING: Explanation(
        "A training of several pods (`spec.resources.nodes`) waited in vain for all of them to start.",
        "Ask for less, or name a Kueue queue in `spec.resources.queueName`, which admits all pods or none.",
        ExitCode.PEER_LOST,
    ),
    Reason.TOO_MANY_PREEMPTIONS: Explanation(
        "The run was stopped from outside more often than the platform's settings allow (`maxPreemptions`).",
        "Choose a PriorityClass that is not preempted, or smaller `spec.resources`; then change `spec.runID`, which "
        "trains anew.",
    ),
    Reason.DEADLINE_EXCEEDED: Explanation(
        "The pods of the run held their nodes for `spec.activeDeadlineSeconds` in all.",
        "Raise `spec.activeDeadlineSeconds` and change `spec.runID`, or train less: fewer epochs or posts.",
    ),
    Reason.RESULT_LOST: Explanation(
        "The Job succeeded but left no result that proves a stored manifest.",
        "See the pod's log; another attempt follows.",
    ),
    Reason.JOB_FAILED: Explanation("The Job failed and left no cause of its own.", "See the pod's log and Events."),
    Reason.INTERNAL_ERROR: Explanation(
        "The trainer met an error that it does not know.",
        "See `status.failure.logTail`, and report it with the log.",
        ExitCode.TRANSIENT,
    ),
}


def set_condition(
    conditions: Sequence[Condition],
    kind: ConditionType,
    *,
    status: bool,
    reason: str,
    message: str,
    generation: int,
    now: datetime,
) -> list[Condition]:
    """Return the conditions with one of them set; its transition time moves only if its status flips."""
    value = "True" if status else "False"
    old = next((condition for condition in conditions if condition.type == kind), None)
    new = Condition(
        type=kind,
        status=value,
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=old.last_transition_time if old and old.status == value else now,
    )
    if old is None:
        return [*conditions, new]
    return [new if condition.type == kind else condition for condition in conditions]


def drop_condition(conditions: Sequence[Condition], kind: ConditionType) -> list[Condition]:
    """Return the conditions without the one of this type."""
    return [condition for condition in conditions if condition.type != kind]
