"""predictions.png: a picture for sharing, with a prompt and some of the bot's answers.

Typst sets it with Noto fonts that come as packages, so that any widely used writing, right-to-left text and emoji look
as their author wrote them, on every machine alike. Text is handed over as JSON and never read as markup.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import typst
from matplotlib.ft2font import FT2Font

from tweetbot_trainer.safe_text import printable

SIZE: Final = (1120, 586)
MOST_POSTS: Final = 4
MAKER: Final = "TweetBot operator"
_FONT_PACKAGES: Final = ("manimgx_fonts", "manimgx_fonts_cjk")
_FIRST_FONT: Final = "Noto Sans"
_LAST_FONTS: Final = ("Noto Sans Symbols", "Noto Emoji")
_CHINESE, _JAPANESE, _KOREAN = "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR"
_KANA: Final = re.compile("[\u3040-\u30ff]")
_HANGUL: Final = re.compile("[\uac00-\ud7af]")
_LONG_WORD: Final = re.compile("([\x21-\u024f]{24})(?=[\x21-\u024f])")
_KEYCAP: Final = re.compile("\ufe0f?\u20e3")
"""Makes a digit an emoji; the fonts lay it over the next letter."""
_PART_OF_WORD: Final = re.compile(r"\s+\S{0,20}$")
_MAY_BREAK: Final = "\u200b"
_ELLIPSIS: Final = "…"
_MOST_CHARACTERS: Final = 280
_JOINERS: Final = frozenset({"\u200c", "\u200d", "\ufe0e", "\ufe0f"})


def draw_predictions(
    path: Path,
    names: Sequence[str],
    handles: Sequence[str],
    prompt: str,
    posts: Sequence[str],
    avatars: Mapping[str, bytes] | None = None,
) -> None:
    """Write the picture; each post begins with the prompt, an avatar is a PNG by handle."""
    at_handles = " & ".join(f"@{handle}" for handle in handles)
    whose = "these accounts\u2019" if len(handles) > 1 else "this account\u2019s"
    facts = {
        "width": SIZE[0],
        "height": SIZE[1],
        "fonts": _font_order(" ".join(posts)),
        "title": drawable(" & ".join(names)) or at_handles,
        "handles": at_handles,
        "accounts": [_account(handle, (avatars or {}).get(handle)) for handle in handles],
        "badge": "AI CYBORG" if len(handles) > 1 else "AI BOT",
        "posts": [_post(drawable(post), drawable(prompt)) for post in posts[:MOST_POSTS]],
        "note": f"Written by a language model that learned {whose} posts",
        "maker": MAKER,
    }
    template = files("tweetbot_trainer").joinpath("templates", "predictions.typ").read_bytes()
    path.write_bytes(
        typst.compile(
            template,
            format="png",
            ppi=72.0,
            font_paths=fonts(),
            sys_inputs={"data": json.dumps(facts)},
        )
    )


def drawable(text: str) -> str:
    """Return the text with nothing in it that the fonts cannot draw: fancy letters plain, the unknown an ellipsis."""
    characters = map(_drawn, _KEYCAP.sub("", printable(unicodedata.normalize("NFC", text))))
    return re.sub(rf"{_ELLIPSIS}[{_ELLIPSIS} ]*{_ELLIPSIS}", _ELLIPSIS, " ".join("".join(characters).split()))


def is_right_to_left(text: str) -> bool:
    """Tell the direction of a paragraph by its first letter, as Unicode's bidirectional algorithm does (rule P2)."""
    directions = map(unicodedata.bidirectional, text)
    return next((direction for direction in directions if direction in {"L", "R", "AL"}), "L") != "L"


def _account(handle: str, avatar: bytes | None) -> dict[str, object]:
    """Return what the circle shows; the avatar's bytes as numbers, for JSON has no bytes."""
    return {"initial": handle.lstrip("_")[:1].upper() or "_", "picture": list(avatar) if avatar else None}


def _post(post: str, prompt: str) -> dict[str, object]:
    """Return the post as its prompt and the rest, cut if it is long."""
    if len(post) > _MOST_CHARACTERS:
        post = _PART_OF_WORD.sub("", post[:_MOST_CHARACTERS]) + _ELLIPSIS
    begins = post[: len(prompt)] if post.startswith(prompt) else ""
    rest = _LONG_WORD.sub(rf"\1{_MAY_BREAK}", post[len(begins) :])
    return {"prompt": begins, "rest": rest, "isRightToLeft": is_right_to_left(post)}


def _font_order(text: str) -> list[str]:
    """Return all fonts, of the three that draw Chinese characters the one in whose language the posts seem to be."""
    east_asian = _JAPANESE if _KANA.search(text) else _KOREAN if _HANGUL.search(text) else _CHINESE
    first = [_FIRST_FONT, east_asian]
    others = sorted(family for family in fonts().families() if family not in {*first, *_LAST_FONTS})
    return [*first, *others, *_LAST_FONTS]


def _drawn(character: str) -> str:
    """Return the character, what it stands for in plain letters, or a sign that something is left out."""
    if ord(character) in _code_points() or character in _JOINERS:
        return character
    plain = unicodedata.normalize("NFKC", character)
    if all(ord(part) in _code_points() for part in plain):
        return plain
    return _ELLIPSIS if unicodedata.category(character)[0] in "LN" else ""


@cache
def _code_points() -> frozenset[int]:
    paths = [path for folder in _font_folders() for path in folder.glob("*.tt[fc]")]
    return frozenset(point for path in paths for point in FT2Font(str(path)).get_charmap())


@cache
def fonts() -> typst.Fonts:
    """Return all fonts of the pictures, which the machine's own are not."""
    return typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(folder) for folder in _font_folders()]
    )


def _font_folders() -> list[Path]:
    specs = [find_spec(package) for package in _FONT_PACKAGES]
    return [Path(spec.origin).parent for spec in specs if spec and spec.origin]
