import os
import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.factories import make_run_config, make_sentences
from tweetbot_api.status import Dataset, HandleCounts, WandbRuns
from tweetbot_trainer.card import CardFacts, render_card
from tweetbot_trainer.evaluate import make_evaluation
from tweetbot_trainer.generate import Sample
from tweetbot_trainer.safe_text import escape_markdown, printable
from tweetbot_trainer.text_measures import add_writing

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
        "dataset": Dataset(
            characters=31_450, tokens=7_812, sha256="0" * 64, warning="only 31,450 characters are left after cleaning"
        ),
        "language": "en",
        "avatars": ["thisisaito"],
        "evaluation": add_writing(make_evaluation(3.21456, 4.01234), make_sentences(20), make_sentences(60), seed=7),
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
            training={
                "evalFraction": 0,
                "epochs": 1,
                "method": "lora",
                "gradientAccumulationSteps": 4,
                "deepspeed": {"zeroStage": 2},
            },
            cleaning={"language": "ja", "unspacedScripts": "characters", "denyTerms": ["spam", "ads"]},
            huggingFace={"repo": "team/grace-ada"},
        ),
        data=[
            HandleCounts(handle="grace", display_name=HOSTILE, downloaded=10, retweets=1, short=2, filtered=1, kept=6),
            HandleCounts(handle="_ada_", downloaded=20, retweets=3, short=4, kept=13),
        ],
        dataset=Dataset(characters=1_000_000, tokens=250_000, sha256="0" * 64),
        language="ja",
        avatars=[],
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


def test_the_hub_reads_the_front_matter(tmp_path):
    (tmp_path / "README.md").write_text(render_card(seed_facts()), encoding="utf-8")
    card = ModelCard.load(tmp_path / "README.md")
    data = card.data
    assert (data.language, data.license, data.library_name, data.pipeline_tag) == (
        "en", "mit", "transformers", "text-generation",
    )  # fmt: skip
    assert (data.base_model, data.tags) == ("gpt2", ["huggingtweets", "tweetbot"])
    assert (data.model_name, data.widget) == ("thisisaito", [{"text": "My dream is"}])
    assert {result.metric_type: result.metric_value for result in data.eval_results} == {
        "perplexity": make_evaluation(3.21456, 0).perplexity,
        "loss": 3.2146,
        "memorization": 1.0,
    }
    assert {result.task_type for result in data.eval_results} == {"text-generation"}


def test_the_front_matter_survives_the_hubs_own_rewriting(tmp_path):
    card = ModelCard(render_card(seed_facts()))
    card.save(tmp_path / "README.md")
    again = ModelCard.load(tmp_path / "README.md")
    assert again.data.to_dict() == card.data.to_dict()
    assert again.text == card.text


def test_a_card_on_the_hub_has_its_picture_as_thumbnail():
    data = ModelCard(render_card(cyborg_facts())).data
    assert data.thumbnail == "https://huggingface.co/team/grace-ada/resolve/main/predictions.png"
    assert (data.language, data.license) == ("ja", "other")


SECTIONS = [
    "How it works", "Training data", "Training procedure", "Evaluation", "What it writes", "How to use",
    "Limitations and bias", "About",
]  # fmt: skip


@pytest.mark.parametrize("facts", [seed_facts(), cyborg_facts()])
def test_every_section_of_the_seeds_card_is_there(facts):
    assert re.findall("^## (.+)$", render_card(facts), re.MULTILINE) == SECTIONS


def test_both_wandb_runs_are_linked_where_the_work_is_told_and_where_it_is_used():
    text = render_card(seed_facts())
    assert text.count("(https://wandb.ai/wandb/huggingtweets/runs/1hyn9w99)") == 2
    assert text.count("(https://wandb.ai/wandb/huggingtweets/runs/uecmgl4h)") == 2
    assert "wandb.ai" not in render_card(cyborg_facts())


