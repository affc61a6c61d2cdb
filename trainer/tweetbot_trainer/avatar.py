"""An account's picture, as somebody else's server or archive gave it, made safe to store and show.

Only still images of four formats are decoded, none larger than 16 megapixels, and what is stored is drawn anew: no
metadata, no bytes of the original.
"""

import io
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

AVATAR_PIXELS: Final = 184
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF")
_MOST_PIXELS: Final = 16_000_000


def draw_avatar(data: bytes) -> bytes | None:
    """Return the picture as a square PNG, None if it is none that can be shown."""
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                return None
            square = ImageOps.fit(image.convert("RGB"), (AVATAR_PIXELS, AVATAR_PIXELS))
    except (OSError, ValueError, SyntaxError, EOFError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    file = io.BytesIO()
    square.save(file, "PNG", optimize=True)
    return file.getvalue()
