import hashlib
import json
import os
import subprocess
import sys

import pytest
import yaml

from tests.factories import make_archive, make_base_model, make_jsonl, make_run_config, make_sentences
from tweetbot_api.messages import BotOutcome
from tweetbot_api.runconfig import RunManifest
from tweetbot_trainer import cli, local_run


@pytest.fixture
def tweetbot(monkeypatch, capsys):
    """Return a function that runs the command and returns exit code, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tweetbot", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def write_bot(tmp_path):
    """Return a function that writes a TweetBot file with other fields in its spec."""
    make_jsonl(tmp_path / "posts.jsonl", ["gm", *make_sentences(200)])
    make_base_model(tmp_path / "small")

    def write(**spec):
        bot = {
            "apiVersion": "tweetbot.dev/v1alpha1",
            "kind": "TweetBot",
            "metadata": {"name": "me"},
            "spec": {
                "handles": ["@Me"],
                "source": {"files": {"uri": (tmp_path / "posts.jsonl").as_uri()}},
                "baseModel": {"name": (tmp_path / "small").as_uri()},
                **spec,
            },
        }
        (tmp_path / "tweetbot.yaml").write_text(yaml.safe_dump(bot))
        return tmp_path / "tweetbot.yaml"

    return write


@pytest.fixture
def trained(monkeypatch):
    """Replace the training by one that only takes note of its configuration."""
    configs = []
    load_stage = local_run.load_stage

    def train_bot(config, store, reporter, tracker, work_dir):
        configs.append(config)
        reporter.report("Training", 0.5, step=1, total_steps=2, loss=3.0)
        return BotOutcome(samples=["My dream is [bold]tea"])

    monkeypatch.setattr(local_run, "load_stage", lambda kind: train_bot if kind == "train" else load_stage(kind))
    return configs


def test_a_bot_is_trained_without_a_cluster(tweetbot, write_bot, trained, tmp_path):
    code, output, errors = tweetbot("train", "-f", write_bot(), "--output", tmp_path / "out", "--prompt", "Tea is")
    assert (code, errors) == (0, "")
    assert "201" in output
    assert "My dream is [bold]tea" in output
    assert (tmp_path / "out" / "dataset" / "posts.jsonl").exists()
    (config,) = trained
    assert (config.handles, config.generation.prompts) == (["me"], ["Tea is"])
    assert config.training.seed is not None


def test_a_folder_never_mixes_two_runs(tweetbot, write_bot, trained, tmp_path):
    assert tweetbot("train", "-f", write_bot(), "--output", tmp_path / "out")[0] == 0
    assert tweetbot("train", "-f", write_bot(), "--output", tmp_path / "out")[0] == 0
    code, _, errors = tweetbot("train", "-f", write_bot(training={"epochs": 2}), "--output", tmp_path / "out")
    assert code == 64
    assert "holds another run" in errors


@pytest.mark.parametrize(
    ("spec", "want_in_message"),
    [
        ({"handles": []}, "spec.handles"),
        ({"training": {"epochs": 0}}, "spec.training.epochs"),
        ({"handels": ["me"]}, "spec.handels"),
        ({"source": {}}, "exactly one source"),
    ],
)
def test_a_wrong_field_is_named(tweetbot, write_bot, tmp_path, spec, want_in_message):
    code, _, errors = tweetbot("train", "-f", write_bot(**spec), "--output", tmp_path / "out")
    assert code == 64
    assert want_in_message in errors


@pytest.mark.parametrize("content", ["{", "", "- a", "\0"])
def test_a_file_that_is_no_tweetbot_is_refused(tweetbot, tmp_path, content):
    (tmp_path / "bot.yaml").write_text(content)
    code, _, errors = tweetbot("train", "-f", tmp_path / "bot.yaml", "--output", tmp_path / "out", "--prompt", "x")
    assert code == 64
    assert "bot.yaml" in errors


def test_too_little_text_has_the_exit_code_of_the_contract(tweetbot, write_bot, tmp_path):
    make_jsonl(tmp_path / "posts.jsonl", make_sentences(3))
    assert tweetbot("train", "-f", write_bot(), "--output", tmp_path / "out")[0] == 65


def test_inspect_counts_an_archive(tweetbot, tmp_path):
    path = make_archive(tmp_path / "a.zip", ["RT @other: theirs", "gm", "three whole words", "four whole words here"])
    code, output, _ = tweetbot("inspect", path, "--handle", "@ThisIsAito", "--output", "json")
    assert code == 0
    assert {
        "shape": "x-archive",
        "handle": "thisisaito",
        "displayName": "aito.eth",
        "downloaded": 4,
        "retweets": 1,
        "short": 1,
        "kept": 2,
        "characters": 38,
        "sha256": hashlib.sha256(b"three whole words\nfour whole words here").hexdigest(),
        "enough": False,
        "advice": "2 posts with 51 characters are left after cleaning; at least 6,000 characters are needed",
    } == json.loads(output)


def test_inspect_prints_lines_for_people(tweetbot, tmp_path):
    path = make_jsonl(tmp_path / "a.jsonl", ["three whole words", "four whole words here"])
    _, output, _ = tweetbot("inspect", path, "--handle", "me")
    assert "shape: lines\n" in output
    assert "kept: 2\n" in output


def test_inspect_writes_the_kept_texts_that_the_hash_is_of(tweetbot, tmp_path):
    path = make_jsonl(tmp_path / "a.jsonl", ["gm", "three &amp; whole words", "日本語 で 書く\u2028こと"])
    _, output, _ = tweetbot("inspect", path, "--handle", "me", "-o", "json", "--kept", tmp_path / "kept.jsonl")
    kept = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().split("\n")[:-1]]
    assert kept == ["three & whole words", "日本語 で 書く こと"]
    assert json.loads(output)["sha256"] == hashlib.sha256("\n".join(kept).encode()).hexdigest()


@pytest.mark.parametrize(("count", "enough", "advised"), [(50, False, True), (200, True, True), (1000, True, False)])
def test_inspect_tells_whether_it_would_be_enough(tweetbot, tmp_path, count, enough, advised):
    path = make_jsonl(tmp_path / "a.jsonl", make_sentences(count))
    facts = json.loads(tweetbot("inspect", path, "--handle", "me", "-o", "json")[1])
    assert (facts["enough"], facts["advice"] is not None) == (enough, advised)


@pytest.mark.parametrize(("count", "hinted"), [(100, False), (400, True)])
def test_inspect_names_the_option_with_which_writing_without_spaces_would_be_enough(tweetbot, tmp_path, count, hinted):
    path = make_jsonl(
        tmp_path / "a.jsonl", [f"今日は朝から雨が降っていました。その{number}" for number in range(count)]
    )
    facts = json.loads(tweetbot("inspect", path, "--handle", "me", "-o", "json")[1])
    assert (facts["short"], facts["kept"], facts["enough"]) == (count, 0, False)
    assert facts["advice"].startswith("0 posts with 0 characters are left after cleaning; at least 6,000 ")
    hint = "; with spec.cleaning.unspacedScripts: characters there would be enough"
    assert facts["advice"].endswith(hint) == hinted


def test_inspect_reads_the_columns_that_are_named(tweetbot, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("nr,who,says\n1,me,three whole words\n2,you,not my own words\n")
    options = ("--column", "text=says", "--column", "handle=who", "-o", "json")
    facts = json.loads(tweetbot("inspect", path, "--handle", "me", *options)[1])
    assert (facts["shape"], facts["downloaded"], facts["kept"]) == ("columns", 1, 1)


@pytest.mark.parametrize("pair", ["says", "words=says", "id=nr"])
def test_inspect_tells_how_columns_are_named(tweetbot, tmp_path, pair):
    path = make_jsonl(tmp_path / "a.jsonl", ["three whole words"])
    code, _, errors = tweetbot("inspect", path, "--handle", "me", "--column", pair)
    assert code == 64
    assert "part=column" in errors


def test_inspect_of_ids_alone_says_to_hydrate_them(tweetbot, tmp_path):
    (tmp_path / "ids.txt").write_text("1234567890123456789\n1234567890123456790\n")
    code, output, errors = tweetbot("inspect", tmp_path / "ids.txt", "--handle", "me", "--kept", tmp_path / "kept")
    assert (code, output) == (66, "")
    assert errors.startswith("IdsWithoutText: ids.txt holds ids without text; hydrate first")
    assert not (tmp_path / "kept").exists()


def test_inspect_of_a_missing_file_is_told(tweetbot, tmp_path):
    assert tweetbot("inspect", tmp_path / "none", "--handle", "me")[0] == 66


def test_a_job_ends_with_the_code_of_its_bots(tmp_path):
    """A Job in a process of its own, as in a pod: its one bot's store does not exist."""
    config = make_run_config(output={"bucket": "bots", "prefix": "run", "endpoint": "http://127.0.0.1:1"})
    manifest = RunManifest(job_kind="prepare", job_name="job", bots=[config])
    (tmp_path / "manifest.json").write_text(json.dumps(manifest.to_wire()))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "AWS_MAX_ATTEMPTS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "from tweetbot_trainer.cli import main; main()", "job", "train",
         "--manifest", tmp_path / "manifest.json"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 64
    assert "is for a prepare Job" in done.stderr
