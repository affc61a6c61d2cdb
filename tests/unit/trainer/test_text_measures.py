import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import make_sentences
from tweetbot_trainer.evaluate import make_evaluation
from tweetbot_trainer.text_measures import (
    WRITING_ROWS,
    add_writing,
    distinct,
    duplicates,
    measure,
    memorization,
    num_words,
)

LEARNED = "the quick brown fox jumps over the lazy dog and sleeps"


def test_distinct_is_the_share_of_ngrams_that_differ():
    posts = [["a", "b", "a"], ["a", "b"]]
    assert distinct(posts, 1) == 0.4
    assert distinct(posts, 2) == pytest.approx(2 / 3, abs=1e-4)
    assert distinct([["a"], []], 2) == 0


@pytest.mark.parametrize(
    ("post", "is_memorized"),
    [
        (LEARNED, True),
        ("I say: THE quick, brown fox jumps over the lazy cat", True),
        ("quick brown fox jumps over the lazy cat", False),
        ("the quick brown fox naps, jumps over the lazy dog", False),
        ("", False),
    ],
)
def test_eight_learned_words_in_a_row_are_memorized(post, is_memorized):
    assert memorization([post], ["something else entirely", LEARNED]) == is_memorized


def test_words_of_two_learned_posts_do_not_add_up():
    assert memorization([LEARNED], ["the quick brown fox jumps", "over the lazy dog and sleeps"]) == 0


def test_writing_without_spaces_is_memorized_by_twice_as_many_letters():
    learned = ["私の夢は宇宙飛行士になることですから毎日頑張ります"]
    assert memorization(["僕の夢は宇宙飛行士になることですから"], learned) == 1
    assert memorization(["私の夢は宇宙飛行士になりたい"], learned) == 0


def test_memorization_and_duplicates_are_shares_of_the_bots_posts():
    posts = [LEARNED, "my own words here", "My own words, here!", "others"]
    assert memorization(posts, [LEARNED]) == 0.25
    assert duplicates(posts) == 0.25
    assert duplicates(["🥚", "🥚", "❤️"]) == pytest.approx(1 / 3, abs=1e-4)


def test_means_of_length_and_marks_are_per_post():
    writing = measure(["good #morning @ada 🥚👩\u200d🚀", "tea"], 2)
    assert (writing.posts, writing.hashtags, writing.mentions, writing.emoji) == (2, 0.5, 0.5, 1)
    assert (writing.words, writing.characters) == (2, (len("good #morning @ada 🥚👩\u200d🚀") + 3) / 2)


@pytest.mark.parametrize(("text", "want"), [("don't stop", 2), ("今日は", 1.5), ("今日 tea", 2), ("...", 0)])
def test_words_are_counted_in_any_writing(text, want):
    assert num_words(text) == want


def test_the_evaluation_keeps_its_losses_and_gains_the_writing():
    evaluation = add_writing(make_evaluation(3.0, 4.0), ["a b c", "a b d"], make_sentences(30), seed=1)
    assert (evaluation.loss, evaluation.base_loss, evaluation.memorization) == (3.0, 4.0, 0)
    assert (evaluation.bot.posts, evaluation.author.posts) == (2, 30)
    assert all(hasattr(evaluation.bot, field) for _, field in WRITING_ROWS)


def test_nothing_written_measures_nothing():
    assert add_writing(None, [], ["a"], seed=1) is None
    assert add_writing(None, ["a"], ["b"], seed=1).loss is None


texts = st.text(st.sampled_from("ab 今日\u0e01'#@.🥚"), max_size=40)


@given(st.lists(texts, max_size=6), st.lists(texts, max_size=6))
def test_shares_are_shares_whatever_is_written(posts, learned):
    for share in (memorization(posts, learned), duplicates(posts)):
        assert 0 <= share <= 1
    writing = measure(posts, len(posts))
    assert 0 <= writing.distinct1 <= 1
    assert 0 <= writing.distinct2 <= 1


@given(st.lists(st.sampled_from("abcd今日"), max_size=60), st.lists(st.sampled_from("abcd今日"), max_size=60))
def test_memorization_agrees_with_a_search_for_every_stretch_of_eight_words(post, learned):
    def weight(words):
        return sum(0.5 if word in "今日" else 1 for word in words)

    stretches = [post[start:end] for start in range(len(post)) for end in range(start + 1, len(post) + 1)]
    wanted = any(
        weight(stretch) >= 8 and stretch == learned[at : at + len(stretch)]
        for stretch in stretches
        for at in range(len(learned))
    )
    assert memorization([" ".join(post)], [" ".join(learned)]) == wanted