def test_a_card_tells_what_trained_the_bot():
    alone, together = render_card(seed_facts()), render_card(seed_facts(engine="fused"))
    assert (alone.count("DeepSpeed"), alone.count("several bots at once")) == (2, 0)
    assert (together.count("DeepSpeed"), together.count("several bots at once")) == (0, 2)


def test_facts_of_before_that_was_told_are_those_of_deepspeed():
    stored = {name: value for name, value in seed_facts().to_wire().items() if name != "engine"}
    assert render_card(CardFacts.model_validate(stored)) == render_card(seed_facts())


@pytest.mark.parametrize("facts", [seed_facts(), cyborg_facts()])
def test_a_card_can_be_rendered_again_from_its_stored_facts(facts):
    assert render_card(CardFacts.model_validate(facts.to_wire())) == render_card(facts)


def test_a_base_model_from_elsewhere_is_named_without_its_place():
    card = render_card(cyborg_facts())
    assert "base_model" not in ModelCard(card).data.to_dict()
    assert "s3://" not in card
    assert "smollm2-135m" in card


def test_names_and_posts_add_no_markup():
    text = render_card(cyborg_facts()).split("---\n", 2)[2]
    for forbidden in ("<script", "\u202e", "49", "\n# head", "| <", " *bold*", "@_ada_"):
        assert forbidden not in text, forbidden


MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def structure(card):
    """Return the card's elements with their attributes, and its texts, as a Markdown renderer sees them."""
    front_matter, text = card.removeprefix("---\n").split("\n---\n", 1)
    elements, texts = [], []
    for block in MARKDOWN.parse(text):
        elements.append((block.type, block.tag, block.content if block.type == "html_block" else ""))
        for token in block.children or []:
            if token.type == "text":
                texts.append(token.content)
            elif token.type != "text_special":
                elements.append((token.type, tuple(token.attrs.items())))
    return elements, "".join(texts), sorted(yaml.safe_load(front_matter))


FRAGMENTS = [
    "<script>", "</div>", "<!--", "![x](y)", "[x](javascript:y)", "](z)", "**", "__", "~~", "`", "```", "|", "\n",
    "\n\n", "# ", "- ", "1. ", "123) ", "> ", "---", "===", "$$", "\\(", "\\[", "\\", "{{ 7*7 }}", "{% raw %}", "{#",
    "www.x.y", "https://x.y", "a@b.c", "@ada", "&lt;", "&#42;", "<https://x.y>", "\u202e", "\u200b", "\x00", "🥚",
    "今日は", "\t", "    ", ": x", "!", "*", "_", "'", '"', "%", "\x85", "\u2028",
]  # fmt: skip
hostile_texts = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=12).map(
    lambda parts: "x" + "".join(parts)
) | st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=6).map("".join).filter(printable)


def card_with(text):
    return render_card(
        seed_facts(
            config=make_run_config(generation={"prompts": [text]}),
            data=[
                HandleCounts(handle="ada", display_name=text, downloaded=4, retweets=1, short=1, kept=2),
                HandleCounts(handle="grace", downloaded=4, retweets=1, short=1, kept=2),
            ],
            dataset=Dataset(characters=1, tokens=1, sha256="0" * 64, warning=text),
            samples=[Sample(prompt=text, posts=[text, text])],
            wandb=None,
        )
    )


PLAIN = structure(card_with("plain"))


@given(hostile_texts)
def test_no_text_adds_an_element_an_address_or_a_field(text):
    elements, texts, fields = structure(card_with(text))
    plain_elements, _, plain_fields = PLAIN
    assert elements == plain_elements
    assert fields == plain_fields
    assert texts.count(printable(text)) >= 5


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
        ("123) one", r"123\) one"),
        (r"\(x\) costs $1", "&#92;(x&#92;) costs &#36;1"),
        ("# one", r"\# one"),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("https://x.y www.x.y", r"https\://x.y www\.x.y"),
    ],
)
def test_only_what_would_be_markup_is_escaped(text, want):
    assert escape_markdown(text) == want
