"""Weights & Biases, kept at arm's length: its client runs in a process of its own that can be left behind.

Calls only put messages into a queue. The process may hang, crash or find no server: the training goes on, and what was
not sent is kept in the store, as W&B's own files, for `wandb sync`. See `wandb_process` for the other end.
"""

import contextlib
import json
import logging
import os
import queue
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tweetbot_api.names import ENV_HF_TOKEN, ENV_S3_ACCESS_KEY, ENV_S3_SECRET_KEY, MODEL_DIR, WANDB_DIR
from tweetbot_api.runconfig import WandbConfig
from tweetbot_trainer.artifacts import Store, upload_folder
from tweetbot_trainer.wandb_server import Fork

logger = logging.getLogger(__name__)

OPEN_SECONDS: Final = 30.0
"""How long a run may take to open online; after that it is kept offline."""
FINISH_SECONDS: Final = 120.0
"""How long the end of a run may take, sending the model included."""
INTERRUPT_SECONDS: Final = 8.0
_KILL_SECONDS = 5.0
_NOT_FOR_THE_TRACKER = frozenset({ENV_S3_ACCESS_KEY, ENV_S3_SECRET_KEY, ENV_HF_TOKEN})

_unreachable: set[str | None] = set()
"""Servers that did not open a run of this Job: the bots after it are recorded offline at once."""

Message = dict[str, Any]


