"""Whether there is something new to learn."""

import pytest

from tests.factories import make_run_config
from tweetbot_trainer.dataset import write_posts
from tweetbot_trainer.news import compare_with_former, count_new_posts


@pytest.mark.parametrize(
    ("former", "posts", "want"),
    [
        ({"ann": ["a", "b"]}, {"ann": ["b", "a"]}, 0),
        ({"ann": ["a", "b"]}, {"ann": ["b", "c", "d"]}, 2),
        ({"ann": ["a"]}, {"ann": ["a", "a"]}, 1),
        ({"ann": ["a"]}, {"ann": ["a"], "ben": ["a"]}, 1),
        ({"ann": ["a", "b"]}, {"ann": []}, 0),
    ],
    ids=["the same in another order", "two more, one gone", "said again", "another handle", "all gone"],
)
def test_new_posts_are_counted(former, posts, want):
    assert count_new_posts(former, posts) == want


def make_config(endpoint, min_new_posts=2):
    return make_run_config(
        handles=["ann"],
        output={"bucket": "bots", "prefix": "bots/ann/second", "endpoint": endpoint},
        former={"uri": "s3://bots/bots/ann/first", "minNewPosts": min_new_posts},
    )


@pytest.fixture
def former_dataset(s3, tmp_path):
    path = tmp_path / "posts.jsonl"
    with path.open("wb") as file:
        write_posts({"ann": ["one", "two"]}, file)
    s3.upload_file(str(path), "bots", "bots/ann/first/dataset/posts.jsonl")


@pytest.mark.usefixtures("former_dataset")
def test_too_little_new_ends_the_run(s3_endpoint):
    outcome = compare_with_former(make_config(s3_endpoint), {"ann": ["one", "two", "three"]})

    assert outcome.unchanged.new_posts == 1


@pytest.mark.usefixtures("former_dataset")
def test_enough_new_is_trained_on(s3_endpoint):
    assert compare_with_former(make_config(s3_endpoint), {"ann": ["three", "four"]}) is None


def test_a_former_dataset_that_is_gone_stops_nothing(s3, s3_endpoint):
    assert compare_with_former(make_config(s3_endpoint), {"ann": ["one"]}) is None
