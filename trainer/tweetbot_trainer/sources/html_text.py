"""Posts that a server keeps as HTML, as the text that their author typed."""

from typing import Final

from selectolax.lexbor import LexborHTMLParser

from tweetbot_trainer.sources.limits import unreadable

MAX_TAGS: Final = 5_000
"""Tags of one post: the parser's time grows with the square of their depth."""
_PARAGRAPHS: Final = "p, div, li, blockquote, pre, h1, h2, h3, h4, h5, h6"


def html_to_text(html: str, place: str) -> str:
    """Return the text: `<br>` a new line, a paragraph an empty line, links as they are shown or whole where shortened.

    Mastodon hides the scheme and the tail of a long link in invisible spans; text keeps them, so that a link reads as
    it was typed. What runs or is never shown (scripts, styles) is left out.
    """
    if html.count("<") > MAX_TAGS:
        raise unreadable(place, f"has more than {MAX_TAGS:,} HTML tags")
    tree = LexborHTMLParser(html)
    if tree.body is None:
        return ""
    for node in tree.css("script, style, template, noscript"):
        node.decompose()
    for node in tree.css("br"):
        node.replace_with("\n")
    for node in tree.css(_PARAGRAPHS):
        node.insert_after("\n\n")
    return tree.body.text().strip()
