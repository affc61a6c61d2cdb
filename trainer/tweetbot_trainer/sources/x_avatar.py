"""The account's picture in an X archive: profile.js tells its address, whose last part names a file there."""

import re
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from tweetbot_trainer.sources.ytd import read_objects
from tweetbot_trainer.sources.zips import PostZip

MOST_AVATAR_BYTES: Final = 2 * 1024**2
_PROFILE_MEMBERS: Final = re.compile(r"(data/)?profile\.js")


def read_avatar(archive: PostZip) -> bytes | None:
    """Return the picture's bytes, None if there is none of a sane size. Nothing is fetched from the address."""
    stem = _picture_stem(archive)
    if not stem:
        return None
    # The file's name begins with the account's number, which profile.js does not tell.
    members = archive.members(re.compile(rf"(data/)?profile_media/(\d+-)?{re.escape(stem)}(\.\w{{1,5}})?"))
    if not members:
        return None
    with archive.open(members[0]) as file:
        data = file.read(MOST_AVATAR_BYTES + 1)
    return data if len(data) <= MOST_AVATAR_BYTES else None


def _picture_stem(archive: PostZip) -> str | None:
    for member in archive.members(_PROFILE_MEMBERS):
        with archive.open(member) as file:
            for item in read_objects(file, archive.place(member)):
                profile = item.get("profile", item)
                address = profile.get("avatarMediaUrl") if isinstance(profile, dict) else None
                if isinstance(address, str):
                    return PurePosixPath(urlsplit(address).path).stem or None
    return None
