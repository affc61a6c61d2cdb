"""Two processes train a bot together (gloo on the CPU), whatever ZeRO makes them share: one model, the same losses.

They are in one pod, or in two that begin at different times, here played by two launchers on one machine.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from tests.factories import make_bot_identity, make_run_config, make_sentences
from tests.unit.trainer.language_model import save_tiny_gpt2, store_dataset
from tweetbot_api.conditions import Reason
from tweetbot_api.exitcodes import ExitCode
from tweetbot_api.runconfig import RunManifest
from tweetbot_api.termination import decode_termination
from tweetbot_trainer.artifacts import LocalStore

# Each attempt imports everything in two processes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
STAGES = (0, 2, 3)
GENERATION = {"samplesPerPrompt": 1, "minLength": 4, "maxLength": 16, "measuredPosts": 0}


class SharedJob:
    """A Job with one bot for each ZeRO stage, in as many attempts as it takes."""

    def __init__(self, folder, base_model, num_processes=2, **recipe):
        self.folder = folder
        self._num_processes = num_processes
        bots = [
            make_run_config(
                bot=make_bot_identity(f"stage-{stage}").to_wire(),
                baseModel={"name": base_model.as_uri()},
                generation=GENERATION,
                output={"bucket": "bots", "prefix": f"stage-{stage}"},
                training={
                    "blockSize": 32, "epochs": 4, "learningRate": 1e-3, "checkpointSteps": 4,
                    "deepspeed": {"zeroStage": stage}, **recipe,
                },
            )
            for stage in STAGES
        ]  # fmt: skip
        manifest = RunManifest(job_kind="train", job_name="job", bots=bots)
        folder.mkdir()
        (folder / "manifest.json").write_text(json.dumps(manifest.to_wire()))
        for stage in STAGES:
            store_dataset(self.store(stage), {"thisisaito": make_sentences(40)})

    def store(self, stage):
        return LocalStore(self.folder / "stores" / f"stage-{stage}")

    @contextmanager
    def pod(self, **variables):
        """Run one pod of an attempt; nothing of it is left when the test is done with it."""
        environment = {
            **os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path), **variables,
        }  # fmt: skip
        command = [sys.executable, Path(__file__).with_name("shared_job.py"), self.folder]
        with (
            (self.folder / "log.txt").open("a") as log,
            subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
        ):
            try:
                yield process
            finally:
                process.terminate()

    def attempt(self):
        """Run an attempt in one pod."""
        return self.pod(PET_NPROC_PER_NODE=str(self._num_processes))

    def stop_in(self, stage):
        """Start an attempt, send SIGTERM once a bot has a checkpoint and is on its way, and return the exit code."""
        with self.attempt() as process:
            while not any(key.endswith("checkpoint.json") for key in self.store(stage).list("checkpoints/")):
                assert process.poll() is None, (self.folder / "log.txt").read_text()[-2000:]
                time.sleep(0.005)
            process.send_signal(signal.SIGTERM)
            return process.wait()

    def finish(self):
        with self.attempt() as process:
            assert process.wait() == 0, (self.folder / "log.txt").read_text()[-2000:]
        return self

    def losses(self, stage):
        lines = map(json.loads, self.store(stage).read_bytes("metrics.jsonl").splitlines())
        return [line["loss"] for line in lines if "loss" in line]

    def weights(self, stage):
        return self.store(stage).read_bytes("model/model.safetensors")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def base_models(folder):
    """A model without dropout, whose losses do not depend on who reads which block, and one with."""
    return {dropout: save_tiny_gpt2(folder / f"gpt2-{dropout}", dropout=dropout) for dropout in (0.0, 0.1)}


@pytest.fixture(scope="module")
def together(folder, base_models):
    """Two processes that read one block each."""
    return SharedJob(folder / "together", base_models[0.0]).finish()


@pytest.fixture(scope="module")
def alone(folder, base_models):
    """One process that reads two blocks at once."""
    return SharedJob(folder / "alone", base_models[0.0], num_processes=1, batchSize=2).finish()


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_have_the_losses_of_one_with_twice_the_batch(together, alone, stage):
    want = alone.losses(0)
    assert len(want) > 20
    # Of an odd number of blocks the two processes read one twice, in the last step.
    assert together.losses(stage)[:-1] == pytest.approx(want[:-1], rel=1e-5)


@pytest.mark.parametrize("stage", STAGES)
def test_one_whole_model_is_published(together, stage, tmp_path):
    store = together.store(stage)
    for key in store.list("model/"):
        store.download(key, tmp_path / key)
    model, loading = AutoModelForCausalLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(loading.values())
    assert model.lm_head.weight is model.transformer.wte.weight
    assert [key for key in store.list("model/") if key.endswith(".safetensors")] == ["model/model.safetensors"]
    assert not store.list("checkpoints/")
    outcomes = decode_termination((together.folder / "termination-log").read_text())
    assert [bool(outcome.manifest_sha256) for outcome in outcomes] == [True] * len(STAGES)


def test_a_training_of_two_processes_goes_on_bit_for_bit_too(folder, base_models):
    unbroken = SharedJob(folder / "unbroken", base_models[0.1], epochs=12).finish()
    stopped = SharedJob(folder / "stopped", base_models[0.1], epochs=12)
    for stage in STAGES:
        assert stopped.stop_in(stage) == ExitCode.STOPPED_WITH_CHECKPOINT
    stopped.finish()
    for stage in STAGES:
        assert stopped.losses(stage) == unbroken.losses(stage)
        assert stopped.weights(stage) == unbroken.weights(stage)


class TwoPods(SharedJob):
    """The same Job in two pods of one process each."""

    def __init__(self, folder, base_model, **recipe):
        super().__init__(folder, base_model, **recipe)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]

    def node(self, index):
        return self.pod(
            JOB_COMPLETION_INDEX=str(index),
            PET_NNODES="2",
            PET_MASTER_ADDR="localhost",
            PET_MASTER_PORT=str(self._port),
        )

    @contextmanager
    def attempt(self):
        """Run an attempt whose second pod begins first; its end is that of the first pod."""
        with self.node(1) as second:
            time.sleep(3)
            with self.node(0) as first:
                yield first
            assert second.wait(timeout=60) == first.returncode


@pytest.fixture(scope="module")
def in_two_pods(folder, base_models):
    return TwoPods(folder / "two-pods", base_models[0.0]).finish()


@pytest.mark.parametrize("stage", STAGES)
def test_two_pods_train_as_two_processes_of_one_pod_do(in_two_pods, together, stage):
    assert in_two_pods.losses(stage) == together.losses(stage)
    assert in_two_pods.weights(stage) == together.weights(stage)


def test_when_a_pod_is_killed_the_first_one_says_that_it_lost_it(folder, base_models):
    job = TwoPods(folder / "killed", base_models[0.0], epochs=50)
    with job.node(0) as first, job.node(1) as second:
        while not job.store(STAGES[0]).list("checkpoints/"):
            assert first.poll() is None, (job.folder / "log.txt").read_text()[-2000:]
            time.sleep(0.05)
        for child in children_of(second.pid):
            os.kill(child, signal.SIGKILL)
        assert second.wait(timeout=60) == 137
        assert first.wait(timeout=60) == ExitCode.PEER_LOST
    outcome = decode_termination((job.folder / "termination-log").read_text())[0]
    assert outcome.failure.reason == Reason.PEER_LOST


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
