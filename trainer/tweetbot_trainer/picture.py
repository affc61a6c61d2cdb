"""predictions.png: a picture for sharing, with a prompt and some of the bot's answers.

Drawn with the fonts that come with matplotlib. What they have no glyph for falls away (emoji) or becomes an ellipsis
(other scripts), so that nothing shows as an empty box.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from tweetbot_trainer.safe_text import printable

SIZE: Final = (1200, 630)
MOST_POSTS: Final = 4
_MARGIN, _PADDING, _GAP = 48, 44, 14
_HEAD, _FOOT, _AVATAR, _AVATAR_STEP = 146, 64, 72, 58
_TOP, _BOTTOM = (67, 56, 202), (14, 116, 190)
_INK, _MUTED, _BUBBLE, _ACCENT, _BADGE, _WHITE = "#171a2b", "#666d85", "#f1f3fb", "#4338ca", "#e7e6fb", "#ffffff"
_AVATARS: Final = ("#4338ca", "#0e7490", "#be185d")
_POST_SIZES, _TITLE_SIZE, _SMALL_SIZE, _BADGE_SIZE = (32, 28, 25), 34, 20, 17
_MOST_LINES = 3
_LINE = 1.38
_SMOOTH = 4
"""Shapes are drawn so many times larger and scaled down, which smooths their edges."""
_ELLIPSIS = "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Posts broken into lines at one size of letters, all in pixels."""

    size: int
    posts: list[list[str]]

    @property
    def line_height(self) -> int:
        return round(self.size * _LINE)

    def height_of(self, lines: Sequence[str]) -> int:
        return len(lines) * self.line_height + self.size

    @property
    def height(self) -> int:
        return sum(self.height_of(lines) + _GAP for lines in self.posts) - _GAP


def draw_predictions(
    path: Path, names: Sequence[str], handles: Sequence[str], prompt: str, posts: Sequence[str]
) -> None:
    """Write the picture; each post begins with the prompt."""
    image = _background()
    left, right = _MARGIN + _PADDING, SIZE[0] - _MARGIN - _PADDING
    _draw_head(image, left, right, names, handles)
    _draw_posts(image, left, right, drawable(prompt), [drawable(post) for post in posts[:MOST_POSTS]])
    _draw_foot(image, left, right, len(handles) > 1)
    image.save(path, optimize=True)


def drawable(text: str) -> str:
    """Return the text with nothing in it that the fonts cannot draw."""
    characters = [_drawn(character) for character in printable(unicodedata.normalize("NFC", text))]
    return re.sub(rf"{_ELLIPSIS}[{_ELLIPSIS} ]*{_ELLIPSIS}", _ELLIPSIS, " ".join("".join(characters).split()))


