import pytest

from tweetbot_api.conditions import Reason
from tweetbot_api.exitcodes import ExitCode
from tweetbot_api.source_access import SourceAccess
from tweetbot_api.spec.source import MastodonSource
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.mastodon import Mastodon
from tweetbot_trainer.sources.web import Web

ACCOUNT = {"id": "42", "username": "ada", "acct": "ada", "display_name": "Ada :verified:"}


def status(number, content, **fields):
    return {
        "id": str(number),
        "uri": f"https://social.example/users/ada/statuses/{number}",
        "created_at": f"2026-01-{number:02}T10:00:00.000Z",
        "visibility": "public",
        "language": "en",
        "spoiler_text": "",
        "in_reply_to_id": None,
        "reblog": None,
        "content": content,
        **fields,
    }


class Instance:
    """A Mastodon server on loopback with pages of two."""

    def __init__(self, answering):
        self.account = ACCOUNT
        self.statuses = [status(1, "<p>hello</p>")]
        self.overrides = {}
        self.server = answering(self.answer)

    def answer(self, path, query):
        name = path.rpartition("/")[2]
        if name in self.overrides:
            return self.overrides[name]
        if name == "lookup":
            return (200, self.account) if query["acct"] == "ada" else (404, {"error": "Record not found"})
        assert path == "/api/v1/accounts/42/statuses"
        assert query["limit"] == "40"
        rest = [item for item in self.statuses if int(item["id"]) < int(query.get("max_id", 10**6))]
        page = rest[:2]
        # The host in the link is another's on purpose: only the id in it may be used.
        link = f'<https://evil.example/next?max_id={page[-1]["id"]}>; rel="next", <https://x/?min_id=9>; rel="prev"'
        return 200, page, {"Link": link} if len(rest) > 2 else {}

    def source(self):
        access = SourceAccess(trusted_servers=["https://other.example", self.server.url])
        web = Web(access.trusted_servers, sleep=lambda _: None)
        return Mastodon(MastodonSource.model_construct(instance=self.server.netloc), access, web)

    def error(self, handle="ada"):
        with pytest.raises(TrainerError) as caught:
            list(self.source().posts(handle))
        return caught.value


@pytest.fixture
def instance(answering):
    return Instance(answering)


def test_each_trap_of_a_timeline_comes_out_as_a_reader_sees_it(instance):
    link = (
        '<a href="https://example.org/a/long/path"><span class="invisible">https://</span>'
        '<span class="ellipsis">example.org/a/lo</span><span class="invisible">ng/path</span></a>'
    )
    mention = '<span class="h-card"><a href="https://x.example/@bob" class="u-url mention">@<span>bob</span></a></span>'
    instance.statuses = [
        status(9, f"<p>look {link}</p>", language=None),
        status(8, f"<p>{mention} yes</p>", in_reply_to_id="5"),
        status(7, "<p>first<br>second</p><p>third &amp; last</p>"),
        status(6, "<p>theirs</p>", reblog={"id": "99", "content": "<p>theirs</p>"}),
        status(5, "<p>quietly</p>", visibility="unlisted"),
        status(4, "<p>for followers</p>", visibility="private"),
        status(3, "<p>for you</p>", visibility="direct"),
        status(2, "<p>the plot</p>", spoiler_text="spoilers"),
        status(1, "<p>see there</p>", quote={"state": "accepted"}),
    ]
    source = instance.source()
    posts = list(source.posts("ada"))
    assert [(post.text, post.kind, post.lang) for post in posts] == [
        ("look https://example.org/a/long/path", "original", None),
        ("@bob yes", "reply", "en"),
        ("first\nsecond\n\nthird & last", "original", "en"),
        ("", "repost", "en"),
        ("quietly", "original", "en"),
        ("the plot", "original", "en"),
        ("see there", "quote", "en"),
    ]
    assert posts[0].created_at.isoformat() == "2026-01-09T10:00:00+00:00"
    assert {post.source for post in posts} == {"mastodon"}
    assert source.display_name("ada") == "Ada :verified:"
    assert len(instance.server.requests) == 6


