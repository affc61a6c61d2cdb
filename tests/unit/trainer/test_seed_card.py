"""The seed of this project, a model card of huggingtweets, reproduced from an archive of the same size."""

import re

import pytest

from tests.factories import make_archive, make_base_model, make_run_config, make_sentences
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.card import CardFacts, render_card
from tweetbot_trainer.generate import Sample
from tweetbot_trainer.prepare import prepare
from tweetbot_trainer.progress import NullReporter
from tweetbot_trainer.tracking import NullTracker

RETWEETS = ["RT @other: theirs, number {}", "RT @other_1: {} https://t.co/a{}", "RT @x: gm {}"]
SHORT = [
    "gm {}", "https://t.co/{}", "@friend thanks {}", "nice\n\nhttps://t.co/{}", "#gm #frens #wagmi {}", "one &amp;{}",
    "so {} @a @b @c #d", "今日はとても楽しい一日でした{}", "🥚{}", "http://a.b/{} https://t.co/{} two",
]  # fmt: skip
KEPT = [
    "this is thought {} of mine", "RT if you like thought {}", "a link ends this thought https://t.co/{}",
    "@friend I answer you with {}", "fish &amp; chips {}", "rt @other: my own words {}", "a\nb\tc {}",
]  # fmt: skip


def texts(shapes, count):
    return [shapes[number % len(shapes)].replace("{}", str(number)) for number in range(count)]


@pytest.fixture
def outcome(tmp_path):
    """What the prepare half makes of an archive of 596 posts."""
    posts = texts(RETWEETS, 102) + texts(SHORT, 112) + texts(KEPT, 182) + make_sentences(200)
    archive = make_archive(tmp_path / "thisisaito.zip", sorted(posts, key=lambda text: text[::-1]))
    config = make_run_config(
        source={"archive": {"uri": archive.as_uri()}},
        baseModel={"name": make_base_model(tmp_path / "small").as_uri()},
    )
    return prepare(config, LocalStore(tmp_path / "store"), NullReporter(), NullTracker(), tmp_path / "work")


def test_596_tweets_are_102_retweets_112_short_and_382_kept_on_the_card(outcome):
    card = render_card(
        CardFacts(
            config=make_run_config(),
            data=outcome.data,
            dataset=outcome.dataset,
            language="en",
            evaluation=None,
            samples=[Sample(prompt="My dream is", posts=["My dream is tea."])],
            wandb=None,
            num_steps=1,
            device="CPU",
            arithmetic="fp32",
        )
    )
    assert re.findall(r"^\| (Tweets .*|Retweets|Short tweets|Left .*) \| (\d+) \|$", card, re.MULTILINE) == [
        ("Tweets downloaded", "596"), ("Retweets", "102"), ("Short tweets", "112"), ("Tweets kept", "382"),
    ]  # fmt: skip
    assert "| Data | aito.eth |" in card
    assert "Little text: only " in card
