"""Reading a list of handles: whatever stands in it, the good ones go on and the others are told."""

from hypothesis import given
from hypothesis import strategies as st

from tweetbot_api.bot_batch import MOST_HANDLES
from tweetbot_api.spec.source import BlueskySource, FilesSource, Source, XSource
from tweetbot_operator.bot_batches.handles import read_items, read_text

FILES = Source(files=FilesSource(uri="s3://posts/{handle}.csv"))
X = Source(x=XSource(credentials_secret={"name": "x"}, terms_accepted=True))
handles = st.from_regex(r"@?[A-Za-z0-9_]{1,15}", fullmatch=True)


@given(st.text(max_size=200) | st.lists(handles | st.text(max_size=20), max_size=30).map("\n".join))
def test_every_line_is_a_bot_or_a_problem(text: str) -> None:
    listing = read_text(text, "team", FILES)

    lines = [line for line in text.splitlines() if line.split("#")[0].strip()]
    assert len(listing.entries) + len(listing.problems) == len(lines)
    assert len({entry.handle for entry in listing.entries}) == len(listing.entries)
    assert len({entry.name for entry in listing.entries}) == len(listing.entries)


@given(st.lists(handles, max_size=20, unique_by=lambda handle: handle.lower().removeprefix("@")))
def test_good_handles_keep_their_order_and_lose_their_sign(written: list[str]) -> None:
    listing = read_items(written, "team", X)

    assert [entry.handle for entry in listing.entries] == [handle.lower().removeprefix("@") for handle in written]
    assert listing.problems == ()


def test_a_handle_has_to_be_one_of_its_source() -> None:
    text = "alice.bsky.social\nalice"
    assert [entry.handle for entry in read_text(text, "team", FILES).entries] == ["alice.bsky.social", "alice"]
    bluesky = read_text(text, "team", Source(bluesky=BlueskySource()))
    assert bluesky.problems[0].startswith("line 2 ('alice'): handles on Bluesky are whole domain names")
    assert read_text(text, "team", X).problems[0].startswith("line 1 ('alice.bsky.social'): handles on X have")


def test_no_more_is_read_than_a_batch_may_have() -> None:
    listing = read_text("\n".join(f"u{number}" for number in range(MOST_HANDLES + 500)), "team", FILES)

    assert len(listing.entries) == MOST_HANDLES
    assert listing.problems == (
        "line 10001 and what follows: a TweetBotBatch has at most 10,000 handles; make another one for the rest",
    )


def test_the_hash_of_a_beginning_does_not_depend_on_what_follows() -> None:
    first, second = read_text("a\nb", "team", FILES), read_text("a\nb\nc", "team", FILES)

    assert first.hash_of_first(2) == second.hash_of_first(2) != second.hash_of_first(3)
    assert read_text("b\na", "team", FILES).hash_of_first(2) != first.hash_of_first(2)
