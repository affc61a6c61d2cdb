"""A real process that trains eight bots, stopped and killed: what is finished stays, what was begun goes on."""

import hashlib
import json
import os
import re
import signal
import time

import pytest

from tests.factories import make_bot_identity, make_run_config, make_sentences
from tests.integration.trainer.test_resume import WarmTrainer
from tests.unit.trainer.language_model import save_tiny_gpt2, store_dataset
from tweetbot_api.exitcodes import ExitCode
from tweetbot_api.names import OUTPUT_MANIFEST
from tweetbot_api.runconfig import RunManifest
from tweetbot_api.termination import decode_termination
from tweetbot_trainer.s3 import open_store

EPOCHS = {"ann": 1, "bob": 12, "cy": 2, "dee": 10, "eve": 8, "flo": 3, "gus": 6, "hal": 4}
GENERATION = {"samplesPerPrompt": 1, "minLength": 4, "maxLength": 16, "measuredPosts": 0}
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    path = tmp_path_factory.mktemp("warm") / "log.txt"
    with path.open("w") as log:
        warm = WarmTrainer(log)
        yield warm
        warm.close()


class BatchRun:
    """The runs of all bots, in as many attempts as it takes."""

    def __init__(self, trainer, folder, model, endpoint, prefix):
        self._trainer = trainer
        self._folder = folder
        self._num_attempts = 0
        folder.mkdir()
        self.bots = {
            name: make_run_config(
                bot=make_bot_identity(name).to_wire(),
                training={"blockSize": 32, "epochs": epochs, "learningRate": 1e-3, "seed": epochs},
                baseModel={"name": model.as_uri()},
                generation=GENERATION,
                output={"bucket": "bots", "prefix": f"{prefix}/{name}", "endpoint": endpoint},
            )
            for name, epochs in EPOCHS.items()
        }
        self.stores = {name: open_store(config.output) for name, config in self.bots.items()}
        for store in self.stores.values():
            store_dataset(store, {"thisisaito": make_sentences(60)})
        manifest = RunManifest(job_kind="train", job_name="job", bots=list(self.bots.values()))
        (folder / "manifest.json").write_text(json.dumps(manifest.to_wire()))

    def start(self):
        self._num_attempts += 1
        work = str(self._work_dir)
        return self._trainer.start(manifest=str(self._folder / "manifest.json"), work=work, store=None)

    def finish(self):
        return self._trainer.exit_code()

    def stop(self, pid, signum):
        os.kill(pid, signum)
        return self._trainer.exit_code()

    def finished(self):
        """Return the hash of each manifest that is stored."""
        found = {name: store.read_bytes(OUTPUT_MANIFEST) for name, store in self.stores.items()}
        return {name: hashlib.sha256(data).hexdigest() for name, data in found.items() if data}

    def weights(self):
        files = {name: store.read_bytes("model/model.safetensors") for name, store in self.stores.items()}
        return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}

    def saved(self):
        return {name for name, store in self.stores.items() if store.list("checkpoints/")}

    def log(self, name):
        path = self._work_dir / "logs" / f"{self.bots[name].bot.uid}.txt"
        return path.read_text() if path.exists() else ""

    def went_on_from(self, name):
        """Return the step that the bot's attempt began at."""
        found = re.search(r"going on from a checkpoint step=(\d+)", self.log(name))
        return int(found[1]) if found else 0

    def outcomes(self):
        return dict(zip(EPOCHS, decode_termination((self._work_dir / "termination-log").read_text()), strict=True))

    @property
    def _work_dir(self):
        return self._folder / f"attempt-{self._num_attempts}"


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it does not come so far"
        time.sleep(0.005)


def test_a_batch_that_is_stopped_and_killed_ends_as_one_that_never_was(trainer, tmp_path, s3, s3_endpoint):
    model = save_tiny_gpt2(tmp_path / "gpt2")
    unbroken = BatchRun(trainer, tmp_path / "unbroken", model, s3_endpoint, "unbroken")
    unbroken.start()
    assert unbroken.finish() == 0
    run = BatchRun(trainer, tmp_path / "run", model, s3_endpoint, "run")

    pid = run.start()
    wait_for(run.finished)
    assert run.stop(pid, signal.SIGTERM) == ExitCode.STOPPED_WITH_CHECKPOINT
    after_sigterm, saved = run.finished(), run.saved()
    assert 0 < len(after_sigterm) < len(EPOCHS)
    assert saved
    assert not saved & after_sigterm.keys()
    for name, outcome in run.outcomes().items():
        if name in after_sigterm:
            assert outcome.manifest_sha256 == after_sigterm[name]
        else:
            assert outcome.failure.exit_code == (ExitCode.STOPPED_WITH_CHECKPOINT if name in saved else 143)

    pid = run.start()
    wait_for(lambda: all(run.went_on_from(name) for name in saved) and len(run.finished()) > len(after_sigterm))
    assert run.stop(pid, signal.SIGKILL) == -signal.SIGKILL
    after_sigkill = run.finished()
    assert after_sigkill.items() >= after_sigterm.items()

    run.start()
    assert run.finish() == 0
    for name in saved - after_sigkill.keys():
        assert run.went_on_from(name), "what SIGTERM had saved outlasts SIGKILL"
    assert run.finished().items() >= after_sigkill.items()
    assert run.weights() == unbroken.weights()
    assert not run.saved()
