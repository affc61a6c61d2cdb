"""Of several files or answers, each post counts once, and of an edited post its last version."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tweetbot_trainer.raw_posts import RawPosts
from tweetbot_trainer.sources.base import Post


def make_post(post_id, text="words", **fields):
    return Post(id=post_id, handle="me", text=text, source="test", **fields)


def kept(tmp_path, *posts):
    raw = RawPosts(tmp_path / "raw" / "me.jsonl")
    raw.write(posts)
    return [(post.id, post.text) for post in raw.read("me")]


def test_a_post_comes_back_as_it_was(tmp_path):
    post = Post(
        id="at://me/1", handle="me", text="a\nb\u2028c 🥚", kind="reply", lang="ja", source="bluesky",
        created_at=datetime(2026, 1, 5, 8, 36, 41, 500, UTC), first_version="at://me/0",
    )  # fmt: skip
    raw = RawPosts(tmp_path / "me.jsonl")
    raw.write([post, make_post(None)])
    assert list(raw.read("me")) == [post, make_post(None)]
    assert raw.shapes == {"bluesky", "test"}


def test_the_first_of_repeated_posts_counts(tmp_path):
    posts = [make_post("1", "first"), make_post("x"), make_post("1", "again"), make_post("x", "again")]
    assert kept(tmp_path, *posts) == [("1", "first"), ("x", "words")]


def test_posts_without_an_identifier_are_never_repeats(tmp_path):
    assert len(kept(tmp_path, make_post(None), make_post(None))) == 2


def test_the_last_version_counts_in_whatever_order_they_come(tmp_path):
    versions = [make_post("99", "one"), make_post("101", "three", first_version="99"),
                make_post("100", "two", first_version="99")]  # fmt: skip
    for _ in versions:
        versions.append(versions.pop(0))
        assert kept(tmp_path, make_post("5"), *versions) == [("5", "words"), ("101", "three")]


def test_a_version_that_was_fetched_before_the_edit_is_outdated(tmp_path):
    assert kept(tmp_path, make_post("99", "before"), make_post("100", "edited", first_version="99")) == [
        ("100", "edited")
    ]


def test_an_only_version_counts_though_others_are_named(tmp_path):
    assert kept(tmp_path, make_post("100", first_version="99"), make_post("101")) == [
        ("100", "words"),
        ("101", "words"),
    ]


@given(st.lists(st.tuples(st.integers(1, 9), st.one_of(st.none(), st.integers(1, 9)))))
def test_what_is_kept_does_not_repeat_and_loses_no_post(tmp_path_factory, items):
    posts = [make_post(str(number), first_version=str(first) if first else None) for number, first in items]
    found = [number for number, _ in kept(tmp_path_factory.mktemp("raw"), *posts)]
    assert len(set(found)) == len(found)
    assert bool(found) == bool(posts)
