import io
import struct
import zlib

import pytest
from PIL import Image

from tweetbot_trainer.avatar import AVATAR_PIXELS, draw_avatar


def picture(form, size=(60, 40), mode="RGB", **options):
    file = io.BytesIO()
    Image.new(mode, size, 120).save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("data", [picture("PNG", mode="L"), picture("JPEG"), picture("WEBP"), picture("GIF", mode="P")])
def test_a_picture_becomes_a_square_png(data):
    with Image.open(io.BytesIO(draw_avatar(data))) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (AVATAR_PIXELS, AVATAR_PIXELS), "RGB")


def test_nothing_of_the_original_but_its_colours_is_kept():
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    data = picture("JPEG", exif=exif.tobytes())
    assert b"secret" in data
    assert b"secret" not in draw_avatar(data)


def huge_png():
    """Return a small file that says that it has 10,000 million pixels."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        picture("PNG")[:60],
        picture("JPEG")[:-200],
        picture("TIFF"),
        huge_png(),
        picture("PNG", size=(5000, 4000)),
    ],
    ids=["nothing", "svg", "postscript", "cut png", "cut jpeg", "tiff", "bomb", "too large"],
)
def test_what_is_no_picture_of_a_sane_size_is_left_out(data):
    assert draw_avatar(data) is None