class WandbTracker:
    """One W&B run, online or offline."""

    def __init__(self, config: WandbConfig, run_key: str, label: str, work_dir: Path, store: Store) -> None:
        self._config = config
        self._run_key = run_key
        self._label = label
        self._work_dir = work_dir
        self._store = store
        self._process: Fork | None = None
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._is_open = threading.Event()
        self._is_sent = threading.Event()
        self._opening_ends = 0.0
        self._url: str | None = None
        self._reader: threading.Thread
        self._writer: threading.Thread

    @property
    def url(self) -> str | None:
        """Address of the run, for which a run that was just started is waited; None offline."""
        if self._config.mode == "online" and self._process:
            self._is_open.wait(max(0.0, self._opening_ends - time.monotonic()))
        return self._url

    def start(self, run_name: str, job_type: str, config: Mapping[str, object]) -> None:
        """Start the process and have it open the run under the id that all attempts share."""
        try:
            self._process = self._fork()
        except OSError as error:
            logger.warning("tracking failed, going on without it error=%r", error)
            return
        self._opening_ends = time.monotonic() + OPEN_SECONDS + _KILL_SECONDS
        self._reader = _start_thread("wandb-in", self._read_events, self._process)
        self._writer = _start_thread("wandb-out", self._write_messages, self._process)
        self._send(
            "start",
            project=self._config.project,
            entity=self._config.entity,
            mode="offline" if self._config.base_url in _unreachable else self._config.mode,
            id=self._run_key,
            name=run_name,
            job_type=job_type,
            config=dict(config),
            open_seconds=OPEN_SECONDS,
        )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Add the metrics of one step."""
        self._send("log", metrics=dict(metrics), step=step)

    def log_results(
        self, metrics: Mapping[str, float], samples: Sequence[tuple[str, str]], pictures: Mapping[str, Path]
    ) -> None:
        """Add final metrics, a table of samples, and pictures."""
        paths = {name: str(path.resolve()) for name, path in pictures.items()}
        self._send("results", metrics=dict(metrics), samples=list(samples), pictures=paths)

    def use_artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, object]) -> None:
        """Say what the run works from."""
        self._send_artifact("use_artifact", name, kind, path, metadata)

    def log_artifact(self, name: str, kind: str, path: Path, metadata: Mapping[str, object]) -> None:
        """Add what the run made."""
        self._send_artifact("log_artifact", name, kind, path, metadata)

    def finish(self, exit_code: int = 0) -> None:
        """Close the run; it counts as crashed in W&B if the exit code is not 0."""
        self._close(FINISH_SECONDS, exit_code=exit_code)

    def interrupt(self) -> None:
        """Close the run as preempted."""
        self._close(INTERRUPT_SECONDS, exit_code=128 + signal.SIGTERM, is_preempted=True)

    def _close(self, seconds: float, **how: object) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        self._messages.put({"call": "finish", **how})
        self._messages.put(None)
        # The process has ended when nobody holds its output any more.
        self._reader.join(seconds)
        if self._reader.is_alive():
            logger.warning("W&B did not take the run within %d s, going on without it", seconds)
        process.end()
        for thread in (self._reader, self._writer):
            thread.join(_KILL_SECONDS)
        if not self._is_sent.is_set():
            self._keep()

    def _keep(self) -> None:
        """Store W&B's files of the run, which hold all that was logged."""
        try:
            upload_folder(self._store, self._work_dir / WANDB_DIR, WANDB_DIR)
        except Exception as error:  # noqa: BLE001 - whatever the store raises, the run goes on
            logger.warning("the files of the W&B run are not stored error=%r", error)
            return
        logger.info(
            "W&B run kept in %s; to send it, copy the run's folder to a machine with a network and run there: "
            "wandb sync %s/*run-*",
            self._store.uri(WANDB_DIR), WANDB_DIR,
        )  # fmt: skip

    def _fork(self) -> Fork:
        """Start the client with the work folder as its own, so that the paths in W&B's files are relative to it."""
        private = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_THE_TRACKER}
        folders = {
            f"WANDB_{name}_DIR": str(self._work_dir / "wandb-cache" / name.lower())
            for name in ("CACHE", "CONFIG", "DATA")
        }
        address = {"WANDB_BASE_URL": self._config.base_url} if self._config.base_url else {}
        quiet = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
        return Fork(self._work_dir, {**private, **folders, **address, **quiet})

    def _send(self, call: str, **arguments: object) -> None:
        if self._process:
            self._messages.put({"call": call, **arguments})

    def _send_artifact(self, call: str, name: str, kind: str, path: Path, metadata: Mapping[str, object]) -> None:
        if self._process is None:
            return
        try:
            place = self._stage(name, path)
        except OSError as error:
            logger.warning("W&B artifact not added name=%s error=%r", name, error)
            return
        self._send(call, name=name, kind=kind, path=place, metadata=dict(metadata))

    def _stage(self, name: str, path: Path) -> str:
        """Return the path that W&B reads, relative to the work folder: the model's own, else a copy that is kept.

        The store has the same layout, so the path holds wherever the run's folder is copied to.
        """
        if path == self._work_dir / MODEL_DIR:
            return MODEL_DIR
        place = Path(WANDB_DIR, "artifacts", self._label, name, *([path.name] if path.is_file() else []))
        copy = self._work_dir / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, copy, dirs_exist_ok=True, copy_function=_link_or_copy)
        else:
            _link_or_copy(path, copy)
        return str(place)

    def _write_messages(self, process: Fork) -> None:
        # The client may end first, and with it the pipe.
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.begin()
            while message := self._messages.get():
                process.stdin.write(json.dumps(message) + "\n")
                process.stdin.flush()

    def _read_events(self, process: Fork) -> None:
        with process.stdout:
            for line in process.stdout:
                self._take(json.loads(line))
        # Nobody needs to wait any longer for a client that is gone.
        self._is_open.set()

    def _take(self, event: Message) -> None:
        match event["event"]:
            case "open":
                self._url = event["url"]
                self._is_open.set()
            case "failed":
                if event["call"] == "start":
                    _unreachable.add(self._config.base_url)
                logger.warning("tracking failed, going on call=%s error=%s", event["call"], event["error"])
            case "sent":
                self._is_sent.set()


def _link_or_copy(source: str | Path, target: str | Path) -> None:
    """Give the file a second name: an archive's posts need not lie there twice."""
    Path(target).unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _start_thread(name: str, work: Callable[[Fork], None], process: Fork) -> threading.Thread:
    thread = threading.Thread(target=work, args=(process,), name=name, daemon=True)
    thread.start()
    return thread
