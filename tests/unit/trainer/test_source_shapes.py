"""Each shape of posts, with the traps of its kind, gives exactly the posts that a person would find in it."""

import pytest

from tests.post_files import CASES, HANDLE, TIME
from tweetbot_trainer.cleaning import clean_text
from tweetbot_trainer.inspection import inspect_file
from tweetbot_trainer.raw_posts import RawPosts
from tweetbot_trainer.sources.files import FilesSource


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    return request.param


def test_every_shape_gives_its_posts_in_order(case, tmp_path):
    source = FilesSource({HANDLE: [case.write(tmp_path)]})
    raw = RawPosts(tmp_path / "raw" / "posts.jsonl")
    raw.write(source.posts(HANDLE))
    posts = list(raw.read(HANDLE))

    assert [(post.kind, post.text) for post in posts] == list(case.want)
    assert {post.source for post in posts} == {case.shape}
    assert {post.handle for post in posts} == {HANDLE}
    assert posts[0].lang == case.lang
    assert posts[0].created_at == (TIME if case.has_time else None)


def test_inspect_counts_what_every_shape_gives(case, tmp_path):
    facts = inspect_file(case.write(tmp_path), HANDLE, kept_file=tmp_path / "kept")
    own = [clean_text(text) for kind, text in case.want if kind != "repost"]
    kept = [text for text in own if sum(not set("@#") & set(word) for word in text.split()) >= 3]

    assert (facts.shape, facts.downloaded) == (case.shape, len(case.want))
    assert (facts.retweets, facts.short, facts.kept) == (len(case.want) - len(own), len(own) - len(kept), len(kept))
    assert facts.characters == sum(map(len, kept))
