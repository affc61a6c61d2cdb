"""The parts that sources share: times, identifiers, authors, HTML, long texts of X."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.post_files import TIME, X_TIME
from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.authors import Authors, same_account
from tweetbot_trainer.sources.html_text import html_to_text
from tweetbot_trainer.sources.ids import sound_id
from tweetbot_trainer.sources.times import parse_time
from tweetbot_trainer.sources.x_notes import LongTexts
from tweetbot_trainer.sources.x_objects import language

LONG = "It was a dark & stormy night, and the rain fell in torrents, except at occasional intervals."

LINK = (
    '<a href="https://e.example/long"><span class="invisible">https://</span>'
    '<span class="ellipsis">e.example/lo</span><span class="invisible">ng</span></a> x'
)


@pytest.mark.parametrize(
    "value",
    [X_TIME, "2026-01-05T08:36:41Z", "2026-01-05T08:36:41.000Z", "2026-01-05 08:36:41", "2026-01-05T17:36:41+09:00",
     1767602201, 1767602201000, 1767602201.0, TIME, TIME.replace(tzinfo=None)],
)  # fmt: skip
def test_each_way_to_write_a_time_is_understood(value):
    assert parse_time(value) == TIME


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.lists(st.integers())))
def test_whatever_else_is_no_time(value):
    assert parse_time(value) is None or isinstance(parse_time(value), datetime)


def test_the_first_of_a_month_in_every_month():
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905
    times = [parse_time(f"Sun {month} 01 00:00:00 +0000 2023") for month in months]
    assert times == [datetime(2023, number, 1, tzinfo=UTC) for number in range(1, 13)]


@pytest.mark.parametrize(
    ("value", "want", "want_in_table"),
    [
        ("1480000000000000001", "1480000000000000001", "1480000000000000001"),
        (1480000000000000001, "1480000000000000001", "1480000000000000001"),
        ("1480000000000000000", "1480000000000000000", None),
        ("1.48E+18", None, None),
        ("1,48E+18", None, None),
        (1.48e18, None, None),
        (123.0, "123", "123"),
        ("20", "20", "20"),
        ("at://did:plc:x/app.bsky.feed.post/3k", "at://did:plc:x/app.bsky.feed.post/3k", "at://did:plc:x/app.bsky.feed.post/3k"),
        ("NA", None, None),
        ("", None, None),
        (None, None, None),
        (float("nan"), None, None),
        (True, None, None),
        (["1"], None, None),
    ],
)  # fmt: skip
def test_an_identifier_that_was_rounded_identifies_nothing(value, want, want_in_table):
    assert (sound_id(value), sound_id(value, in_table=True)) == (want, want_in_table)


@pytest.mark.parametrize(
    ("author", "handle", "same"),
    [
        ("ThisIsAito", "thisisaito", True),
        ("@me", "me", True),
        ("you", "me", False),
        ("me@a.example", "me", True),
        ("me@a.example", "@Me@A.example", True),
        ("me@a.example", "me@b.example", False),
    ],
)
def test_two_handles_may_name_one_account(author, handle, same):
    assert same_account(author, handle) is same


def test_posts_by_others_alone_are_a_mismatch_that_names_them():
    authors = Authors("me", "a.csv")
    assert [authors.is_own(name) for name in ("you", "@They", "you")] == [False] * 3
    with pytest.raises(TrainerError, match="only by others \\(@you, @They\\)") as caught:
        authors.check()
    assert caught.value.reason == Reason.HANDLE_MISMATCH


@pytest.mark.parametrize(
    ("first", "second"), [((None, "1"), (None, "2")), (("Some One", None), ("Some Two", None)), ((None, 1), ("A B", 2))]
)
def test_accounts_that_are_told_without_their_handles_must_be_one(first, second):
    authors = Authors("me", "a.jsonl")
    assert [authors.is_own(*author) for author in (first, (None, None), first)] == [True] * 3
    with pytest.raises(TrainerError, match="several accounts"):
        authors.is_own(*second)


@pytest.mark.parametrize(
    ("code", "want"),
    [("en", "en"), ("zh-CN", "zh-cn"), ("in", "id"), ("qu", "qu"), ("qme", None), ("und", None), ("", None), (5, None)],
)
def test_codes_of_posts_without_words_are_no_language(code, want):
    assert language(code) == want


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>a &lt;b&gt; &amp;amp;</p>", "a <b> &amp;"),
        ("<p>one<br/>two</p><p>three</p>", "one\ntwo\n\nthree"),
        (LINK, "https://e.example/long x"),
        ("ok<script>alert(1)</script><style>b{}</style>", "ok"),
        ("<ul><li>a</li><li>b</li></ul>", "a\n\nb"),
        ("plain, and <3 unclosed", "plain, and <3 unclosed"),
        ("", ""),
    ],
)  # fmt: skip
def test_html_becomes_the_text_that_was_typed(html, text):
    assert html_to_text(html, "a post") == text


@given(st.text())
def test_any_html_becomes_some_text(html):
    assert isinstance(html_to_text(html, "a post"), str)


@pytest.mark.parametrize(
    "note",
    [
        {"core": {"text": LONG}},
        {"noteTweetContents": {"text": LONG}},
        {"noteTweetResults": {"text": LONG}},
        {"noteTweetResults": {"result": {"text": LONG}}},
        {"text": LONG},
    ],
    ids=["core", "contents", "results", "result", "bare"],
)
@pytest.mark.parametrize("time", ["2026-01-05T08:36:41.900Z", "2026-01-05T08:36:42Z", "2026-01-05T08:36:40Z"])
def test_a_note_of_any_shape_is_found_by_time_and_beginning(note, time):
    cut = "@friend " + LONG.replace("&", "&amp;")[:60] + "… https://t.co/x"
    with LongTexts() as texts:
        texts.add({"noteTweet": {"noteTweetId": "9", "createdAt": time, **note}})
        assert texts.of("1", cut, TIME) == LONG
        assert texts.of("1", "something else", TIME) is None
        assert texts.of("1", cut, TIME.replace(minute=0)) is None
        assert texts.of("1", cut, None) is None


def test_a_note_that_names_its_post_needs_no_time():
    with LongTexts() as texts:
        texts.add({"noteTweet": {"tweetId": "1", "core": {"text": LONG}}})
        texts.add({"noteTweet": {"core": {"text": "no time"}}})
        texts.add({"noteTweet": {"createdAt": "2026-01-05T08:36:41Z"}})
        assert (texts.of("1", "cut", None), texts.of("2", "cut", TIME)) == (LONG, None)
