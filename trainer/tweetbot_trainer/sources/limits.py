"""How much a file of posts may make us hold, and the error for one that asks for more or breaks its format."""

from typing import Final

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError

MAX_COMPRESSION_RATIO: Final = 200
"""Of a member of a zip, or of a gzip stream; text of posts reaches 20."""
RATIO_SLACK_BYTES: Final = 64 * 1024
"""So many bytes may come out of a gzip stream before its ratio counts."""
MAX_STREAM_BYTES: Final = 64 * 1024**3
"""Bytes of one file, uncompressed."""
MAX_MEMBER_BYTES: Final = 4 * 1024**3
"""Bytes of one member of a zip, uncompressed."""
MAX_ENTRIES: Final = 500_000
"""Members of an archive, media included."""
MAX_ITEM_BYTES: Final = 1024**2
"""Bytes of one object in an array."""
MAX_ITEM_BRACKETS: Final = 20_000
"""Brackets of one object in an array: the parser's time grows with the square of the depth."""
MAX_LINE_BYTES: Final = 16 * 1024**2
"""Bytes of one line of JSON: a page of twarc2 holds 500 posts and all that they mention."""
MAX_LINE_VALUES: Final = 1_000_000
"""Commas and brackets of one line of JSON, which bound the memory that it takes when read."""
MAX_FIELD_CHARACTERS: Final = 131_072
"""Characters of one field of a table, or of one plain line; the longest posts of X have 25,000."""


def unreadable(place: str, problem: str) -> TrainerError:
    """Return the error for a file, or a place in it, that cannot be read; it never quotes a post's text."""
    return TrainerError(Reason.SOURCE_UNREADABLE, f"{place} {problem}")
