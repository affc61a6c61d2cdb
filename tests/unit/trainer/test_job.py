import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.factories import make_archive, make_base_model, make_bot_identity, make_run_config, make_sentences
from tweetbot_api.conditions import Reason
from tweetbot_api.exitcodes import ExitCode
from tweetbot_api.messages import BotOutcome, ResultMessage
from tweetbot_api.runconfig import RunManifest
from tweetbot_api.status import Failure
from tweetbot_api.termination import decode_termination
from tweetbot_trainer import log_keeper
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.job import Job, JobPaths, load_manifest
from tweetbot_trainer.job_failures import exit_code

NAMES = ("first", "second", "third")


class Pod:
    """What one Job finds in its pod, and what it leaves there."""

    def __init__(self, folder, operator_url=None):
        self.folder = folder
        self.operator_url = operator_url
        self.paths = JobPaths(
            manifest=folder / "manifest.json",
            token=folder / "token",
            work_dir=folder / "work",
            termination_message=folder / "termination-log",
        )
        self.paths.token.write_text("token")
        (folder / "operator-ca.crt").touch()
        self.worked_on = []

    def run(self, *behaviours):
        """Run a Job with one bot per behaviour: an outcome to return, an error to raise, or a call to make."""
        bots = [
            make_run_config(bot=make_bot_identity(name).to_wire(), output={"bucket": "bots", "prefix": name})
            for name in NAMES[: len(behaviours)]
        ]
        todo = dict(zip(NAMES, behaviours, strict=False))

        def stage(config, store, reporter, tracker, work_dir):
            self.worked_on.append(config.bot.name)
            behaviour = todo[config.bot.name]
            if isinstance(behaviour, BaseException):
                raise behaviour
            return behaviour() if callable(behaviour) else behaviour

        manifest = RunManifest(job_kind="train", job_name="job", operator_url=self.operator_url, bots=bots)
        return Job(manifest, self.paths, lambda _: stage, lambda output: self.store(output.prefix)).run()

    def store(self, name):
        return LocalStore(self.folder / "stores" / name)

    @property
    def outcomes(self):
        return decode_termination(self.paths.termination_message.read_text())