def test_an_unknown_handle_is_named(instance):
    error = instance.error("bob")
    assert (error.reason, error.exit_code) == (Reason.HANDLE_NOT_FOUND, ExitCode.HANDLE_MISSING)


def test_a_suspended_account_is_named(instance):
    instance.account = {**ACCOUNT, "suspended": True}
    assert instance.error().reason == Reason.HANDLE_SUSPENDED
    instance.overrides["lookup"] = (410, {"error": "Gone"})
    assert instance.error().reason == Reason.HANDLE_SUSPENDED


@pytest.mark.parametrize("code", [401, 403, 422])
def test_a_server_that_answers_members_only_is_named(instance, code):
    instance.overrides["statuses"] = (code, {"error": "This API requires an authenticated user"})
    error = instance.error()
    assert (error.reason, error.exit_code) == (Reason.SOURCE_FORBIDDEN, ExitCode.SOURCE_REFUSED)
    assert "use the owner's archive" in error.message


def test_a_rate_limit_is_waited_for(answering, instance):
    answers = [(429, {}, {"X-RateLimit-Reset": "2026-01-01T00:00:00Z"})]
    normal = instance.answer
    instance.server.answer = lambda path, query: answers.pop() if answers else normal(path, query)
    assert len(list(instance.source().posts("ada"))) == 1


def test_what_is_no_mastodon_server_is_named(instance):
    instance.overrides["lookup"] = (404, b"<html>not here</html>")
    error = instance.error()
    assert error.reason == Reason.SOURCE_ANSWER_UNUSABLE
    assert "is it the account's own server?" in error.message


@pytest.mark.parametrize("page", [{}, [1], b"<html>", [{"id": "1", "visibility": "public"}]])
def test_pages_that_are_none_are_refused(instance, page):
    instance.overrides["statuses"] = (200, page)
    assert instance.error().reason == Reason.SOURCE_ANSWER_UNUSABLE


def test_pages_in_a_circle_are_refused(instance):
    link = {"Link": '<https://x/?max_id=1>; rel="next"'}
    instance.overrides["statuses"] = (200, [status(1, "<p>again</p>")], link)
    assert instance.error().reason == Reason.SOURCE_ANSWER_UNUSABLE


def test_an_account_without_public_posts_is_empty(instance):
    instance.statuses = [status(1, "<p>for followers</p>", visibility="private")]
    assert instance.error().reason == Reason.SOURCE_EMPTY


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost.localdomain", "169.254.169.254", "10.0.0.1:8443"])
def test_an_instance_inside_is_not_asked(host):
    access = SourceAccess()
    source = Mastodon(MastodonSource(instance=host), access, Web(sleep=lambda _: None))
    with pytest.raises(TrainerError) as caught:
        list(source.posts("ada"))
    assert caught.value.reason in {Reason.SOURCE_ADDRESS_REFUSED, Reason.SOURCE_UNAVAILABLE}


def test_the_picture_is_the_accounts_and_its_absence_stops_nothing(instance):
    instance.account = {**ACCOUNT, "avatar_static": f"{instance.server.url}/ada.png"}
    instance.overrides["ada.png"] = (200, b"a picture")
    source = instance.source()
    assert source.avatar("ada") is None
    list(source.posts("ada"))
    assert source.avatar("ada") == b"a picture"
    instance.overrides["ada.png"] = (404, b"")
    assert source.avatar("ada") is None


@pytest.mark.parametrize(
    "url", [None, 5, "", "no address", "http://[", "https://127.0.0.1:1/a.png", "file:///etc/passwd"]
)
def test_a_picture_somewhere_inside_is_not_fetched(instance, url):
    instance.account = {**ACCOUNT, "avatar_static": url}
    source = instance.source()
    list(source.posts("ada"))
    assert source.avatar("ada") is None
