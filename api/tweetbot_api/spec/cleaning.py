"""Which posts are learned from, and what is changed in them."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tweetbot_api.model import ApiModel

DenyTerm = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
Marks = Literal["keep", "strip", "mask"]
Language = Literal[
    "af", "am", "an", "ar", "as", "az", "ba", "be", "bg", "bn", "br", "bs", "ca", "cs", "cy", "da", "de", "dz",
    "el", "en", "eo", "es", "et", "eu", "fa", "fi", "fo", "fr", "fy", "ga", "gd", "gl", "gu", "ha", "he", "hi",
    "hr", "ht", "hu", "hy", "id", "ig", "is", "it", "ja", "jv", "ka", "kk", "km", "kn", "ko", "ku", "ky", "la",
    "lb", "lg", "ln", "lo", "lt", "lv", "mg", "mk", "ml", "mn", "mr", "ms", "mt", "my", "ne", "nl", "nn", "no",
    "oc", "om", "or", "pa", "pl", "ps", "pt", "qu", "ro", "ru", "rw", "sa", "se", "si", "sk", "sl", "sn", "so",
    "sq", "sr", "st", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "ug", "uk", "ur", "uz", "vi",
    "vo", "wa", "xh", "yo", "zh", "zu",
]  # fmt: skip
"""The languages (ISO 639-1) that the trainer's detector tells apart."""


class Cleaning(ApiModel):
    """Which posts are learned from, and what is changed in them; the defaults are those of huggingtweets."""

    min_words: int = Field(default=3, ge=0, le=50)
    """A post with fewer words of the author's own is short and left out. A word that contains `http`, `@` or `#` is not
    the author's own."""
    unspaced_scripts: Literal["words", "characters"] = "words"
    """How Chinese, Japanese, Thai and other writing without spaces is judged. `words`, as huggingtweets does it, counts
    what white space separates, which drops nearly every such post as short. `characters` counts each two characters of
    such writing as one word."""
    mentions: Marks = "keep"
    """What becomes of `@names` in the kept posts: `keep`, `strip` deletes them, `mask` writes `@user` for each."""
    hashtags: Marks = "keep"
    """What becomes of `#tags` in the kept posts: `keep`, `strip` deletes them, `mask` writes `#hashtag` for each."""
    language: Language | None = None
    """Only posts in this language (ISO 639-1, for example `en`) are kept: as the source says or, where it says nothing,
    as far as a detector can tell. Without it, all."""
    deny_terms: list[DenyTerm] = Field(default=[], max_length=64)
    """Posts that contain one of these words or phrases, in upper or lower case, are left out."""