@pytest.fixture
def pod(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    return Pod(tmp_path)


def stop_this_process():
    os.kill(os.getpid(), signal.SIGTERM)
    return BotOutcome(samples=["never"])


TOO_LITTLE = TrainerError(Reason.TOO_LITTLE_TEXT, "give more posts")
UNAVAILABLE = TrainerError(Reason.STORAGE_UNAVAILABLE, "S3 did not answer")
DONE = BotOutcome(samples=["My dream"], manifest_sha256="0" * 64)


def test_a_job_whose_bots_are_all_done_ends_with_zero(pod):
    assert pod.run(DONE, DONE) == 0
    assert pod.outcomes == [DONE, DONE]


def test_one_bots_failure_does_not_touch_the_next(pod):
    pod.run(TOO_LITTLE, RuntimeError("a bug"), DONE)
    assert list(NAMES) == pod.worked_on
    assert [outcome.failure and outcome.failure.reason for outcome in pod.outcomes] == [
        "TooLittleText",
        "InternalError",
        None,
    ]


def test_a_known_failure_carries_reason_message_code_and_log(pod):
    assert pod.run(TOO_LITTLE) == ExitCode.TOO_LITTLE_TEXT
    (outcome,) = pod.outcomes
    assert (outcome.failure.message, outcome.failure.exit_code) == ("give more posts", 65)
    assert "reason=TooLittleText" in outcome.failure.log_tail


def test_an_unknown_failure_is_internal_and_leaves_its_traceback_in_the_log(pod):
    assert pod.run(KeyError("handle")) == ExitCode.TRANSIENT
    (outcome,) = pod.outcomes
    assert outcome.failure.message == "KeyError: 'handle'"
    assert "Traceback" in outcome.failure.log_tail


def test_running_out_of_memory_is_named(pod):
    assert pod.run(MemoryError()) == ExitCode.TRANSIENT
    assert pod.outcomes[0].failure.reason == "OutOfMemory"


def test_a_long_message_is_cut_to_what_a_status_holds(pod):
    pod.run(TrainerError(Reason.INVALID_SPEC, "x" * 5000))
    assert len(pod.outcomes[0].failure.message) == 1024


@pytest.mark.parametrize(
    ("codes", "want"),
    [([], 0), ([None], 0), ([65], 65), ([65, None, 64], 65), ([65, 171], 171), ([65, 143, 171], 143)],
)
def test_a_failure_that_another_attempt_may_mend_decides_the_exit_code(codes, want):
    outcomes = [BotOutcome(failure=Failure(reason="x", message="", exit_code=code) if code else None) for code in codes]
    assert want == exit_code(outcomes)


def test_sigterm_ends_the_job_with_what_was_done_so_far(pod):
    assert pod.run(DONE, stop_this_process, DONE) == 143
    assert pod.worked_on == ["first", "second"]
    done, *interrupted = pod.outcomes
    assert done == DONE
    assert [(o.failure.reason, o.failure.exit_code) for o in interrupted] == [("Interrupted", 143)] * 2


def test_sigterm_while_results_wait_for_the_operator_keeps_the_exit_code(tmp_path):
    pod = Pod(tmp_path, operator_url="https://127.0.0.1:1")
    timer = threading.Timer(0.3, stop_this_process)
    timer.start()
    assert pod.run(DONE) == 0
    timer.join()
    assert pod.outcomes == [DONE]
    assert pod.store("first").exists("logs/train-1.txt")


def test_results_are_sent_after_the_termination_message_is_written(tmp_path, loopback_server):
    server = loopback_server()
    pod = Pod(tmp_path, operator_url=server.url)
    pod.run(DONE, TOO_LITTLE)
    messages = [ResultMessage.model_validate_json(body) for path, _, body in server.requests if path == "/v1/result"]
    assert [message.bot.name for message in messages] == ["first", "second"]
    assert [m.outcome.failure and m.outcome.failure.message for m in messages] == [None, "give more posts"]


def test_each_bots_log_is_stored_under_its_attempt(pod):
    pod.run(DONE, TOO_LITTLE)
    first, second = (pod.store(name).read_bytes("logs/train-1.txt").decode() for name in NAMES[:2])
    assert "name=first" in first
    assert "TooLittleText" not in first
    assert "TooLittleText" in second


def test_the_log_of_an_attempt_that_was_stopped_is_stored_too(pod):
    pod.run(stop_this_process)
    assert "name=first" in pod.store("first").read_bytes("logs/train-1.txt").decode()


def test_an_attempt_that_its_queue_stops_and_lets_go_on_has_one_log(pod):
    pod.run(stop_this_process)
    before = pod.store("first").read_bytes("logs/train-1.txt")
    pod.run(DONE)
    after = pod.store("first").read_bytes("logs/train-1.txt")
    assert after.startswith(before)
    assert b"bot finished" in after.removeprefix(before)


def test_a_log_that_cannot_be_stored_changes_nothing(pod, monkeypatch):
    monkeypatch.setattr(LocalStore, "write_bytes", lambda *_: (_ for _ in ()).throw(UNAVAILABLE))
    assert pod.run(DONE) == 0


def test_a_log_is_stored_while_its_bot_is_worked_on_for_a_killed_pod_can_store_nothing(pod, monkeypatch):
    monkeypatch.setattr(log_keeper, "LOG_SECONDS", 0.01)
    seen = []

    def work_until_the_log_is_stored():
        deadline = time.monotonic() + 10
        while not seen and time.monotonic() < deadline:
            seen.extend(filter(None, [pod.store("first").read_bytes("logs/train-1.txt")]))
        return DONE

    assert pod.run(work_until_the_log_is_stored) == 0
    assert b"bot started" in seen[0]
    whole = pod.store("first").read_bytes("logs/train-1.txt")
    assert whole.count(b"bot started") == whole.count(b"bot finished") == 1


def test_scratch_space_of_a_bot_is_freed_before_the_next(pod):
    pod.run(DONE)
    assert [path.name for path in pod.paths.work_dir.iterdir()] == ["logs"]


def test_a_manifest_for_the_other_kind_of_job_is_refused(tmp_path):
    path = tmp_path / "manifest.json"
    manifest = RunManifest(job_kind="prepare", job_name="job", bots=[make_run_config()])
    path.write_text(json.dumps(manifest.to_wire()))
    assert manifest == load_manifest(path, "prepare")
    with pytest.raises(TrainerError) as caught:
        load_manifest(path, "train")
    assert caught.value.exit_code == ExitCode.BAD_SPEC


def test_nothing_that_prepares_imports_torch():
    code = (
        "import sys, tweetbot_trainer.prepare, tweetbot_trainer.job, tweetbot_trainer.cli; "
        "print({'torch', 'transformers', 'deepspeed', 'wandb'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    output = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "set()"


def test_a_prepare_job_takes_an_archive_from_s3_to_a_dataset_and_tells_the_operator(
    tmp_path, s3, s3_endpoint, loopback_server
):
    s3.upload_file(str(make_archive(tmp_path / "a.zip", make_sentences(200))), "bots", "posts/thisisaito.zip")
    for path in make_base_model(tmp_path / "small").iterdir():
        s3.upload_file(str(path), "bots", f"models/small/{path.name}")
    config = make_run_config(
        source={"archive": {"uri": "s3://bots/posts/{handle}.zip"}},
        baseModel={"name": "s3://bots/models/small"},
        output={"bucket": "bots", "prefix": "ns/bot/run", "endpoint": s3_endpoint},
    )
    server = loopback_server()
    pod = Pod(tmp_path)
    manifest = RunManifest(job_kind="prepare", job_name="job", operator_url=server.url, bots=[config])
    assert Job(manifest, pod.paths).run() == 0
    assert pod.outcomes[0].data[0].kept == 200
    keys = {item["Key"] for item in s3.list_objects_v2(Bucket="bots", Prefix="ns/")["Contents"]}
    assert keys == {
        f"ns/bot/run/{key}" for key in ("dataset/posts.jsonl", "dataset/dataset.json", "logs/prepare-1.txt")
    }
    paths = [path for path, _, _ in server.requests]
    assert paths[0] == "/v1/progress"
    assert paths[-1] == "/v1/result"
    assert ResultMessage.model_validate_json(server.requests[-1][2]).outcome == pod.outcomes[0]


def run_together(pod, train, *names):
    bots = [
        make_run_config(bot=make_bot_identity(name).to_wire(), output={"bucket": "bots", "prefix": name})
        for name in names
    ]
    manifest = RunManifest(job_kind="train", job_name="job", bots=bots)
    job = Job(
        manifest,
        pod.paths,
        lambda _: pytest.fail("bots are trained together"),
        lambda output: pod.store(output.prefix),
        load_together=lambda _: train,
    )
    return job.run()


def test_bots_that_are_trained_together_end_in_the_order_of_the_manifest(pod):
    def train(members, work_dir, on_end):
        first, second = members
        on_end(second, DONE)
        on_end(first, TOO_LITTLE)

    assert run_together(pod, train, "first", "second") == ExitCode.TOO_LITTLE_TEXT
    first, second = pod.outcomes
    assert first.failure.reason == "TooLittleText"
    assert second == DONE


def test_what_is_done_when_a_batch_is_stopped_stays_done(pod):
    def train(members, work_dir, on_end):
        on_end(members[0], DONE)
        stop_this_process()
        pytest.fail("never")

    assert run_together(pod, train, "first", "second") == 143
    first, second = pod.outcomes
    assert first == DONE
    assert second.failure.reason == "Interrupted"


def test_each_log_of_a_batch_tells_of_its_own_bot(pod):
    def train(members, work_dir, on_end):
        for member in members:
            on_end(member, TOO_LITTLE if member.config.bot.name == "second" else DONE)

    run_together(pod, train, "first", "second")
    first, second = (pod.store(name).read_bytes("logs/train-1.txt").decode() for name in ("first", "second"))
    assert "name=first" in first
    assert "name=second" not in first
    assert "reason=TooLittleText" in second
    assert "reason=TooLittleText" not in first
