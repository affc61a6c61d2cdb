"""Files that are made to hurt their reader: bombs, depth, endless bodies, wrong encodings, names that climb."""

import gzip
import io
import json
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.factories import make_archive, ytd
from tests.post_files import HANDLE, PUBLIC, mastodon_tar, write_parquet

MIB = 1024**2
TWEETS = "data/tweets.js"
START = "window.YTD.tweets.part0 = "


def zipped(members: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def posts_js(body: str | bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an archive whose tweets.js has this body."""
    return zipped({TWEETS: START.encode() + (body.encode() if isinstance(body, str) else body)}, method)


def patched(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """Return the zip with bytes of its last header of a kind replaced."""
    at = data.rindex(signature) + offset
    return data[:at] + value + data[at + len(value) :]


def linked_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo(TWEETS)
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    return file.getvalue()


def doubled_zip() -> bytes:
    """Two entries of the directory that share one member's bytes."""
    data = zipped({TWEETS: ytd("tweets", [{"full_text": "a"}])})
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    entry = data[start:end]
    tail = bytearray(data[end:])
    struct.pack_into("<HHI", tail, 8, 2, 2, 2 * len(entry))
    return data[:start] + entry + entry.replace(b"tweets.js", b"tweet.js\0") + bytes(tail)


def tarred(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=tarfile.PAX_FORMAT) as archive:  # type: ignore[call-overload]
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", **pax: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.pax_headers = kind, target, pax
    return member


def outbox(items: Any, head: str = "") -> bytes:
    body = items if isinstance(items, str) else json.dumps(items)
    return f'{{"@context": "x", "type": "OrderedCollection", {head}"orderedItems": {body}}}'.encode()


def toot(content: str, actor: str = HANDLE) -> dict[str, Any]:
    address = f"https://social.example/users/{actor}"
    return {"type": "Create", "actor": address, "object": {"content": content, "to": [PUBLIC]}}


def parquet_of(folder: Path, texts: list[str]) -> bytes:
    return write_parquet(folder / "made", [{"text": text} for text in texts]).read_bytes()


def big_parquet(folder: Path) -> bytes:
    """60 MiB of one letter in a few kilobytes."""
    import pyarrow as pa
    from pyarrow import parquet

    texts = pa.array([f"{number:04}" + "a" * 60_000 for number in range(1_000)])
    parquet.write_table(pa.table({"text": texts}), folder / "made", compression="zstd", use_dictionary=False)
    return (folder / "made").read_bytes()


def random_bytes(count: int) -> bytes:
    return random.Random(1).randbytes(count)


NOTE_BOMB = {TWEETS: ytd("tweets", [{"full_text": "a"}]), "data/note-tweet.js": START + "[" + " " * 20 * MIB}
OBJECT = '{"full_text": "private words", '

HOSTILE: Mapping[str, tuple[str, Callable[[Path], bytes]]] = {
    # Zip archives
    "spaces, 1000 to 1": ("a.zip", lambda _: posts_js("[" + " " * 50 * MIB)),
    "a zip in a zip in a zip": ("a.zip", lambda _: zipped({"a.zip": zipped({"b.zip": posts_js("[]")})})),
    "a zip as tweets.js": ("a.zip", lambda _: zipped({TWEETS: posts_js("[" + " " * 9 * MIB)})),
    "one member under two names": ("a.zip", lambda _: doubled_zip()),
    "a name that climbs": ("a.zip", lambda _: zipped({f"../../{TWEETS}": ytd("tweets", [{"full_text": "a"}])})),
    "a name that climbs once": ("a.zip", lambda _: zipped({f"../{TWEETS}": ytd("tweets", [{"full_text": "a"}])})),
    "a name from the root": ("a.zip", lambda _: zipped({f"/{TWEETS}": ytd("tweets", [{"full_text": "a"}])})),
    "a name of Windows": ("a.zip", lambda _: zipped({"..\\..\\tweets.js": ytd("tweets", [{"full_text": "a"}])})),
    "an outbox that climbs": ("a.zip", lambda _: zipped({"../outbox.json": outbox([toot("<p>a</p>")])})),
    "a link to a file of the machine": ("a.zip", lambda _: linked_zip()),
    "an encrypted member": ("a.zip", lambda _: patched(posts_js("[]"), b"PK\x01\x02", 8, b"\x01\x00")),
    "an unknown compression": ("a.zip", lambda _: patched(posts_js("[]"), b"PK\x01\x02", 10, b"\x63\x00")),
    "a wrong checksum": ("a.zip", lambda _: patched(posts_js("[]"), b"PK\x01\x02", 16, b"\xff\xff\xff\xff")),
    "a size that lies": (
        "a.zip",
        lambda _: patched(posts_js('[{"full_text": "a"}]'), b"PK\x01\x02", 24, b"\x28\0\0\0"),
    ),
    "a directory cut off": ("a.zip", lambda _: posts_js("[]")[:-30]),
    "a zip's first bytes": ("a.zip", lambda _: b"PK\x03\x04"),
    "a zip's last bytes": ("a.zip", lambda _: b"PK\x05\x06" + bytes(18)),
    "a zip of pictures": ("a.zip", lambda _: zipped({"media/1.png": bytes(100)})),
    "notes without end": ("a.zip", lambda _: zipped(NOTE_BOMB)),
    "a deep account": ("a.zip", lambda _: zipped({"data/account.js": START + "[" * MIB, TWEETS: START + "[]"})),
    "another's archive": ("a.zip", lambda folder: make_archive(folder / "made", ["a"], username="bob").read_bytes()),
    # tweets.js
    "a script": ("a.zip", lambda _: zipped({TWEETS: "alert(1)"})),
    "deep arrays": ("a.zip", lambda _: posts_js("[" + "[" * 2 * MIB, zipfile.ZIP_STORED)),
    "deep objects": ("a.zip", lambda _: posts_js("[" + '{"a":' * MIB, zipfile.ZIP_STORED)),
    "a post without end": ("a.zip", lambda _: posts_js('[{"full_text": "' + "a" * 3 * MIB, zipfile.ZIP_STORED)),
    "white space without end": ("a.zip", lambda _: posts_js("[" + " " * 5 * MIB, zipfile.ZIP_STORED)),
    "a huge integer": ("a.zip", lambda _: posts_js("[" + OBJECT + '"id": ' + "9" * 5000 + "}]")),
    "a huge exponent as text": ("a.zip", lambda _: posts_js('[{"full_text": 1e999999}]')),
    "an array cut off": ("a.zip", lambda _: posts_js("[" + OBJECT)),
    "an array of numbers": ("a.zip", lambda _: posts_js("[1, 2]")),
    "no UTF-8 in a post": ("a.zip", lambda _: posts_js(b'[{"full_text": "\xff\xfe"}]')),
    "UTF-16 in the zip": ("a.zip", lambda _: zipped({TWEETS: (START + "[]").encode("utf-16")})),
    "a tweets.js without end": ("tweets.js", lambda _: (START + "[" + " " * 5 * MIB).encode()),
    # gzip and tar
    "zeros, 1000 to 1": ("a.jsonl.gz", lambda _: gzip.compress(bytes(100 * MIB), 1)),
    "posts, 500 to 1": ("a.jsonl.gz", lambda _: gzip.compress(b'"three whole words"\n' * 2 * MIB)),
    "a gzip cut off": ("a.jsonl.gz", lambda _: gzip.compress(random_bytes(9000).hex().encode())[:-20]),
    "a gzip with a wrong checksum": ("a.txt.gz", lambda _: gzip.compress(b"words")[:-8] + bytes(8)),
    "posts, 500 to 1, that lie": (
        "a.jsonl.gz",
        lambda _: gzip.compress(b'"words of mine"\n' * 2 * MIB)[:-4] + bytes(4),
    ),
    "a gzip in a gzip": ("a.jsonl.gz", lambda _: gzip.compress(gzip.compress(bytes(50 * MIB)))),
    "a tar's header without end": ("a.tar.gz", lambda _: tarred((entry("outbox.json", comment="a" * 90 * MIB), b""))),
    "a tar's long name": ("a.tar", lambda _: tarred((entry("a" * 4 * MIB), b""), mode="w:")),
    "an outbox in a tar that climbs": ("a.tar.gz", lambda _: tarred((entry("../../outbox.json"), outbox([])))),
    "an outbox that is a link": (
        "a.tar",
        lambda _: tarred((entry("outbox.json", tarfile.SYMTYPE, "/etc/passwd"), b"")),
    ),
    "an outbox that is a device": ("a.tar", lambda _: tarred((entry("outbox.json", tarfile.CHRTYPE), b""))),
    "an outbox of zeros": ("a.tar.gz", lambda _: tarred((entry("outbox.json"), bytes(60 * MIB)))),
    "a tar cut off": ("a.tar", lambda folder: gzip.decompress(mastodon_tar(folder).read_bytes())[:11_000]),
    # Mastodon
    "a deep outbox": ("outbox.json", lambda _: outbox("[" + "[" * MIB)),
    "a deep context": ("outbox.json", lambda _: outbox([], '"x": ' + '{"a":' * MIB)),
    "an outbox of text": ("outbox.json", lambda _: outbox("[1]")),
    "an outbox without items": ("outbox.json", lambda _: outbox([])),
    "deep HTML": ("outbox.json", lambda _: outbox([toot("<div>" * 100_000)])),
    "another's outbox": ("outbox.json", lambda _: outbox([toot("<p>a</p>", "bob")])),
    # JSON lines and documents
    "a deep line": ("a.jsonl", lambda _: b'"fine"\n' + b"[" * MIB),
    "a line without end": ("a.jsonl", lambda _: b'{"text": "' + b"a" * 20 * MIB),
    "a line of a million values": ("a.jsonl", lambda _: b'{"text": "a", "x": [' + b"[]," * MIB + b"0]}"),
    "a line with a huge integer": ("a.jsonl", lambda _: b'{"text": "a", "id": ' + b"9" * 5000 + b"}"),
    "Latin-1 as JSON": ("a.jsonl", lambda _: '{"text": "déjà vu"}'.encode("latin-1")),
    "UTF-16 cut in half": ("a.jsonl", lambda _: '{"text": "a"}'.encode("utf-16")[:-1]),
    "UTF-32 beyond Unicode": ("a.jsonl", lambda _: b"\xff\xfe\0\0" + b"\xff\xff\xff\xff" * 20),
    "null": ("a.jsonl", lambda _: b"null\n"),
    "objects without text": ("a.jsonl", lambda _: b'{"likes": 5}\n'),
    "a list of lists": ("a.json", lambda _: b'[["a"]]'),
    "a list cut off": ("a.json", lambda _: b'["a", "b'),
    "a deep list": ("a.json", lambda _: b"[" * 3 * MIB),
    "a deep document": ("a.json", lambda _: b"{\n" + b'"a":{' * MIB),
    # Tables and lines
    "a quote that never closes": ("a.csv", lambda _: b'id,text\n1,"' + b"a,b\n" * MIB),
    "ten thousand columns": ("a.csv", lambda _: b"text," + b",".join(b"c%d" % i for i in range(3_000)) + b"\na"),
    "a field without end": ("a.csv", lambda _: b"id,text\n1," + b"a" * 300_000),
    "no column of texts": ("a.csv", lambda _: b"id,likes\n1,2\n"),
    "ids alone": ("a.csv", lambda _: b"tweet_id\n1480000000000000001\n"),
    "ids, one a line": ("ids.txt", lambda _: b"1480000000000000001\n" * 1000),
    "Shift-JIS": ("a.csv", lambda _: "text\n日本語のツイート、とても長い\n".encode("shift_jis")),
    "GBK": ("a.txt", lambda _: "今天天气很好我们去公园散步吧\n".encode("gbk")),
    "a plain line without end": ("a.txt", lambda _: b"a" * 5 * MIB),
    # Parquet
    "a Parquet's first bytes": ("a.parquet", lambda _: b"PAR1"),
    "a Parquet cut off": ("a.parquet", lambda folder: parquet_of(folder, ["a"])[:-20]),
    "a footer that lies": ("a.parquet", lambda _: b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1"),
    "one text in each row": ("a.parquet", lambda folder: parquet_of(folder, ["a" * MIB] * 1_000)),
    "one letter, 60 MiB": ("a.parquet", big_parquet),
    # Something else
    "nothing": ("a.jsonl", lambda _: b""),
    "white space": ("a.txt", lambda _: b" \n" * MIB),
    "zeros": ("a.txt", lambda _: bytes(5 * MIB)),
    "noise": ("a.jsonl", lambda _: random_bytes(MIB)),
    "a page that says no": ("a.zip", lambda _: b"<!DOCTYPE html><html><body>Access denied</body></html>"),
    "an answer of S3": ("a.jsonl", lambda _: b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'),
    "a program": ("a.csv", lambda _: b"\x7fELF\x02\x01\x01" + bytes(64) + random_bytes(9000)),
}
