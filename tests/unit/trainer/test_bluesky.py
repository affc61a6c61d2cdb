import pytest

from tweetbot_api.conditions import Reason
from tweetbot_api.exitcodes import ExitCode
from tweetbot_api.source_access import SourceAccess
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.bluesky import Bluesky
from tweetbot_trainer.sources.web import Web

HANDLE = "alice.bsky.social"
DID = "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
POSTS = "app.bsky.feed.post"


def record(number, text, **value):
    created = {"createdAt": f"2026-01-{number:02}T10:00:00.000Z"}
    value = {"$type": POSTS, "text": text, "langs": ["en"], **created, **value}
    return {"uri": f"at://{DID}/{POSTS}/{number}", "cid": "x", "value": value}


def quoting(collection, **embed):
    return {"$type": "app.bsky.embed.record", "record": {"uri": f"at://did:plc:b/{collection}/1", "cid": "x"}, **embed}


class Network:
    """Resolver, directory and the account's own server, all on one address of loopback."""

    def __init__(self, answering):
        self.records = []
        self.document = None
        self.overrides = {}
        self.server = answering(self.answer)
        self.pds = self.server.url
        self.did = DID

    def answer(self, path, query):
        name = path.rpartition("/")[2]
        if name in self.overrides:
            return self.overrides[name]
        if name == "com.atproto.identity.resolveHandle":
            if query["handle"] != HANDLE:
                return 400, {"error": "InvalidRequest", "message": "Unable to resolve handle"}
            return 200, {"did": self.did}
        if name == DID:
            service = {"id": "#atproto_pds", "type": "AtprotoPersonalDataServer", "serviceEndpoint": self.pds}
            document = {"id": DID, "alsoKnownAs": [f"at://{HANDLE}"], "service": [service]}
            return 200, self.document or document
        if name == "com.atproto.repo.getRecord":
            return 200, {"value": {"displayName": "Alice 🦋"}}
        assert name == "com.atproto.repo.listRecords"
        assert (query["repo"], query["collection"], query["limit"]) == (DID, POSTS, "100")
        start = int(query.get("cursor", 0))
        page = self.records[start : start + 2]
        more = {"cursor": str(start + 2)} if start + 2 < len(self.records) else {}
        return 200, {"records": page, **more}

    def source(self):
        access = SourceAccess(
            bluesky_resolver_url=self.server.url,
            bluesky_directory_url=self.server.url,
            trusted_servers=[self.server.url],
        )
        return Bluesky(access, Web(access.trusted_servers, sleep=lambda _: None))

    def error(self, handle=HANDLE):
        with pytest.raises(TrainerError) as caught:
            list(self.source().posts(handle))
        return caught.value


@pytest.fixture
def network(answering):
    network = Network(answering)
    network.records = [record(1, "hello")]
    return network


def test_each_trap_of_a_repository_comes_out_as_a_reader_sees_it(network):
    media = quoting(POSTS)
    with_media = {"$type": "app.bsky.embed.recordWithMedia", "record": {"record": media["record"]}, "media": {}}
    network.records = [
        record(9, "look at this", embed=quoting(POSTS)),
        record(8, "and with a picture", embed=with_media),
        record(7, "my list", embed=quoting("app.bsky.graph.list")),
        record(6, "@bob yes", reply={"root": {"uri": "at://x"}, "parent": {"uri": "at://x"}}),
        record(5, "おはよう", langs=["ja", "en"]),
        record(4, "no language", langs=[]),
        record(3, ""),
        record(2, "no time", createdAt="yesterday"),
        {"uri": f"at://{DID}/{POSTS}/1", "value": {"$type": POSTS}},
        "not even a record",
    ]
    source = network.source()
    posts = list(source.posts(HANDLE))
    assert [(post.text, post.kind, post.lang) for post in posts] == [
        ("look at this", "quote", "en"),
        ("and with a picture", "quote", "en"),
        ("my list", "original", "en"),
        ("@bob yes", "reply", "en"),
        ("おはよう", "original", "ja"),
        ("no language", "original", None),
        ("", "original", "en"),
        ("no time", "original", "en"),
    ]
    assert posts[0].created_at.isoformat() == "2026-01-09T10:00:00+00:00"
    assert posts[-1].created_at is None
    assert {post.source for post in posts} == {"bluesky"}
    assert source.display_name(HANDLE) == "Alice 🦋"
    assert len({post.id for post in posts}) == 8


