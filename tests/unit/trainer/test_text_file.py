"""Texts in a file read like a list."""

from hypothesis import given
from hypothesis import strategies as st

from tweetbot_trainer import text_file
from tweetbot_trainer.text_file import TextFile

texts_strategy = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=9))


@given(texts_strategy, texts_strategy, st.slices(12))
def test_it_reads_like_a_list(tmp_path_factory, first, more, part):
    found = TextFile(tmp_path_factory.mktemp("texts") / "folder" / "texts")
    want = []
    for texts in (first, more):
        for text in texts:
            found.append(text)
            want.append(text)
        assert (len(found), list(found), found[part]) == (len(want), want, want[part])
        assert [found[number] for number in range(-len(want), len(want))] == want + want


def test_texts_are_written_before_they_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(text_file, "_PENDING_BYTES", 10)
    texts = TextFile(tmp_path / "texts")
    for number in range(100):
        texts.append(f"text {number}")
    assert (tmp_path / "texts").stat().st_size > 600
    assert texts[3:5] == ["text 3", "text 4"]
