"""The rows of the data table, on the card and on a terminal."""

from collections.abc import Sequence
from typing import Final

from tweetbot_api.status import HandleCounts

_ROWS: Final[tuple[tuple[str, str], ...]] = (
    ("Tweets downloaded", "downloaded"),
    ("Retweets", "retweets"),
    ("Short tweets", "short"),
    ("Left out by rules", "filtered"),
    ("Tweets kept", "kept"),
)


def data_rows(data: Sequence[HandleCounts]) -> list[tuple[str, str]]:
    """Return each row's title and its field of `HandleCounts`; rules have a row only where they left something out."""
    return [row for row in _ROWS if row[1] != "filtered" or any(counts.filtered for counts in data)]
