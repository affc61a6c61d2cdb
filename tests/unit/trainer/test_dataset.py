import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import make_sentences
from tweetbot_api.conditions import Reason
from tweetbot_api.names import END_OF_TEXT
from tweetbot_trainer.dataset import (
    build_blocks,
    check_enough_text,
    num_characters,
    posts_from_jsonl,
    split,
    training_text,
    write_posts,
)
from tweetbot_trainer.errors import TrainerError

POSTS = make_sentences(50)
EPOCHS = 4


def test_every_epoch_holds_every_post_once():
    texts = training_text({"me": POSTS}, EPOCHS, seed=1).split(END_OF_TEXT)[1:-1]
    epochs = [texts[index * 50 : (index + 1) * 50] for index in range(EPOCHS)]
    assert [sorted(POSTS)] * EPOCHS == [sorted(epoch) for epoch in epochs]
    assert len({tuple(epoch) for epoch in epochs}) == EPOCHS, "each epoch has an order of its own"


def test_the_text_begins_and_ends_with_the_separator():
    text = training_text({"me": ["one two three"]}, 2, seed=1)
    assert f"{END_OF_TEXT}one two three{END_OF_TEXT}one two three{END_OF_TEXT}" == text


def test_the_same_seed_gives_the_same_text_and_another_seed_another():
    assert training_text({"me": POSTS}, EPOCHS, seed=1) == training_text({"me": POSTS}, EPOCHS, seed=1)
    assert training_text({"me": POSTS}, EPOCHS, seed=1) != training_text({"me": POSTS}, EPOCHS, seed=2)


def test_a_handle_with_less_text_is_repeated_to_the_longest_in_every_epoch():
    short = [f"small {number} words" for number in range(5)]
    text = training_text({"long": POSTS, "short": short}, EPOCHS, seed=1)
    num_short = sum(len(item) for item in text.split(END_OF_TEXT) if item.startswith("small"))
    num_wanted = EPOCHS * num_characters(POSTS)
    assert num_wanted <= num_short < num_wanted + EPOCHS * max(map(len, short))


def test_a_handle_without_posts_is_left_out_of_the_text():
    assert training_text({"me": POSTS, "silent": []}, 1, seed=1) == training_text({"me": POSTS}, 1, seed=1)


def test_held_out_posts_are_a_share_of_each_handles_posts_and_learned_by_nobody():
    parts = split({"a": POSTS, "b": POSTS[:9]}, 0.1, seed=3)
    assert [len(texts) for texts in parts.held_out.values()] == [5, 1]
    for handle, texts in {"a": POSTS, "b": POSTS[:9]}.items():
        assert sorted(texts) == sorted(parts.train[handle] + parts.held_out[handle])


def test_nothing_is_held_out_if_nothing_is_to_be_measured():
    assert split({"a": POSTS}, 0, seed=3).held_out == {"a": []}


@given(st.integers(0, 40), st.sampled_from([0, 0.01, 0.1, 0.5]), st.integers(0, 2**31 - 1))
def test_a_split_keeps_order_loses_nothing_and_leaves_something_to_learn(num_posts, fraction, seed):
    texts = [str(number) for number in range(num_posts)]
    parts = split({"a": texts}, fraction, seed)
    assert texts == sorted(parts.train["a"] + parts.held_out["a"], key=int)
    assert sorted(parts.train["a"], key=int) == parts.train["a"]
    assert bool(parts.train["a"]) == bool(texts)


def test_blocks_are_full_and_the_tail_is_dropped():
    assert build_blocks(range(8), 3) == [[0, 1, 2], [3, 4, 5]]


def test_less_than_one_block_names_the_block_size():
    with pytest.raises(TrainerError, match=r"spec\.training\.blockSize") as caught:
        build_blocks(range(8), 9)
    assert caught.value.reason == Reason.TOO_LITTLE_TEXT


@pytest.mark.parametrize(
    ("num_characters", "want"),
    [(5_999, "refused"), (6_000, "warned"), (39_999, "warned"), (40_000, "plenty")],
)
def test_the_limits_on_text_are_those_of_huggingtweets(num_characters, want):
    half = (num_characters - len(END_OF_TEXT)) // 2
    posts = {"a": ["x" * half], "b": ["y" * (num_characters - len(END_OF_TEXT) - half)]}
    assert verdict_on(posts) == want


def verdict_on(posts):
    try:
        return "warned" if check_enough_text(posts) else "plenty"
    except TrainerError as error:
        return "refused" if error.reason == Reason.TOO_LITTLE_TEXT else error.reason


@given(st.lists(st.text()), st.lists(st.text()))
def test_stored_posts_are_read_back_as_they_were(first, second):
    posts = {"a": first, "b": second}
    try:
        file = io.BytesIO()
        write_posts(posts, file)
    except UnicodeEncodeError:
        return  # half a surrogate pair; the sources replace those
    assert posts == posts_from_jsonl(file.getvalue(), ["a", "b"])