def wrap(text: str, font: ImageFont.FreeTypeFont, width: float, most_lines: int) -> list[str]:
    """Break the text into lines no wider than `width` pixels; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        candidate = f"{line} {word}".strip()
        if font.getlength(candidate) <= width:
            line = candidate
            continue
        if line:
            lines.append(line)
        line = _shortened(word, font, width)
    lines = [*lines, line] if line else lines
    if len(lines) <= most_lines:
        return lines
    words = lines[most_lines - 1].split()
    while len(words) > 1 and font.getlength(f"{' '.join(words)} {_ELLIPSIS}") > width:
        words.pop()
    return [*lines[: most_lines - 1], _shortened(f"{' '.join(words)} {_ELLIPSIS}", font, width)]


def _draw_head(image: Image.Image, left: int, right: int, names: Sequence[str], handles: Sequence[str]) -> None:
    """Draw avatars, names, handles and the badge."""
    draw = ImageDraw.Draw(image)
    y, x = _MARGIN + 36, left
    for handle, color in zip(handles, _AVATARS, strict=False):
        _draw_box(image, (x - 4, y - 4, x + _AVATAR + 4, y + _AVATAR + 4), _AVATAR // 2 + 4, _WHITE)
        _draw_box(image, (x, y, x + _AVATAR, y + _AVATAR), _AVATAR // 2, color)
        middle = (x + _AVATAR / 2, y + _AVATAR / 2)
        draw.text(middle, handle[0].upper(), _WHITE, _font(_TITLE_SIZE, bold=True), anchor="mm")
        x += _AVATAR_STEP
    x += _AVATAR - _AVATAR_STEP + 22
    badge = "AI CYBORG" if len(handles) > 1 else "AI BOT"
    badge_font = _font(_BADGE_SIZE, bold=True)
    badge_left = right - round(badge_font.getlength(badge)) - 36
    _draw_box(image, (badge_left, y + 17, right, y + 55), 19, _BADGE)
    draw.text(((badge_left + right) / 2, y + 36), badge, _ACCENT, badge_font, anchor="mm")
    at_handles = " & ".join(f"@{handle}" for handle in handles)
    title, small = _font(_TITLE_SIZE, bold=True), _font(_SMALL_SIZE)
    room = badge_left - x - 24
    draw.text((x, y + 2), _shortened(drawable(" & ".join(names)) or at_handles, title, room), _INK, title)
    draw.text((x, y + 46), _shortened(at_handles, small, room), _MUTED, small)


def _draw_posts(image: Image.Image, left: int, right: int, prompt: str, posts: Sequence[str]) -> None:
    """Draw as many posts as fit, in the middle of their room, the prompt in bold in each."""
    draw = ImageDraw.Draw(image)
    top, bottom = _MARGIN + _HEAD - 8, SIZE[1] - _MARGIN - _FOOT + 8
    layout = _fitting_layout(posts, prompt, right - left, bottom - top)
    regular, bold = _font(layout.size), _font(layout.size, bold=True)
    y = top + (bottom - top - layout.height) // 2
    for lines in layout.posts:
        _draw_box(image, (left, y, right, y + layout.height_of(lines)), 18, _BUBBLE)
        line_y = y + layout.size // 2
        num_bold = len(prompt) if " ".join(lines).startswith(prompt) else 0
        for line in lines:
            draw.text((left + 24, line_y), line[:num_bold], _ACCENT, bold)
            draw.text((left + 24 + bold.getlength(line[:num_bold]), line_y), line[num_bold:], _INK, regular)
            num_bold = max(0, num_bold - len(line) - 1)
            line_y += layout.line_height
        y += layout.height_of(lines) + _GAP


def _fitting_layout(posts: Sequence[str], prompt: str, width: int, height: int) -> _Layout:
    """Return all posts in the largest letters in which they fit; as many as fit in the smallest."""
    for size in _POST_SIZES:
        regular, bold = _font(size), _font(size, bold=True)
        room = width - 48 - (bold.getlength(prompt) - regular.getlength(prompt))
        layout = _Layout(size=size, posts=[wrap(post, regular, room, _MOST_LINES) for post in posts])
        if layout.height <= height:
            return layout
    while layout.height > height:
        layout = _Layout(size=layout.size, posts=layout.posts[:-1])
    return layout


def _draw_foot(image: Image.Image, left: int, right: int, is_cyborg: bool) -> None:
    draw = ImageDraw.Draw(image)
    y = SIZE[1] - _MARGIN - 24
    whose = "these accounts' posts" if is_cyborg else "this account's posts"
    written_by = f"Written by a language model trained on {whose}"
    draw.text((left, y), written_by, _MUTED, _font(_SMALL_SIZE - 2), anchor="lm")
    draw.text((right, y), "TweetBot operator", _MUTED, _font(_SMALL_SIZE - 2, bold=True), anchor="rm")


def _background() -> Image.Image:
    """Return a diagonal gradient with a white card on it."""
    width, height = SIZE
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    share = ((across + down) / 2)[..., None]
    image = Image.fromarray((np.array(_TOP) * (1 - share) + np.array(_BOTTOM) * share).astype(np.uint8))
    _draw_box(image, (_MARGIN, _MARGIN - 8, width - _MARGIN, height - _MARGIN + 8), 32, _WHITE)
    return image


def _draw_box(image: Image.Image, box: tuple[int, int, int, int], radius: int, fill: str) -> None:
    """Draw a box with round corners and smooth edges."""
    size = (box[2] - box[0], box[3] - box[1])
    large = (size[0] * _SMOOTH - 1, size[1] * _SMOOTH - 1)
    mask = Image.new("L", (size[0] * _SMOOTH, size[1] * _SMOOTH))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, *large), radius * _SMOOTH, fill=255)
    image.paste(fill, box, mask.resize(size, Image.Resampling.LANCZOS))


def _shortened(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Return the text cut to the width, with an ellipsis if something is missing."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text.rstrip(f" {_ELLIPSIS}") + _ELLIPSIS) > width:
        text = text[:-1]
    return text.rstrip(f" {_ELLIPSIS}") + _ELLIPSIS


def _drawn(character: str) -> str:
    if ord(character) in _glyphs():
        return character
    is_letter = unicodedata.category(character)[0] in "LN"
    return _ELLIPSIS if is_letter else ""


@cache
def _glyphs() -> frozenset[int]:
    """Return the code points that both weights have; colour emoji would come out as flat black shapes."""
    maps = [FT2Font(str(_font_file(bold=bold))).get_charmap() for bold in (False, True)]
    return frozenset(point for point in maps[0].keys() & maps[1].keys() if not _is_emoji(point))


def _is_emoji(point: int) -> bool:
    return point >= 0x1F000 or 0x2600 <= point <= 0x27BF or 0xFE00 <= point <= 0xFE0F or point == 0x200D


@cache
def _font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(_font_file(bold=bold), size)


def _font_file(*, bold: bool) -> Path:
    return Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")
