"""Tables and lines in every encoding and with every delimiter; authors, columns, several files."""

import codecs
import gzip
import zipfile
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.factories import make_archive, make_jsonl, make_run_config
from tests.post_files import CASES, HANDLE, write_csv, write_json, write_parquet
from tweetbot_api.conditions import Reason
from tweetbot_api.spec.source import Columns
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.byte_streams import open_unpacked
from tweetbot_trainer.sources.choose import open_source
from tweetbot_trainer.sources.files import FilesSource

ROWS = [{"id": 1, "text": 'çava, "bien"\nou; pas | très\tmal', "lang": "fr"}, {"id": 2, "text": "déjà", "lang": ""}]


def read(path, handle="me", columns=None):
    return list(FilesSource({handle: [path]}, columns).posts(handle))


def texts(path, **options):
    return [post.text for post in read(path, **options)]


def reason(path, **options):
    with pytest.raises(TrainerError) as caught:
        read(path, **options)
    return caught.value


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_a_table_is_read_in_every_encoding_and_with_every_delimiter(tmp_path, encoding, delimiter):
    path = write_csv(tmp_path / "a.csv", ROWS, delimiter=delimiter, encoding=encoding)
    posts = read(path)
    assert [(post.id, post.text) for post in posts] == [(str(row["id"]), row["text"]) for row in ROWS]
    assert [post.lang for post in posts] == ["fr", None]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_json_is_read_in_every_unicode_encoding(tmp_path, encoding, name):
    content = '["日本語", "🥚"]' if name == "a.json" else '"日本語"\n"🥚"\n'
    (tmp_path / name).write_bytes(content.encode(encoding))
    assert texts(tmp_path / name) == ["日本語", "🥚"]


def test_a_line_in_another_encoding_does_not_change_the_others(tmp_path):
    (tmp_path / "a.txt").write_bytes("naïve 🥚\n".encode() + "naïve".encode("cp1252") + b"\nzero\0s\n")
    assert texts(tmp_path / "a.txt") == ["naïve 🥚", "naïve", "zeros"]


def test_a_table_may_begin_with_blank_lines_and_have_short_rows(tmp_path):
    (tmp_path / "a.csv").write_text("\n\nid,text\n1,one\n2\n\n3,three\n")
    assert texts(tmp_path / "a.csv") == ["one", "three"]


def test_a_table_without_a_suffix_is_told_by_its_header(tmp_path):
    (tmp_path / "table").write_text('"text"\n"a, b"\n')
    (tmp_path / "lines").write_text("text, they say\nis all\n")
    assert (texts(tmp_path / "table"), texts(tmp_path / "lines")) == (["a, b"], ["text, they say", "is all"])


@pytest.mark.parametrize("name", ["Tweet", "full_text", "Tweet Content", "rawContent", "body"])
def test_the_column_of_texts_has_many_names(tmp_path, name):
    assert texts(write_csv(tmp_path / "a.csv", [{"Nr": 1, name: "words"}])) == ["words"]


def test_a_document_of_one_answer_may_be_indented(tmp_path):
    page = {"data": [{"id": "1", "text": "words", "author_id": "1"}], "meta": {"result_count": 1}}
    assert texts(write_json(tmp_path / "page.json", page, indent=2)) == ["words"]


def test_columns_may_be_paths_into_objects_and_tell_reposts(tmp_path):
    lines = [{"nr": 1, "says": {"body": "mine"}, "by": {"name": "Me"}, "boost": False},
             {"nr": 2, "says": {"body": "theirs"}, "by": {"name": "me"}, "boost": True},
             {"nr": 3, "says": {"body": "yours"}, "by": {"name": "you"}, "boost": False}]  # fmt: skip
    columns = Columns(text="says.body", id="nr", handle="by.name", repost="boost")
    posts = read(make_jsonl(tmp_path / "a.jsonl", lines), columns=columns)
    assert [(post.id, post.text, post.kind) for post in posts] == [("1", "mine", "original"), ("2", "theirs", "repost")]


def test_a_column_that_is_missing_is_named_with_those_there_are(tmp_path):
    path = write_csv(tmp_path / "a.csv", [{"nr": 1, "a post of mine": "words"}])
    error = reason(path, columns=Columns(text="body"))
    assert "no column body (spec.source.files.columns.text); it has nr" in error.message
    assert "a post of mine" not in error.message


