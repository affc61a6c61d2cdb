"""Text that others wrote, made safe to show: no control characters, no Markdown or HTML of its own.

Pure. Bidirectional controls could make a line read otherwise than it is stored, so they fall away with all others; what
joins or parts letters and emoji stays.
"""

import html
import re
import unicodedata
from typing import Final

_JOINERS: Final = frozenset({"\u200c", "\u200d"})
"""Zero-width: one parts letters in Persian and Indic words, the other joins letters and emoji."""
_REPLACEMENT: Final = "\ufffd"
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_MARKDOWN: Final = re.compile(r"[`*_\[\]|~@]|:(?=//)|(?<=www)\.|^[#+=-]", re.IGNORECASE)
"""What means something within a line, makes an address a link, or begins a heading or list."""
_LIST_NUMBER: Final = re.compile(r"^(\d{1,9})([.)])")
_MATHEMATICS: Final = str.maketrans({"\\": "&#92;", "$": "&#36;"})
r"""Begin formulas on the Hub, where `\\(` does so even behind an escaped backslash."""


def printable(text: str) -> str:
    """Return the text on one line, without control, bidirectional and undecodable characters."""
    spaced = " ".join(text.split())
    return "".join(character for character in spaced if not _is_hidden(character)).strip()


def escape_markdown(text: str) -> str:
    """Return the printable text so that Markdown and HTML show it letter by letter, in a table too."""
    escaped = html.escape(printable(text), quote=False).translate(_MATHEMATICS)
    return _LIST_NUMBER.sub(r"\1\\\2", _MARKDOWN.sub(r"\\\g<0>", escaped))


def _is_hidden(character: str) -> bool:
    if character in _JOINERS:
        return False
    return character == _REPLACEMENT or unicodedata.category(character) in _HIDDEN_CATEGORIES