def test_an_unknown_handle_is_named(network):
    error = network.error("bob.example")
    assert (error.reason, error.exit_code) == (Reason.HANDLE_NOT_FOUND, ExitCode.HANDLE_MISSING)


def test_a_handle_that_the_account_does_not_answer_to_is_refused(network):
    network.document = {"alsoKnownAs": ["at://new.example"], "service": []}
    error = network.error()
    assert error.reason == Reason.HANDLE_RENAMED
    assert "new.example" in error.message


@pytest.mark.parametrize("kind", ["RepoTakendown", "RepoDeactivated"])
def test_a_closed_account_is_named(network, kind):
    network.overrides["com.atproto.repo.listRecords"] = (400, {"error": kind})
    assert network.error().reason == Reason.HANDLE_SUSPENDED


def test_an_account_that_left_the_directory_is_named(network):
    network.overrides[DID] = (410, {"message": "DID not available"})
    assert network.error().reason == Reason.HANDLE_NOT_FOUND


def test_an_account_without_posts_is_empty(network):
    network.records = []
    assert network.error().reason == Reason.SOURCE_EMPTY


@pytest.mark.parametrize("pds", ["https://127.0.0.1:1", "http://example.com", "https://169.254.169.254", "file:///etc"])
def test_a_document_that_points_inside_is_not_followed(network, pds):
    network.pds = pds
    error = network.error()
    assert error.reason in {Reason.SOURCE_ADDRESS_REFUSED, Reason.SOURCE_UNAVAILABLE}
    assert not [path for path, _ in network.server.requests if "listRecords" in path]


@pytest.mark.parametrize(
    "did", ["did:web:127.0.0.1%3A1", "did:web:localhost", "did:web:a/../b", "did:plc:../x", "x", 5]
)
def test_an_identifier_that_points_inside_is_not_followed(network, did):
    network.did = did
    assert network.error().reason in {Reason.SOURCE_ADDRESS_REFUSED, Reason.SOURCE_ANSWER_UNUSABLE}


@pytest.mark.parametrize("page", [{}, {"records": 5}, [], {"records": [{}], "cursor": "7"}])
def test_pages_that_are_none_or_go_in_a_circle_are_refused(network, page):
    network.overrides["com.atproto.repo.listRecords"] = (200, page)
    assert network.error().reason == Reason.SOURCE_ANSWER_UNUSABLE


def test_a_server_that_refuses_is_quoted_on_one_line(network):
    network.overrides["com.atproto.repo.listRecords"] = (403, {"error": "Nope", "message": "go\naway\u202e"})
    error = network.error()
    assert error.reason == Reason.SOURCE_FORBIDDEN
    assert error.message.endswith("HTTP 403: go away")


def test_the_picture_comes_from_the_accounts_own_server(network):
    blob = {"$type": "blob", "ref": {"$link": "bafkrei"}, "mimeType": "image/jpeg"}
    network.overrides["com.atproto.repo.getRecord"] = (200, {"value": {"avatar": blob}})
    network.overrides["com.atproto.sync.getBlob"] = (200, b"a picture")
    source = network.source()
    list(source.posts(HANDLE))
    assert source.avatar(HANDLE) == b"a picture"
    assert network.server.requests[-1][1] == {"did": DID, "cid": "bafkrei"}
    assert source.display_name(HANDLE) is None


def test_an_account_without_a_profile_has_neither_name_nor_picture(network):
    network.overrides["com.atproto.repo.getRecord"] = (400, {"error": "RecordNotFound"})
    source = network.source()
    list(source.posts(HANDLE))
    assert (source.display_name(HANDLE), source.avatar(HANDLE)) == (None, None)
