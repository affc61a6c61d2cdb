"""A training that is stopped again and again ends as one that never was: the same losses and weights, bit for bit."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.factories import make_run_config, make_sentences
from tests.unit.trainer.language_model import save_tiny_gpt2, store_dataset
from tweetbot_api.exitcodes import ExitCode
from tweetbot_api.runconfig import RunManifest
from tweetbot_api.termination import decode_termination
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.s3 import open_store

NUM_STOPS = 5
CHECKPOINT_STEPS = 7
RECIPES = {
    "full": {},
    "accumulated": {"batchSize": 2, "gradientAccumulationSteps": 2, "epochs": 16},
    "adapters": {"method": "lora", "lora": {"rank": 4, "dropout": 0.1}, "learningRate": 1e-2},
    "early-stopping": {"evalSteps": 6, "earlyStopping": {"patience": 8}},
}
GENERATION = {"samplesPerPrompt": 1, "minLength": 4, "maxLength": 16, "measuredPosts": 0}


class WarmTrainer:
    """Starts attempts in processes of their own."""

    def __init__(self, log):
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("warm_trainer.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
        )  # fmt: skip

    def start(self, **request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self._answer()["pid"]

    def exit_code(self):
        return self._answer()["exit"]

    def close(self):
        self._process.communicate()

    def _answer(self):
        line = self._process.stdout.readline()
        assert line, "the warm trainer ended; see its log"
        return json.loads(line)


class Run:
    """One run of a bot, in as many attempts as it takes."""

    def __init__(self, trainer, folder, base_model, recipe, s3_output=None):
        self.trainer = trainer
        self.folder = folder
        self._in_s3 = s3_output is not None
        self._num_attempts = 0
        self._lines = []
        config = make_run_config(
            training={
                "blockSize": 32, "epochs": 8, "learningRate": 1e-3, "checkpointSteps": CHECKPOINT_STEPS, **recipe
            },
            baseModel={"name": base_model.as_uri()},
            generation=GENERATION,
            **({"output": s3_output} if s3_output else {}),
        )  # fmt: skip
        folder.mkdir()
        manifest = RunManifest(job_kind="train", job_name="job", bots=[config])
        (folder / "manifest.json").write_text(json.dumps(manifest.to_wire()))
        self._uid = config.bot.uid
        self.store = open_store(config.output) if s3_output else LocalStore(folder / "store")
        store_dataset(self.store, {"thisisaito": make_sentences(40)})

    def start(self):
        self._num_attempts += 1
        self._lines = []
        return self.trainer.start(
            manifest=str(self.folder / "manifest.json"),
            work=str(self.work_dir),
            store=None if self._in_s3 else str(self.folder / "store"),
        )

    def finish(self):
        self.start()
        assert self.trainer.exit_code() == 0
        return self

    def stop(self, signum, at_step):
        """Start an attempt and send it the signal once it has done the step; return exit code and last step."""
        pid = self.start()
        deadline = time.monotonic() + 60
        while self.last_step() < at_step:
            assert time.monotonic() < deadline, "the training does not come so far"
            time.sleep(0.001)
        os.kill(pid, signum)
        return self.trainer.exit_code(), self.last_step()

    @property
    def work_dir(self):
        return self.folder / f"attempt-{self._num_attempts}"

    def last_step(self):
        """Return the last step that the newest attempt has written down."""
        path = self.work_dir / self._uid / "metrics.jsonl"
        if path.exists():
            self._lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return max(steps_of(map(json.loads, self._lines)), default=0)

    def newest_checkpoint(self):
        manifests = [key for key in self.store.list("checkpoints/") if key.endswith("checkpoint.json")]
        return int(manifests[-1].split("/")[1].removeprefix("step-")) if manifests else 0

    def result(self):
        """Return what must not depend on how often the run was stopped."""
        metrics = [json.loads(line) for line in self.store.read_bytes("metrics.jsonl").splitlines()]
        for line in metrics:
            line.pop("tokensPerSecond", None)
        return metrics, hashlib.sha256(self.store.read_bytes("model/model.safetensors")).hexdigest()


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    path = tmp_path_factory.mktemp("warm") / "log.txt"
    with path.open("w") as log:
        warm = WarmTrainer(log)
        yield warm
        warm.close()


@pytest.fixture(scope="module")
def base_model(tmp_path_factory):
    return save_tiny_gpt2(tmp_path_factory.mktemp("gpt2"), dropout=0.1)


@pytest.fixture(scope="module")
def unbroken(trainer, base_model, tmp_path_factory):
    """Return a function that gives the result of a recipe's run that nothing stops."""
    results = {}

    def run(name):
        if name not in results:
            folder = tmp_path_factory.mktemp("unbroken") / name
            results[name] = Run(trainer, folder, base_model, RECIPES[name]).finish().result()
        return results[name]

    return run


def steps_of(lines):
    return [line["step"] for line in lines if "loss" in line]


@pytest.mark.parametrize("recipe", RECIPES)
def test_sigterm_at_random_steps_leaves_no_trace(trainer, base_model, unbroken, tmp_path, recipe):
    want = unbroken(recipe)
    steps = steps_of(want[0])
    run, rng = Run(trainer, tmp_path / "run", base_model, RECIPES[recipe]), random.Random(recipe)
    for num_left in range(NUM_STOPS, 0, -1):
        done = run.newest_checkpoint()
        code, step = run.stop(signal.SIGTERM, done + rng.randint(1, max(1, (len(steps) - 2 - done) // num_left)))
        assert code == ExitCode.STOPPED_WITH_CHECKPOINT
        assert run.newest_checkpoint() >= step > done
        (outcome,) = decode_termination((run.work_dir / "termination-log").read_text())
        assert (outcome.failure.reason, outcome.failure.exit_code) == ("Interrupted", 170)
    assert run.finish().result() == want
    assert not run.store.list("checkpoints/")


@pytest.mark.parametrize("recipe", RECIPES)
def test_sigkill_at_random_steps_costs_at_most_one_interval_and_leaves_no_trace(
    trainer, base_model, unbroken, tmp_path, recipe
):
    want = unbroken(recipe)
    run, rng = Run(trainer, tmp_path / "run", base_model, RECIPES[recipe]), random.Random(recipe)
    for _ in range(NUM_STOPS):
        done = run.newest_checkpoint()
        most = min(2 * CHECKPOINT_STEPS, len(steps_of(want[0])) - 2 - done)
        code, step = run.stop(signal.SIGKILL, done + rng.randint(1, most))
        assert code == -signal.SIGKILL
        assert 0 <= step - run.newest_checkpoint() <= CHECKPOINT_STEPS
        assert run.newest_checkpoint() >= done
    assert run.finish().result() == want
    assert not run.store.list("checkpoints/")


def test_a_run_in_s3_goes_on_too_and_a_damaged_checkpoint_gives_way_to_the_one_before(
    trainer, base_model, unbroken, tmp_path, s3_endpoint, s3
):
    output = {"bucket": "bots", "prefix": "run", "endpoint": s3_endpoint}
    run = Run(trainer, tmp_path / "run", base_model, RECIPES["full"], output)
    run.stop(signal.SIGTERM, 9)
    run.stop(signal.SIGTERM, 12)
    newest = run.newest_checkpoint()
    run.store.write_bytes(f"checkpoints/step-{newest:08d}/process-0.safetensors", b"cut off")
    run.stop(signal.SIGKILL, 11)
    assert run.newest_checkpoint() < newest
    assert run.finish().result() == unbroken("full")
    assert not run.store.list("checkpoints/")
