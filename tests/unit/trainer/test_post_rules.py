import pytest

from tweetbot_api.spec.cleaning import Cleaning, Language
from tweetbot_trainer.cleaning import clean_posts
from tweetbot_trainer.language import is_language
from tweetbot_trainer.post_rules import PostRules
from tweetbot_trainer.sources.base import Post


def texts_kept(raw, **cleaning):
    """Return which of the raw texts are kept, and how many were short and filtered."""
    posts = [Post(id="1", handle="me", text=text, source="test") for text in raw]
    cleaned = clean_posts("me", None, posts, Cleaning(**cleaning))
    return cleaned.texts, cleaned.counts.short, cleaned.counts.filtered


@pytest.mark.parametrize(("min_words", "want_kept"), [(0, 3), (1, 3), (2, 2), (3, 1), (4, 0)])
def test_the_least_number_of_words_can_be_chosen(min_words, want_kept):
    kept, short, _ = texts_kept(["one", "one two", "one two three", "https://t.co/a", ""], min_words=min_words)
    assert (len(kept), short) == (want_kept, 5 - want_kept)


@pytest.mark.parametrize(
    ("text", "want_short"),
    [
        ("今日はとても楽しい一日でした", False),
        ("本日は晴天なり", False),
        ("おはよう", True),
        ("วันนี้อากาศดีมาก", False),
        ("今日は#天気がいい", True),
        ("今日はいい天気 #散歩", False),
        ("@ada おはよう https", True),
        ("three plain words", False),
        ("two words", True),
        ("今日 good morning", False),
        ("안녕 세상아", True),
    ],
)
def test_writing_without_spaces_can_be_judged_by_its_characters(text, want_short):
    assert want_short == PostRules(Cleaning(unspaced_scripts="characters")).is_short(text)


def test_by_default_such_writing_is_short_as_in_huggingtweets():
    assert texts_kept(["今日はとても楽しい一日でした"]) == ([], 1, 0)


@pytest.mark.parametrize(
    ("text", "want_stripped", "want_masked"),
    [
        ("hello @ada, how are you", "hello , how are you", "hello @user, how are you"),
        ("@ada.bsky.social it is you", "it is you", "@user it is you"),
        ("ask @ada@mastodon.social.", "ask .", "ask @user."),
        ("今日は@adaさんと", "今日はさんと", "今日は@userさんと"),
        ("me@home.org is an address", "me@home.org is an address", "me@home.org is an address"),
        ("five @ ten", "five @ ten", "five @ ten"),
    ],
)
def test_mentions_can_be_stripped_or_masked(text, want_stripped, want_masked):
    assert PostRules(Cleaning(mentions="strip")).apply_marks(text) == want_stripped
    assert PostRules(Cleaning(mentions="mask")).apply_marks(text) == want_masked
    assert PostRules(Cleaning(hashtags="strip")).apply_marks(text) == text


@pytest.mark.parametrize(
    ("text", "want_stripped", "want_masked"),
    [
        ("good #morning all", "good all", "good #hashtag all"),
        ("今日は #天気 がいい", "今日は がいい", "今日は #hashtag がいい"),
        ("C# and #1 and &#39;", "C# and #1 and &#39;", "C# and #1 and &#39;"),
    ],
)
def test_hashtags_can_be_stripped_or_masked(text, want_stripped, want_masked):
    assert PostRules(Cleaning(hashtags="strip")).apply_marks(text) == want_stripped
    assert PostRules(Cleaning(hashtags="mask")).apply_marks(text) == want_masked
    assert PostRules(Cleaning()).apply_marks(text) == text


def test_a_post_of_which_nothing_is_left_is_short():
    assert texts_kept(["@ada #moon"], min_words=0, mentions="strip", hashtags="strip") == ([], 1, 0)


@pytest.mark.parametrize(
    ("text", "is_denied"),
    [
        ("join my giveaway now", True),
        ("join my GiveAway!", True),
        ("no giveaways here today", False),
        ("buy now, and more", True),
        ("buy nowhere near here", False),
        ("今日は広告です はい はい", True),
        ("a 100% sure thing", True),
        ("nothing of the kind", False),
    ],
)
def test_posts_with_a_denied_term_are_left_out_and_counted(text, is_denied):
    kept, short, filtered = texts_kept([text], deny_terms=["giveaway", "buy now", "広告", "100%"])
    assert (bool(kept), short, filtered) == (not is_denied, 0, int(is_denied))


def test_posts_in_another_language_are_left_out_and_counted():
    english, french = "I would like to drink a cup of tea", "je voudrais boire une tasse de thé avec mes amis"
    assert texts_kept([english, french, "good morning friends @ada"], language="en") == (
        [english, "good morning friends @ada"], 0, 1,
    )  # fmt: skip
    assert texts_kept([english, french], language="fr") == ([french], 0, 1)


def test_what_the_source_says_of_a_posts_language_counts_before_the_detector():
    rules = PostRules(Cleaning(language="en"))
    assert not rules.leaves_out("je voudrais boire une tasse de thé", "en-GB")
    assert rules.leaves_out("I would like to drink a cup of tea", "fr")
    assert rules.leaves_out("je voudrais boire une tasse de thé", None)


def test_every_language_of_the_spec_is_known_to_the_detector():
    from typing import get_args

    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    known = {label for label in LanguageIdentifier.from_model_file(MODEL_FILE).labels if len(label) == 2}
    assert set(get_args(Language)) == known
    assert is_language("lol that was so funny omg", "en")


def test_long_posts_of_marks_are_handled_in_linear_time():
    rules = PostRules(Cleaning(mentions="strip", hashtags="strip", unspaced_scripts="characters", deny_terms=["a b"]))
    for piece in ("@a.", "@a@", "#1", "#", "@", "@a@b.c", "a "):
        text = piece * 100_000
        rules.apply_marks(text)
        rules.is_short(text)
        rules.leaves_out(text)
