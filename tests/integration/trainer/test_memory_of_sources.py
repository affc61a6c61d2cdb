"""Memory does not hold an archive: it grows by what tells repeated posts, not by the posts.

`make bench-sources` measures a million posts; here two small archives tell how much each post adds.
"""

import pytest

from benchmarks.sources.__main__ import LIMIT_MIB, measure
from benchmarks.sources.archive import write_archive
from tests.factories import make_base_model

pytestmark = pytest.mark.slow

HANDLE = "thisisaito"
FEW, MANY, MILLION = 10_000, 110_000, 1_000_000


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    return {count: write_archive(folder / f"{count}.zip", count, HANDLE) for count in (FEW, MANY)}


def peak_of_a_million(few_mib, many_mib):
    """Return what a million posts would take, at what each of the posts in between has added."""
    return many_mib + (MILLION - MANY) * max(0, many_mib - few_mib) / (MANY - FEW)


def test_a_million_posts_are_inspected_within_the_limit(archives):
    few, many = (measure("inspect", archives[count], HANDLE) for count in (FEW, MANY))
    assert many["downloaded"] == MANY - MANY / 1_000
    assert peak_of_a_million(few["peak_mib"], many["peak_mib"]) <= LIMIT_MIB


def test_a_million_posts_are_fetched_and_cleaned_within_the_limit(archives, tmp_path):
    model = make_base_model(tmp_path / "model")
    few, many = (measure("fetch", archives[count], HANDLE, tmp_path / str(count), model) for count in (FEW, MANY))
    assert peak_of_a_million(few["fetch_and_clean_mib"], many["fetch_and_clean_mib"]) <= LIMIT_MIB
