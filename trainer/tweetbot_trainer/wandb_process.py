"""The other end of `wandb_tracker`: reads messages, one JSON object per line, and does what they say with W&B's client.

The only file that imports wandb; `wandb_server` runs it. Answers with events: `open` with the run's address, `failed`
with the call and the error, `sent` once everything is on the server.
"""

import contextlib
import html
import importlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tweetbot_api.names import WANDB_DIR

if TYPE_CHECKING:
    import wandb

_IMPORTED_LATE = (
    "wandb.apis.public", "wandb.sdk.launch", "wandb.docker", "opentelemetry.sdk", "requests", "psutil", "PIL.Image",
)  # fmt: skip


class Client:
    """One run of W&B's client."""

    def __init__(self, events: TextIO) -> None:
        self._events = events
        self._run: wandb.Run | None = None
        self._is_online = False
        self._has_failed = False

    def handle(self, message: dict[str, Any]) -> None:
        """Do what the message says; tell of a failure instead of raising it."""
        call = message.pop("call")
        try:
            getattr(self, f"_{call}")(**message)
        except Exception as error:  # noqa: BLE001 - whatever W&B raises, the training goes on
            self._has_failed = True
            self._tell("failed", call=call, error=f"{type(error).__name__}: {error}")

    def _tell(self, event: str, **facts: object) -> None:
        self._events.write(json.dumps({"event": event, **facts}) + "\n")
        self._events.flush()

    def _start(self, *, mode: str, open_seconds: float, **options: Any) -> None:
        """Open the run; one that cannot be opened online is kept offline."""
        import wandb

        try:
            self._run = _open(mode, open_seconds, options)
            self._is_online = mode == "online"
        except Exception as error:
            if mode != "online":
                raise
            self._tell("failed", call="start", error=f"{type(error).__name__}: {error}")
            # W&B's service still holds the id of the run that could not be opened.
            wandb.teardown()
            for folder in Path(WANDB_DIR).glob(f"run-*-{options['id']}"):
                shutil.rmtree(folder)
            self._run = _open("offline", open_seconds, options)
        finally:
            self._tell("open", url=self._run.url if self._run and self._is_online else None)

    def _log(self, *, metrics: dict[str, float], step: int) -> None:
        if self._run:
            self._run.log(metrics, step=step)

    def _results(self, *, metrics: dict[str, float], samples: list[list[str]], pictures: dict[str, str]) -> None:
        import wandb

        if not self._run:
            return
        # A table is an artifact too, whose file W&B would name by a path that is gone when an offline run is sent.
        table = wandb.Table(columns=["prompt", "post"], data=samples) if self._is_online else _make_html(samples)
        self._run.log({"samples": table, **{name: wandb.Image(path) for name, path in pictures.items()}})
        self._run.summary.update(metrics)

    def _use_artifact(self, **description: Any) -> None:
        """Say what the run works from; offline W&B only lets it be logged."""
        if not self._run:
            return
        artifact = _make_artifact(**description)
        if self._is_online:
            self._run.use_artifact(artifact)
        else:
            self._run.log_artifact(artifact)

    def _log_artifact(self, **description: Any) -> None:
        if self._run:
            self._run.log_artifact(_make_artifact(**description))

    def _finish(self, *, exit_code: int, is_preempted: bool = False) -> None:
        if not self._run:
            return
        if is_preempted:
            self._run.mark_preempting()
        self._run.finish(exit_code=exit_code)
        if self._is_online and not self._has_failed:
            self._tell("sent")


def _open(mode: str, open_seconds: float, options: dict[str, Any]) -> "wandb.Run":
    import wandb

    return wandb.init(
        mode="online" if mode == "online" else "offline",
        dir=".",
        resume="allow",
        settings=wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            init_timeout=open_seconds,
        ),
        **options,
    )


def _make_html(samples: list[list[str]]) -> "wandb.Html":
    """Return the samples as an HTML table; posts are text, never markup."""
    import wandb

    rows = ("".join(f"<td>{html.escape(text)}</td>" for text in sample) for sample in samples)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return wandb.Html(f"<table><tr><th>prompt</th><th>post</th></tr>{body}</table>", data_is_not_path=True)


def _make_artifact(*, name: str, kind: str, path: str, metadata: dict[str, Any]) -> "wandb.Artifact":
    """Return the artifact with its files in place, by relative paths: a copy by W&B would lie in an absolute one."""
    import wandb

    artifact = wandb.Artifact(name, kind, metadata=metadata)
    if Path(path).is_dir():
        artifact.add_dir(path, policy="immutable")
    else:
        artifact.add_file(path, policy="immutable")
    return artifact


def preload() -> None:
    """Import W&B's client, and what it would import when a run is opened."""
    import wandb  # noqa: F401

    for name in _IMPORTED_LATE:
        # Another version of the client may do without.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def serve(messages: TextIO, events: TextIO) -> None:
    """Do what the messages say until the last one, or until the trainer goes away."""
    client = Client(events)
    for line in messages:
        message = json.loads(line)
        is_last = message["call"] == "finish"
        client.handle(message)
        if is_last:
            break
