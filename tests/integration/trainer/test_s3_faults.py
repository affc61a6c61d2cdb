"""Every request of a whole run fails once in every way: no manifest without its files, and the next attempt completes.

The run is the real one, prepare Job and train Job with their real stores, but for the training: what a first run
trained and drew is used again. The requests are counted in a first run, so a new one is tested by itself.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.factories import make_archive, make_run_config, make_sentences
from tests.faulty_s3 import LARGE, Fault, FaultyS3, Plan, hang, lose_reply, refuse, slow, worth_failing
from tests.unit.trainer.language_model import save_tiny_gpt2
from tweetbot_api.conditions import Reason
from tweetbot_api.exitcodes import ExitCode
from tweetbot_api.messages import BotOutcome
from tweetbot_api.runconfig import RunManifest
from tweetbot_api.termination import decode_termination
from tweetbot_trainer import pipeline, publish
from tweetbot_trainer.generate import Sample
from tweetbot_trainer.job import Job, JobPaths
from tweetbot_trainer.models import load_language_model

PREFIX = "ns/bot/run"
GENERATION = {"prompts": ["My dream is"], "samplesPerPrompt": 1, "minLength": 4, "maxLength": 24}
RECIPE = {"blockSize": 64, "epochs": 1, "batchSize": 2}
POSTS = make_sentences(200)


@dataclass
class Ending:
    """How a Job ended."""

    code: int
    outcome: BotOutcome

    @property
    def reason(self) -> str | None:
        return self.outcome.failure.reason if self.outcome.failure else None


class Bot:
    """One run in one bucket, attempt after attempt."""

    def __init__(self, s3: FaultyS3, folder: Path, start: dict[str, bytes]) -> None:
        self.s3 = s3
        self.folder = folder
        self.start = start
        self.prepared: dict[str, bytes] = {}
        self.requests: dict[str, list[str]] = {}
        """Of each Job without faults."""
        self.attempt = 0

    def attempt_job(self, kind: str, plan: Plan | None = None) -> Ending:
        """Run one Job as its pod does."""
        self.attempt += 1
        config = make_run_config(
            source={"archive": {"uri": "s3://bots/posts/{handle}.zip"}},
            baseModel={"name": "s3://bots/models/tiny"},
            training=RECIPE,
            generation=GENERATION,
            output={"bucket": "bots", "prefix": PREFIX, "endpoint": self.s3.endpoint},
        )
        config = config.model_copy(update={"bot": config.bot.model_copy(update={"attempt": self.attempt})})
        paths = JobPaths(
            manifest=self.folder / "manifest.json",
            token=self.folder / "token",
            work_dir=self.folder / f"work-{self.attempt}",
            termination_message=self.folder / "termination-log",
        )
        self.s3.follow(plan or Plan())
        code = Job(RunManifest(job_kind=kind, job_name="job", bots=[config]), paths).run()
        (outcome,) = decode_termination(paths.termination_message.read_text())
        self.check_manifest()
        return Ending(code, outcome)

    def begin(self, kind: str) -> None:
        """Put the bucket into the state in which this Job finds it."""
        self.s3.restore("bots", self.start if kind == "prepare" else self.prepared)

    def check_manifest(self) -> None:
        """A manifest says that all its files are stored, with these hashes: is it true?"""
        contents = self.s3.contents("bots")
        manifest = contents.get(f"{PREFIX}/manifest.json")
        for file in json.loads(manifest)["files"] if manifest else ():
            data = contents[f"{PREFIX}/{file['path']}"]
            assert hashlib.sha256(data).hexdigest() == file["sha256"], file["path"]

    def is_done(self, kind: str) -> bool:
        last = "dataset/dataset.json" if kind == "prepare" else "manifest.json"
        return f"{PREFIX}/{last}" in self.s3.contents("bots")

    def complete(self, kind: str) -> None:
        """Have the next attempt go without faults; after a prepare Job all is as if there never was one."""
        ending = self.attempt_job(kind)
        assert ending.code == ExitCode.OK, ending.outcome
        assert self.is_done(kind)
        assert self.s3.num_unfinished("bots") == 0
        if kind == "prepare":
            assert without_logs(self.s3.contents("bots")) == without_logs(self.prepared)


def without_logs(contents: dict[str, bytes]) -> dict[str, bytes]:
    return {key: data for key, data in contents.items() if "/logs/" not in key}


def record(bot: Bot) -> dict[str, bytes]:
    """Run both Jobs for real; return the files that were published."""
    bot.s3.restore("bots", bot.start)
    assert bot.attempt_job("prepare").code == 0
    bot.prepared = bot.s3.contents("bots")
    assert bot.attempt_job("train").code == 0
    files = {key.removeprefix(f"{PREFIX}/"): data for key, data in bot.s3.contents("bots").items() if PREFIX in key}
    own = ("dataset/", "logs/", "manifest.json", "checkpoints/")
    return {key: data for key, data in files.items() if not key.startswith(own)}


def play_back(monkeypatch: pytest.MonkeyPatch, model: Path, files: dict[str, bytes]) -> None:
    """Have the train half use what was trained and drawn before; one file is large enough for parts."""
    import torch

    language_model = load_language_model(model, torch.device("cpu"))
    files = {**files, "model/large.bin": bytes(range(256)) * (LARGE // 256)}

    def write_files(_bot, _url, work_dir):
        for key, data in files.items():
            path = work_dir / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return {key: work_dir / key for key in files}

    monkeypatch.setattr(pipeline, "load_language_model", lambda *_: language_model)
    monkeypatch.setattr(pipeline, "train", lambda *_, **__: None)
    monkeypatch.setattr(pipeline, "held_out_loss", lambda *_, **__: 3.0)
    monkeypatch.setattr(pipeline, "add_writing", lambda evaluation, *_: evaluation)
    monkeypatch.setattr(pipeline, "write_posts", lambda *_: ["My dream is"])
    monkeypatch.setattr(pipeline, "write_samples", lambda *_: [Sample(prompt="My dream is", posts=["My dream is"])])
    monkeypatch.setattr(publish, "_write_files", write_files)


@pytest.fixture(scope="module")
def bot(faulty_s3: FaultyS3, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("bot")
    model = save_tiny_gpt2(folder / "tiny")
    start = {f"models/tiny/{path.name}": path.read_bytes() for path in model.iterdir()}
    start["posts/thisisaito.zip"] = make_archive(folder / "posts.zip", POSTS).read_bytes()
    bot = Bot(faulty_s3, folder, start)
    with pytest.MonkeyPatch.context() as monkeypatch:
        play_back(monkeypatch, model, record(bot))
        for kind in ("prepare", "train"):
            bot.begin(kind)
            assert bot.attempt_job(kind).code == 0
            bot.requests[kind] = list(faulty_s3.requests)
        yield bot


def test_a_run_without_faults_takes_the_requests_that_are_meant(bot: Bot) -> None:
    bot.begin("train")
    assert bot.attempt_job("train").code == 0
    methods = [line.split()[0] for line in bot.s3.requests]
    *_, last, log = [line for line in bot.s3.requests if line.startswith(("PUT", "POST"))]
    assert last.startswith(f"PUT /bots/{PREFIX}/manifest.json")
    assert log.startswith(f"PUT /bots/{PREFIX}/logs/")
    assert methods.count("POST") == 2, "one upload in parts is begun and completed"


@pytest.mark.parametrize("kind", ["prepare", "train"])
def test_a_request_that_fails_once_is_repeated_and_the_run_goes_on(bot: Bot, kind: str, passing_fault: Fault) -> None:
    for number in worth_failing(bot.requests[kind], passing_fault):
        bot.begin(kind)
        ending = bot.attempt_job(kind, Plan(passing_fault, number))
        assert ending.code == ExitCode.OK, (bot.s3.requests[number], ending.outcome)
        assert bot.is_done(kind)
        assert bot.s3.num_unfinished("bots") == 0


@pytest.mark.parametrize("kind", ["prepare", "train"])
@pytest.mark.parametrize(
    ("fault", "want_reason", "want_code"),
    [
        (refuse(503, "SlowDown"), Reason.STORAGE_UNAVAILABLE, ExitCode.TRANSIENT),
        (refuse(403, "AccessDenied"), Reason.STORAGE_ACCESS_DENIED, ExitCode.BAD_SPEC),
        (lose_reply, Reason.STORAGE_UNAVAILABLE, ExitCode.TRANSIENT),
    ],
    ids=["dead", "denied", "no replies"],
)
def test_a_store_that_fails_from_some_request_on_is_named_and_the_next_attempt_completes(
    bot: Bot, kind: str, fault: Fault, want_reason: Reason, want_code: int
) -> None:
    for number in worth_failing(bot.requests[kind], fault):
        bot.begin(kind)
        ending = bot.attempt_job(kind, Plan(fault, number, is_lasting=True))
        if ending.code != ExitCode.OK:
            assert (ending.reason, ending.code) == (want_reason, want_code), bot.s3.requests[number]
        else:
            assert bot.is_done(kind)
        bot.complete(kind)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", ["prepare", "train"])
def test_a_store_that_never_answers_again_is_unavailable(bot: Bot, kind: str) -> None:
    bot.begin(kind)
    ending = bot.attempt_job(kind, Plan(hang, len(bot.requests[kind]) // 2, is_lasting=True))
    assert (ending.reason, ending.code) == (Reason.STORAGE_UNAVAILABLE, ExitCode.TRANSIENT)
    bot.complete(kind)


def test_a_slow_store_only_takes_longer(bot: Bot) -> None:
    bot.begin("prepare")
    for kind in ("prepare", "train"):
        assert bot.attempt_job(kind, Plan(slow, 0, is_lasting=True)).code == ExitCode.OK
