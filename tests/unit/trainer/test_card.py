import os
import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from tests.factories import make_run_config
from tweetbot_api.status import HandleCounts, WandbRuns
from tweetbot_trainer.card import CardFacts, render_card
from tweetbot_trainer.evaluate import make_evaluation
from tweetbot_trainer.generate import Sample
from tweetbot_trainer.safe_text import escape_markdown, printable

GOLDEN = Path(__file__).parents[2] / "golden" / "card"
HOSTILE = "*bold* | <script>alert('x')</script> [link](javascript:x) \u202e`code` {{ 7*7 }}\n# head"


def seed_facts(**changes):
    """The seed's bot, with its numbers."""
    facts = {
        "config": make_run_config(),
        "data": [
            HandleCounts(
                handle="thisisaito", display_name="aito.eth 🥚❤️", downloaded=596, retweets=102, short=112, kept=382
            )
        ],
        "evaluation": make_evaluation(3.21456, 4.01234),
        "samples": [Sample(prompt="My dream is", posts=["My dream is to sleep.", "My dream is 1 * 2 = 2_000."])],
        "wandb": WandbRuns(
            preprocess_url="https://wandb.ai/wandb/huggingtweets/runs/1hyn9w99",
            train_url="https://wandb.ai/wandb/huggingtweets/runs/uecmgl4h",
        ),
        "num_steps": 48,
        "device": "NVIDIA L4",
        "arithmetic": "bf16",
    }
    return CardFacts(**facts | changes)


def cyborg_facts():
    return seed_facts(
        config=make_run_config(
            handles=["grace", "_ada_"],
            baseModel={"name": "s3://models/smollm2-135m"},
            training={"evalFraction": 0, "epochs": 1},
        ),
        data=[
            HandleCounts(handle="grace", display_name=HOSTILE, downloaded=10, retweets=1, short=2, kept=7),
            HandleCounts(handle="_ada_", downloaded=20, retweets=3, short=4, kept=13),
        ],
        evaluation=None,
        samples=[Sample(prompt="", posts=["1. a list", "- a list", HOSTILE])],
        wandb=None,
    )


@pytest.mark.parametrize(("name", "facts"), [("seed", seed_facts()), ("cyborg", cyborg_facts())])
def test_the_card_is_the_golden_one(name, facts):
    path = GOLDEN / f"{name}.md"
    card = render_card(facts)
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(card, encoding="utf-8")
    assert card == path.read_text(encoding="utf-8"), "UPDATE_GOLDEN=1 writes the file anew"


def test_the_hub_reads_the_front_matter():
    data = ModelCard(render_card(seed_facts())).data
    assert (data.language, data.library_name, data.pipeline_tag) == ("en", "transformers", "text-generation")
    assert (data.base_model, data.tags) == ("gpt2", ["huggingtweets", "tweetbot"])
    assert data.widget == [{"text": "My dream is"}]
    assert {result.metric_type: result.metric_value for result in data.eval_results} == {
        "perplexity": make_evaluation(3.21456, 0).perplexity,
        "loss": 3.2146,
    }


def test_a_base_model_from_elsewhere_is_named_without_its_place():
    card = render_card(cyborg_facts())
    assert "base_model" not in ModelCard(card).data.to_dict()
    assert "s3://" not in card
    assert "smollm2-135m" in card


def test_names_and_posts_add_no_markup():
    text = render_card(cyborg_facts()).split("---\n", 2)[2]
    assert re.findall(r"(?<!\\)\]\(([a-z]+)", text) == ["https"] * 2
    for forbidden in ("<script", "\u202e", "49", "\n# head", "| <", " *bold*", "@_ada_"):
        assert forbidden not in text, forbidden


def test_front_matter_is_data_whatever_the_prompt():
    prompt = 'x\n---\ninjected: true\n"'
    card = render_card(seed_facts(config=make_run_config(generation={"prompts": [prompt]})))
    front_matter = yaml.safe_load(card.split("\n---\n\n")[0].removeprefix("---\n"))
    assert front_matter["widget"] == [{"text": prompt}]
    assert "injected" not in front_matter


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://x.y/) [a](b", 'https://x.y/"><script>'])
def test_addresses_cannot_leave_their_link(url):
    text = render_card(seed_facts(wandb=WandbRuns(train_url=url)))
    assert "javascript:" not in text
    assert "<script>" not in text
    assert ") [a](b" not in text


def test_what_joins_emoji_stays_and_what_hides_text_goes():
    assert printable("a\u202eb\u2066c\x00\x1b[0m\ufffd\td\ne") == "abc[0m d e"
    assert printable("👩\u200d🚀 ❤️") == "👩\u200d🚀 ❤️"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("don't worry, it's 10:30 (really) - yes!", "don't worry, it's 10:30 (really) - yes!"),
        ("a_b*c|d", r"a\_b\*c\|d"),
        ("1. one", r"1\. one"),
        ("# one", r"\# one"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("https://x.y www.x.y", r"https\://x.y www\.x.y"),
    ],
)
def test_only_what_would_be_markup_is_escaped(text, want):
    assert escape_markdown(text) == want
