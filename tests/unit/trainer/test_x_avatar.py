import pytest

from tests.factories import make_archive, ytd
from tweetbot_trainer.sources.base import HasAvatars
from tweetbot_trainer.sources.files import FilesSource

ADDRESS = "https://pbs.twimg.com/profile_images/1379854432616247301/meLxK4Wc.jpg"


def avatar_in(tmp_path, members, address=ADDRESS):
    """Return what the source gives for an archive whose profile.js tells this address."""
    profile = ytd("profile", [{"profile": {"description": {"bio": "gm"}, "avatarMediaUrl": address}}])
    path = make_archive(tmp_path / "me.zip", ["gm"], others={"data/profile.js": profile, **members})
    source = FilesSource({"thisisaito": [path]})
    assert isinstance(source, HasAvatars)
    return source.avatar("thisisaito")


def test_the_picture_that_the_profile_names_is_read_from_the_archive(tmp_path):
    members = {"data/profile_media/42-header.jpg": "header", "data/profile_media/42-meLxK4Wc.jpg": "portrait"}
    assert avatar_in(tmp_path, members) == b"portrait"


def test_a_picture_may_have_another_suffix_than_its_address(tmp_path):
    assert avatar_in(tmp_path, {"data/profile_media/meLxK4Wc.png": "portrait"}) == b"portrait"


@pytest.mark.parametrize(
    ("members", "address"),
    [
        ({}, ADDRESS),
        ({"data/profile_media/42-other.jpg": "other"}, ADDRESS),
        ({"data/profile_media/42-.jpg": "other"}, "https://pbs.twimg.com/"),
        ({"data/profile_media/42-meLxK4Wc.jpg": "other"}, ".*"),
        ({"data/account.js.jpg": "other"}, "https://x.y/../../account.js"),
        ({"data/profile_media/42-meLxK4Wc.jpg": "x" * (2 * 1024**2 + 1)}, ADDRESS),
        ({"data/profile_media/42-meLxK4Wc.jpg": "other"}, None),
    ],
)
def test_no_picture_is_no_failure(tmp_path, members, address):
    assert avatar_in(tmp_path, members, address) is None


def test_a_damaged_profile_is_no_failure(tmp_path):
    path = make_archive(tmp_path / "me.zip", ["gm"], others={"data/profile.js": "window.YTD.profile.part0 = [{"})
    assert FilesSource({"thisisaito": [path]}).avatar("thisisaito") is None


def test_posts_without_an_archive_have_no_picture(tmp_path):
    (tmp_path / "posts.txt").write_text("one two three\n")
    assert FilesSource({"ada": [tmp_path / "posts.txt"]}).avatar("ada") is None
