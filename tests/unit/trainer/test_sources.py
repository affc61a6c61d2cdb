import json
import struct
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import make_archive, make_jsonl, ytd
from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.files import FilesSource
from tweetbot_trainer.sources.limits import MAX_LINE_BYTES

HANDLE = "thisisaito"


def archive_posts(path):
    return list(FilesSource({HANDLE: [path]}).posts(HANDLE))


def archive_texts(path):
    return [post.text for post in archive_posts(path)]


def jsonl_posts(path):
    return list(FilesSource({HANDLE: [path]}).posts(HANDLE))


def reason_of(read, path):
    with pytest.raises(TrainerError) as caught:
        read(path)
    return caught.value.reason


@pytest.mark.parametrize(
    "member",
    ["data/tweets.js", "data/tweet.js", "data/tweets-part1.js", "tweets.js", "tweet.js", "twitter-2026/data/tweets.js"],
)
def test_old_and_new_layouts_are_read(tmp_path, member):
    assert archive_texts(make_archive(tmp_path / "a.zip", ["hello"], member=member)) == ["hello"]


def test_parts_are_read_in_the_order_of_their_numbers(tmp_path):
    others = {
        f"data/tweets-part{number}.js": ytd("tweets", [{"tweet": {"full_text": f"part {number}"}}], number)
        for number in (10, 2, 1)
    }
    texts = archive_texts(make_archive(tmp_path / "a.zip", ["part 0"], others=others))
    assert texts == ["part 0", "part 1", "part 2", "part 10"]


def test_deleted_posts_and_messages_are_never_read(tmp_path):
    others = {
        f"data/{name}.js": ytd("tweets", [{"tweet": {"full_text": "secret"}}])
        for name in ("deleted-tweets", "deleted-tweet", "direct-messages", "tweet-headers", "tweets-part")
    }
    assert archive_texts(make_archive(tmp_path / "a.zip", ["hello"], others=others)) == ["hello"]


@pytest.mark.parametrize("end", ["", ";", "\n;\n  \n"])
def test_what_follows_the_array_does_not_matter(tmp_path, end):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data/tweets.js", "\ufeff" + ytd("tweet", [{"full_text": "bare; kept ;"}], end=end))
    assert archive_texts(path) == ["bare; kept ;"]


def test_kinds_are_told_by_text_and_reply_fields(tmp_path):
    tweets = [
        {"full_text": "RT @other: theirs", "retweeted": False},
        {"full_text": "mine RT @other: quoted by hand"},
        {"full_text": "@other yes", "in_reply_to_status_id_str": "5"},
    ]
    kinds = [post.kind for post in archive_posts(make_archive(tmp_path / "a.zip", tweets))]
    assert kinds == ["repost", "original", "reply"]


def test_a_long_post_is_joined_with_its_note_by_time(tmp_path):
    long = "A & B went up the hill, and this is what they saw from there: " + "far " * 100
    cut = long.replace("&", "&amp;")[:200] + "… https://t.co/x"
    tweets = [
        {"full_text": f"@friend {cut}", "created_at": "Mon Jan 05 08:36:41 +0000 2026"},
        {"full_text": "something else of the same second", "created_at": "Mon Jan 05 08:36:41 +0000 2026"},
        {"full_text": cut, "created_at": "Mon Jan 05 09:00:00 +0000 2026"},
    ]
    note = {"noteTweet": {"noteTweetId": "9", "createdAt": "2026-01-05T08:36:41.500Z", "core": {"text": long}}}
    others = {"data/note-tweet.js": ytd("note_tweet", [note])}
    texts = archive_texts(make_archive(tmp_path / "a.zip", tweets, others=others))
    assert [long, "something else of the same second", cut] == texts


