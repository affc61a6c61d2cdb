import pytest

from tweetbot_api.status import HandleCounts
from tweetbot_trainer.console import data_table

JACK = HandleCounts(handle="jack", downloaded=2_000, retweets=300, short=200, filtered=100, kept=1_400)
JILL = HandleCounts(handle="jill", downloaded=20, retweets=3, short=4, kept=13)


@pytest.mark.parametrize("data", [[JACK], [JILL], [JACK, JILL]])
def test_each_column_of_the_data_table_adds_up(data):
    for column in data_table(data).columns[1:]:
        downloaded, *parts = (int(cell.replace(",", "")) for cell in column.cells)
        assert downloaded == sum(parts)


def test_rules_have_a_row_only_where_they_left_something_out():
    titles = {
        handle: list(data_table([counts]).columns[0].cells) for handle, counts in (("jack", JACK), ("jill", JILL))
    }
    assert [title for title in titles["jack"] if title not in titles["jill"]] == ["Left out by rules"]