def test_one_file_may_hold_several_handles(tmp_path):
    rows = [{"username": name, "text": f"by {name} {number}"} for number in range(2) for name in ("me", "You")]
    path = write_csv(tmp_path / "a.csv", rows)
    assert (texts(path), texts(path, handle="you")) == (["by me 0", "by me 1"], ["by You 0", "by You 1"])
    assert reason(path, handle="they").reason == Reason.HANDLE_MISMATCH


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: write_json(folder / "ids.json", ["1480000000000000001", "1480000000000000002"]),
        lambda folder: write_json(folder / "ids.json", [1480000000000000001, 1480000000000000002]),
        lambda folder: make_jsonl(folder / "ids.jsonl", [1480000000000000001]),
        lambda folder: make_jsonl(folder / "ids.jsonl", [{"id": "1480000000000000001"}]),
        lambda folder: write_csv(folder / "ids.csv", [{"Tweet ID": "1.48E+18"}]),
        lambda folder: write_csv(folder / "ids", [{"tweet_id": "1480000000000000001"}]),
        lambda folder: write_parquet(folder / "ids.parquet", [{"status_id": 1480000000000000001}]),
    ],
    ids=["list of texts", "list of numbers", "lines", "objects", "table", "table without suffix", "Parquet"],
)
def test_ids_alone_are_refused_and_told_to_hydrate(tmp_path, write):
    error = reason(write(tmp_path))
    assert (error.reason, error.exit_code) == (Reason.IDS_WITHOUT_TEXT, 66)
    assert "ids without text; hydrate first" in error.message


def test_a_zip_of_several_files_is_read_member_by_member(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("posts/data_10.json", '[{"id": "3", "text": "c", "author_id": "1"}]')
        archive.writestr("posts/data_2.json", '[{"id": "2", "text": "b", "author_id": "1"}]')
        archive.writestr("posts/readme.md", "not read")
        archive.writestr("posts/.hidden.csv", "not read")
    assert texts(tmp_path / "a.zip") == ["b", "c"]


def config(source, **fields):
    return make_run_config(source=source, handles=["me"], **fields)


def test_more_files_of_any_shape_are_merged_in_their_order(tmp_path):
    make_archive(tmp_path / "me.zip", [{"id_str": "1480000000000000001", "full_text": "one"}], username="me")
    (tmp_path / "me.csv.gz").write_bytes(gzip.compress(b"id,text\n1480000000000000002,two\n"))
    base = tmp_path.as_uri()
    wanted = config({"files": {"uri": f"{base}/{{handle}}.zip", "also": [f"{base}/{{handle}}.csv.gz"]}})
    source = open_source(wanted, tmp_path / "work")
    assert [(post.text, post.source) for post in source.posts("me")] == [("one", "x-archive"), ("two", "table")]
    assert source.display_name("me") == "aito.eth"


def test_an_archive_is_wanted_where_an_archive_is_named(tmp_path):
    (tmp_path / "me.csv").write_text("id,text\n1,one\n")
    wanted = config({"archive": {"uri": (tmp_path / "me.csv").as_uri()}})
    source = open_source(wanted, tmp_path / "work")
    with pytest.raises(TrainerError, match=r"no archive from X or Mastodon; .* spec\.source\.files"):
        list(source.posts("me"))


@pytest.mark.parametrize("name", ["Mastodon tar.gz", "Mastodon zip"])
def test_mastodons_archive_tells_the_display_name(tmp_path, name):
    assert FilesSource({HANDLE: [CASES[name].write(tmp_path)]}).display_name(HANDLE) == "aito 🥚"


@pytest.mark.parametrize("handle", [HANDLE, f"{HANDLE}@social.example"])
def test_a_handle_of_mastodon_may_name_its_server(tmp_path, handle):
    path = CASES["Mastodon outbox"].write(tmp_path)
    assert len(read(path, handle=handle)) == 4
    assert reason(path, handle=f"{HANDLE}@other.example").reason == Reason.HANDLE_MISMATCH


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_but_never_crashes(case, tmp_path, data):
    path = case.write(tmp_path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(1, len(content))) :]
    path.write_bytes(content)
    with suppress(TrainerError):
        read(path, handle=HANDLE)


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\x85"), min_size=1))
)
def test_any_text_survives_the_way_through_a_table(tmp_path_factory, written):
    path = tmp_path_factory.mktemp("table") / "a.csv"
    write_csv(path, [{"text": text, "id": ""} for text in ["first", *written]])
    assert texts(path) == ["first", *written]


def test_a_file_of_nothing_but_a_mark_is_empty(tmp_path):
    (tmp_path / "a.txt").write_bytes(codecs.BOM_UTF8)
    assert reason(tmp_path / "a.txt").reason == Reason.SOURCE_EMPTY


@given(st.lists(st.binary(max_size=200_000), min_size=1, max_size=3), st.integers(0, 9), st.integers(1, 70_000))
@settings(max_examples=30, deadline=None)
def test_a_gzip_file_unpacks_to_what_was_packed(tmp_path_factory, members, num_zeros, size):
    path = tmp_path_factory.mktemp("gzip") / "a.gz"
    path.write_bytes(b"".join(map(gzip.compress, members)) + bytes(num_zeros))
    with open_unpacked(path) as stream:
        assert b"".join(iter(lambda: stream.read(size), b"")) == b"".join(members)
