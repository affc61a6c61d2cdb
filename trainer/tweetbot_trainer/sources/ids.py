"""Identifiers of posts: what a spreadsheet has rounded identifies nothing."""

import re
from typing import Final

_ROUNDED_FROM: Final = 17
_EXACT_DIGITS: Final = 15
_MAX_CHARACTERS = 512
_SCIENTIFIC = re.compile(r"\d+([.,]\d+)?[eE]\+?\d+")
_WHOLE_FLOAT = re.compile(r"(\d{1,15})\.0")


def sound_id(value: object, *, in_table: bool = False) -> str | None:
    """Return the identifier as text; None if there is none, or if it was rounded.

    Spreadsheets keep 15 digits: they write `1.23457E+18`, or, in a table, 1234567890123450000. Two posts may share
    such a number, so it must not tell them apart.
    """
    if isinstance(value, float):
        value = repr(value)
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if whole := _WHOLE_FLOAT.fullmatch(text):
        text = whole[1]
    if not text or len(text) > _MAX_CHARACTERS or _SCIENTIFIC.fullmatch(text):
        return None
    if in_table and text.isdecimal() and len(text) >= _ROUNDED_FROM and not text[_EXACT_DIGITS:].strip("0"):
        return None
    return None if text.lower() in {"nan", "none", "null", "na"} else text
