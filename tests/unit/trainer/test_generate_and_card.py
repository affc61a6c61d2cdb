import io
import json
import sys

import pytest
from huggingface_hub import ModelCard
from PIL import Image

from tests.factories import make_run_config
from tests.unit.trainer.language_model import save_tiny_gpt2
from tweetbot_api.status import Dataset, HandleCounts
from tweetbot_trainer import cli
from tweetbot_trainer.card import CardFacts
from tweetbot_trainer.generate import Sample
from tweetbot_trainer.picture import SIZE


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


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """The folder of a finished run, with a model of random weights."""
    folder = tmp_path_factory.mktemp("run")
    save_tiny_gpt2(folder / "model")
    settings = {"min_length": 2, "max_length": 12, "temperature": 1.0, "top_p": 0.95}
    (folder / "model" / "generation_config.json").write_text(json.dumps(settings))
    (folder / "model" / "avatars").mkdir()
    Image.new("RGB", (184, 184), "green").save(folder / "model" / "avatars" / "thisisaito.png")
    facts = CardFacts(
        config=make_run_config(),
        data=[HandleCounts(handle="thisisaito", downloaded=596, retweets=102, short=112, kept=382)],
        dataset=Dataset(characters=10, tokens=5, sha256="0" * 64),
        language="en",
        avatars=["thisisaito"],
        evaluation=None,
        samples=[Sample(prompt="My dream is", posts=["My dream is tea. 🥚"])],
        wandb=None,
        num_steps=2,
        device="CPU",
        arithmetic="fp32",
    )
    (folder / "card.json").write_text(json.dumps(facts.to_wire()))
    lines = [{"step": 0, "heldOutLoss": 4.0}, {"step": 5, "loss": 3.5}, {"step": 10, "loss": 3.0}]
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def upload(folder, s3):
    for path in folder.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), "bots", f"team/run/{path.relative_to(folder).as_posix()}")


def test_a_bot_writes_the_same_posts_from_the_same_seed(tweetbot, run_folder):
    first, again, other = (
        tweetbot("generate", run_folder, "--prompt", "note", "--count", 4, "--seed", seed, "-o", "json")
        for seed in (1, 1, 2)
    )
    assert (first[0], first[1]) == (0, again[1])
    result = json.loads(first[1])
    assert (result["model"], result["seed"], result["samples"][0]["prompt"]) == (str(run_folder), 1, "note")
    posts = result["samples"][0]["posts"]
    assert (len(posts), all(post.startswith("note") for post in posts)) == (4, True)
    assert json.loads(other[1])["samples"] != result["samples"]


def test_text_is_one_post_a_line_for_each_prompt_in_turn(tweetbot, run_folder):
    code, output, errors = tweetbot(
        "generate", run_folder / "model", "--prompt", "note", "--prompt", "moon", "--count", 3
    )
    lines = output.splitlines()
    assert (code, len(lines)) == (0, 6)
    assert [line[:4] for line in lines] == ["note"] * 3 + ["moon"] * 3
    assert "seed" in errors


def test_a_bot_in_s3_writes_too(tweetbot, run_folder, s3, s3_endpoint):
    upload(run_folder, s3)
    code, output, _ = tweetbot("generate", "s3://bots/team/run", "--endpoint", s3_endpoint, "--count", 2, "--seed", 1)
    assert code == 0
    assert output == tweetbot("generate", run_folder, "--count", 2, "--seed", 1)[1]


@pytest.mark.parametrize(
    ("address", "arguments", "want_code", "message"),
    [
        ("/nowhere", (), 64, "there is no folder /nowhere"),
        ("s3://", (), 64, "names no bucket"),
        (None, (), 64, "holds no model"),
        ("run", ("--prompt", "word " * 20), 64, "maxLength"),
        ("run", ("--prompt", "x" * 300), 64, "280"),
        ("run", ("--count", "0"), 2, "count"),
    ],
)
def test_what_cannot_be_written_is_refused_with_the_reason(
    tweetbot, run_folder, tmp_path, address, arguments, want_code, message
):
    place = {None: tmp_path, "run": run_folder}.get(address, address)
    code, output, errors = tweetbot("generate", place, *arguments)
    assert (code, output) == (want_code, "")
    assert message in errors


def check_showcase(folder):
    card = ModelCard.load(folder / "README.md")
    assert card.data.tags[0] == "huggingtweets"
    assert "| Tweets kept | 382 |" in card.text
    assert "avatars/thisisaito.png" in card.text
    for name in ("predictions.png", "loss.png", "avatars/thisisaito.png"):
        with Image.open(folder / name) as image:
            assert image.size == {"predictions.png": SIZE, "loss.png": (1080, 540)}.get(name, (184, 184))


def test_a_card_is_written_anew_from_a_runs_folder(tweetbot, run_folder, tmp_path):
    before = {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}
    code, output, _ = tweetbot("card", run_folder, "--output", tmp_path / "card")
    assert code == 0
    assert "README.md" in output
    check_showcase(tmp_path / "card")
    assert before == {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}


def test_a_card_is_written_anew_from_s3(tweetbot, run_folder, tmp_path, s3, s3_endpoint):
    upload(run_folder, s3)
    assert tweetbot("card", "s3://bots/team/run/", "--endpoint", s3_endpoint, "--output", tmp_path / "card")[0] == 0
    check_showcase(tmp_path / "card")


@pytest.mark.parametrize("content", [None, b"{}", b"\xff"])
def test_a_folder_without_a_runs_facts_is_refused(tweetbot, tmp_path, content):
    if content is not None:
        (tmp_path / "card.json").write_bytes(content)
    code, _, errors = tweetbot("card", tmp_path, "--output", tmp_path / "card")
    assert (code, "card.json" in errors) == (64, True)
    assert not (tmp_path / "card").exists()


def test_an_avatar_in_the_card_is_the_stored_one(tweetbot, run_folder, tmp_path):
    tweetbot("card", run_folder, "--output", tmp_path)
    with Image.open(io.BytesIO((tmp_path / "predictions.png").read_bytes())) as image:
        assert image.convert("RGB").getpixel((118, 104)) == (0, 128, 0)