def test_half_a_surrogate_pair_is_replaced(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data/tweets.js", 'window.YTD.tweets.part0 = [{"tweet": {"full_text": "a\\ud83d b"}}]')
    (text,) = archive_texts(path)
    assert text.encode().startswith(b"a")
    assert text.endswith(" b")


def test_the_owner_is_checked_without_regard_to_case(tmp_path):
    path = make_archive(tmp_path / "a.zip", ["hello"], username="ThisIsAito", display_name="aito 🥚")
    assert archive_texts(path) == ["hello"]
    assert FilesSource({HANDLE: [path]}).display_name(HANDLE) == "aito 🥚"


def test_the_archive_of_another_account_is_refused(tmp_path):
    path = make_archive(tmp_path / "a.zip", ["hello"], username="someone")
    assert reason_of(archive_posts, path) == Reason.HANDLE_MISMATCH


def test_an_archive_without_account_is_taken_at_its_word(tmp_path):
    path = make_archive(tmp_path / "a.zip", ["hello"], username=None)
    assert archive_texts(path) == ["hello"]
    assert FilesSource({HANDLE: [path]}).display_name(HANDLE) is None


def test_a_file_that_is_not_a_zip_is_unreadable(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(b"plainly no zip")
    assert reason_of(archive_posts, path) == Reason.SOURCE_UNREADABLE


@pytest.mark.parametrize("member", ["data/tweets.js", "data/likes.js"])
def test_an_archive_without_posts_is_empty(tmp_path, member):
    assert reason_of(archive_posts, make_archive(tmp_path / "a.zip", [], member=member)) == Reason.SOURCE_EMPTY


@pytest.mark.parametrize(
    "content",
    [
        "alert(1)",
        "",
        "window.YTD.tweets.part0 = {}",
        'window.YTD.tweets.part0 = [{"tweet": {"full_text": "cut o',
        "window.YTD.tweets.part0 = [1, 2]",
        "window.YTD.tweets.part0 = [{}] and more",
        'window.YTD.tweets.part0 = [{"tweet": {"id": "1"}}]',
        'window.YTD.tweets.part0 = [{"tweet": {"full_text": 5}}]',
        'window.YTD.tweets.part0 = [{"tweet": {"full_text": "a", "n": ' + "9" * 5000 + "}}]",
        "window.YTD.tweets.part0 = [" + "[" * 2_000_000,
        'window.YTD.tweets.part0 = [{"tweet": {"full_text": "' + "a" * 2_000_000 + '"}}]',
        "window.YTD.tweets.part0 = [" + " " * 2_000_000,
    ],
    ids=range(12),
)
def test_a_member_that_is_not_what_it_should_be_is_unreadable(tmp_path, content):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data/tweets.js", content)
    assert reason_of(archive_posts, path) == Reason.SOURCE_UNREADABLE


def test_the_text_of_posts_stays_out_of_messages(tmp_path):
    content = 'window.YTD.tweets.part0 = [{"tweet": {"full_text": "private"}} oops'
    path = make_archive(tmp_path / "a.zip", [], member="data/x.js", others={"data/tweets.js": content})
    with pytest.raises(TrainerError, match="not JSON") as caught:
        archive_posts(path)
    assert "private" not in caught.value.message


def test_a_compression_bomb_is_refused_before_it_is_read(tmp_path):
    path = make_archive(tmp_path / "a.zip", ["hello"], member="data/x.js", others={"data/tweets.js": " " * 10**7})
    with pytest.raises(TrainerError, match="200:1"):
        archive_posts(path)


def test_an_encrypted_member_is_named(tmp_path):
    path = make_archive(tmp_path / "a.zip", ["hello"], username=None)
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    (flags,) = struct.unpack_from("<H", data, entry + 8)
    struct.pack_into("<H", data, entry + 8, flags | 1)
    path.write_bytes(data)
    with pytest.raises(TrainerError, match=r"data/tweets\.js in a\.zip is encrypted"):
        archive_posts(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_stands_twice_is_refused(tmp_path):
    path = make_archive(tmp_path / "a.zip", ["hello"], others={"data/tweets.js": ytd("tweets", [])})
    assert reason_of(archive_posts, path) == Reason.SOURCE_UNREADABLE


@given(st.data())
def test_a_damaged_archive_is_read_or_refused_but_never_crashes(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "a.zip"
    content = bytearray(make_archive(path, ["hello there", {"text": "x"}]).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(TrainerError):
        archive_posts(path)


def test_lines_may_be_strings_or_objects(tmp_path):
    lines = ["a string", {"text": "an object"}, {"full_text": "in full", "text": "cut"}]
    posts = jsonl_posts(make_jsonl(tmp_path / "a.jsonl", lines))
    assert [post.text for post in posts] == ["a string", "an object", "in full"]


def test_the_fields_of_both_apis_tell_the_kind(tmp_path):
    lines = [
        {"text": "theirs", "retweeted_status": {"text": "theirs"}},
        {"text": "theirs", "referenced_tweets": [{"type": "retweeted", "id": "1"}]},
        "RT @other: theirs",
        {"text": "mine", "referenced_tweets": [{"type": "replied_to", "id": "1"}]},
        {"text": "mine", "referenced_tweets": [{"type": "quoted", "id": "1"}]},
        {"text": "mine", "referenced_tweets": None},
    ]
    kinds = [post.kind for post in jsonl_posts(make_jsonl(tmp_path / "a.jsonl", lines))]
    assert kinds == ["repost", "repost", "repost", "reply", "quote", "original"]


def test_byte_order_mark_and_blank_lines_are_skipped(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf"one"\r\n\r\n"two"')
    assert [post.text for post in jsonl_posts(path)] == ["one", "two"]


@pytest.mark.parametrize(
    "line",
    [b"{", b"plain words", b"[1]", b"5", b'{"id": 1}', b'"\xff"', b"[" * 100_000, b'"' + b"a" * MAX_LINE_BYTES + b'"'],
    ids=range(8),
)
def test_a_bad_line_is_named_by_its_number(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'"fine"\n' + line + b"\n")
    with pytest.raises(TrainerError, match=r"a\.jsonl line 2 ") as caught:
        jsonl_posts(path)
    assert caught.value.reason == Reason.SOURCE_UNREADABLE


def test_a_file_without_lines_is_empty(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n\n")
    assert reason_of(jsonl_posts, path) == Reason.SOURCE_EMPTY


@given(st.text())
def test_any_text_survives_the_way_through_a_file(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("lines") / "a.jsonl"
    path.write_text(json.dumps(text))
    (post,) = jsonl_posts(path)
    assert text == post.text
