"""The demo's archive is made from sayings and has what a real one has."""

import zipfile
from pathlib import Path

import pytest

from demo.posts import RETWEETS, SHORT, make_posts, read_sayings, write_archive
from tweetbot_trainer.cleaning import clean_posts
from tweetbot_trainer.sources.files import FilesSource

SAYINGS = [f"Saying number {number} is about as long as a post that people read & like." for number in range(300)]


def test_sayings_are_whole_entries_of_a_posts_length(tmp_path: Path) -> None:
    long, short = "word " * 60, "Too short."
    wise = "A saying over\ntwo lines is read as one line of text.\n\t\t-- its author"
    (tmp_path / "wisdom").write_text(f"{wise}\n%\n{long}\n%\n{short}\n%\n")

    sayings = read_sayings(tmp_path, ["wisdom"])

    assert sayings == ["A saying over two lines is read as one line of text."]


def test_the_same_archive_is_made_each_time() -> None:
    assert make_posts(SAYINGS, 50) == make_posts(SAYINGS, 50)


@pytest.mark.parametrize("count", [1, 120])
def test_the_trainer_keeps_exactly_the_posts_that_were_asked_for(count: int, tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    write_archive(path, "someone", "Some One", make_posts(SAYINGS, count))
    assert zipfile.is_zipfile(path)

    source = FilesSource({"someone": [path]})
    counts = clean_posts("someone", "Some One", source.posts("someone")).counts

    assert (counts.retweets, counts.short, counts.kept) == (RETWEETS, SHORT, count)
