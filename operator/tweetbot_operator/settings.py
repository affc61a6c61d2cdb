"""The platform team's settings: one YAML file, written by the Helm chart and read once at start."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from tweetbot_api.model import ApiModel
from tweetbot_api.problems import tell_problems
from tweetbot_api.source_access import SourceAccess
from tweetbot_api.spec.fields import KubernetesName, Quantity
from tweetbot_api.spec.output import S3Output, WandbTracking
from tweetbot_api.spec.resources import Resources
from tweetbot_api.spec.training import BaseModelReference


class SettingsError(ValueError):
    """The settings file cannot be used; the message names the file and the field."""


class Images(ApiModel):
    """Images of the Jobs' pods; users cannot choose others."""

    prepare: str
    """Image with the target `prepare` of Dockerfile.trainer: no torch."""
    train: str
    """Image with the target `train` of Dockerfile.trainer."""
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """Pull policy of both."""
    pull_secrets: list[str] = []
    """Names of image pull Secrets, looked for in the bot's namespace."""


class Server(ApiModel):
    """The server that trainers report to."""

    url: str
    """Its address as pods reach it, `https://<service>.<namespace>.svc:<port>`."""
    port: int = 8443
    """Port of the TLS server."""
    tls_dir: Path = Path("/etc/tweetbot/tls")
    """Folder with `tls.crt`, `tls.key` and `ca.crt`, mounted from the chart's Secret."""
    health_port: int = 8080
    """Port of `/healthz` and `/metrics`, without TLS."""


class LeaseSettings(ApiModel):
    """The Lease of which only the holder acts."""

    namespace: str
    """Namespace of the operator itself."""
    name: str = "tweetbot-operator"
    """Name of the Lease."""


class PrepareResources(ApiModel):
    """What the prepare pod asks for."""

    cpu: Quantity = "500m"
    """CPU request and limit."""
    memory: Quantity = "1Gi"
    """Memory request and limit."""


class Defaults(ApiModel):
    """What a bot gets when its spec leaves it out; never written back into the spec."""

    base_model: BaseModelReference = BaseModelReference(name="gpt2")
    """The pretrained model."""
    s3: S3Output = S3Output()
    """Bucket, endpoint and credentials; the Secret is looked for in the bot's namespace."""
    wandb: WandbTracking = WandbTracking(mode="disabled")
    """Weights & Biases."""
    train: Resources = Resources(gpus=1, cpu="4", memory="16Gi")
    """The train pod."""
    prepare: PrepareResources = PrepareResources()
    """The prepare pod."""
    service_account_name: KubernetesName = "default"
    """ServiceAccount of the Jobs' pods, one in each bot's own namespace: what the cloud lets it do (IRSA, workload
    identity), the pods may do. Users cannot choose it."""
    ttl_seconds_after_finished: int | None = Field(default=86_400, ge=0)
    """Seconds after which the Jobs of a run that has ended are removed; None leaves them until the bot is deleted."""


class Batching(ApiModel):
    """How many bots share a Job, and how long one waits for others."""

    max_bots: int = Field(default=64, ge=1, le=64)
    """Bots that one Job works on at most; 1 gives each bot Jobs of its own."""
    max_tokens: int = Field(default=5_000_000, ge=1)
    """Tokens that one Job trains on at most, over all epochs of all its bots; a bigger bot has a Job of its own."""
    window_seconds: int = Field(default=10, ge=0)
    """Seconds that a bot waits for others before its prepare Job at most, and before its train Job for the next one
    that is still being prepared."""
    max_wait_seconds: int = Field(default=300, ge=0)
    """Seconds that a bot waits for others before its train Job at most, however many keep coming."""
    max_waiting_jobs: int = Field(default=4, ge=1)
    """Jobs of bots that are alike which wait for a node at the same time, at most. Further bots wait in the operator,
    where users take turns; more lets a cluster that adds nodes on demand see more of what is wanted."""


class OperatorSettings(ApiModel):
    """Everything that the operator is told from outside."""

    images: Images
    """Images of the Jobs' pods."""
    server: Server
    """The server that trainers report to."""
    lease: LeaseSettings | None = None
    """Which of several replicas acts. Without it this one does, whatever others do."""
    api_requests_per_second: float = Field(default=100, gt=0)
    """Requests to the apiserver, at most; twice as many at once. It is slower when the apiserver asks for patience."""
    namespaces: list[str] = []
    """Namespaces that are watched; empty for all."""
    defaults: Defaults = Defaults()
    """What a bot gets when its spec leaves it out."""
    batching: Batching = Batching()
    """How many bots share a Job."""
    sources: SourceAccess = SourceAccess()
    """How sources on the network are reached; users cannot choose it."""
    retry_pause_seconds: int = Field(default=10, ge=0)
    """Pause before the second attempt; it doubles with each further one, up to ten minutes."""
    max_preemptions: int = Field(default=20, ge=0)
    """How often a run may be stopped from outside (drained, preempted, evicted) before it fails."""
    heartbeat_timeout_seconds: int = Field(default=900, ge=60)
    """Seconds without a word of a running trainer after which the bot says so (NoHeartbeat)."""
    workers: int = Field(default=8, ge=1, le=64)
    """Bots that are worked on at the same time."""


def load_settings(path: Path) -> OperatorSettings:
    """Read the settings file; raise SettingsError naming the field that is wrong."""
    try:
        document = yaml.safe_load(path.read_text())
        return OperatorSettings.model_validate(document)
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"cannot read the settings file {path}: {error}") from error
    except ValidationError as error:
        raise SettingsError(f"{path}: {'; '.join(tell_problems(error))}") from error
