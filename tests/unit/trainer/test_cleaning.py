import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweetbot_api.spec.cleaning import Cleaning
from tweetbot_trainer.cleaning import clean_posts, clean_text
from tweetbot_trainer.post_rules import PostRules
from tweetbot_trainer.sources.base import Post


@pytest.mark.parametrize(
    ("raw", "want_text"),
    [
        ("you &amp; me &lt;3", "you & me <3"),
        ("twice &amp;amp; is decoded once", "twice &amp; is decoded once"),
        ("&amp;lt; becomes a bracket, as & comes first", "< becomes a bracket, as & comes first"),
        ("other entities &quot;stay&quot;", "other entities &quot;stay&quot;"),
        ("look at this https://t.co/abc", "look at this"),
        ("https://t.co/abc look at this", "look at this"),
        ("look http://t.co/abc at this", "look at this"),
        ("look\nhttps://t.co/abc at this", "look at this"),
        ("look\nhttps://t.co/abc\nat this", "look at this"),
        ("look(https://t.co/abc)at", "look("),
        ("a bare https: stays", "a bare https: stays"),
        ("two  spaces\tand\n\nlines ", "two spaces and lines"),
        ("@you and #tags stay", "@you and #tags stay"),
        ("HTTPS://T.CO/ABC is no link", "HTTPS://T.CO/ABC is no link"),
    ],
)
def test_text_is_cleaned_as_huggingtweets_cleans_it(raw, want_text):
    assert want_text == clean_text(raw)


@pytest.mark.parametrize(
    ("text", "want_short"),
    [
        ("", True),
        ("two words", True),
        ("three whole words", False),
        ("two words @friend", True),
        ("two words #topic", True),
        ("two words seehttp", True),
        ("two words HTTPish", True),
        ("three whole words @friend #topic", False),
    ],
)
def test_a_text_with_fewer_than_three_words_of_its_own_is_short(text, want_short):
    assert want_short == PostRules(Cleaning()).is_short(text)


def test_replies_and_quotes_are_learned_from():
    posts = [post("an answer of mine", "reply"), post("a comment of mine", "quote")]
    assert clean_posts("me", None, posts).texts == ["an answer of mine", "a comment of mine"]


pieces = st.sampled_from(["http:", "https:", " ", "\n", "\t", "a", "/", "x.y", "&amp;", "&lt;", "@b", "#c", "\u3000"])
raw_texts = st.lists(pieces, max_size=30).map("".join)


@given(raw_texts)
def test_clean_text_holds_no_white_space_but_single_spaces(raw):
    assert clean_text(raw) == " ".join(clean_text(raw).split())


@given(st.lists(st.tuples(raw_texts, st.sampled_from(["original", "reply", "quote", "repost"]))))
def test_every_post_is_counted_once(items):
    counts = clean_posts("me", None, [post(text, kind) for text, kind in items]).counts
    assert len(items) == counts.downloaded == counts.retweets + counts.short + counts.filtered + counts.kept


def test_a_post_of_many_half_links_is_cleaned_in_linear_time():
    assert clean_text("http:" * 200_000) == ""


def post(text, kind="original"):
    return Post(id="1", handle="me", text=text, kind=kind, source="test")
