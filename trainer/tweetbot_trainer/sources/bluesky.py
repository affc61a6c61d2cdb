"""The posts of Bluesky accounts, read from each account's own server.

`com.atproto.repo.listRecords` gives all that the account has posted and needs no credentials; reposts are another
collection. The way there: handle -> identifier (DID) -> document -> server. Lexicons:
https://github.com/bluesky-social/atproto/tree/main/lexicons; documents: https://www.w3.org/TR/did-core/.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import requests

from tweetbot_api.conditions import Reason
from tweetbot_api.source_access import SourceAccess
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.base import Post, PostKind, well_formed
from tweetbot_trainer.sources.times import parse_time
from tweetbot_trainer.sources.web import Web, error_object, host_of, json_object, quoted, unusable
from tweetbot_trainer.sources.x_objects import inner, language

logger = logging.getLogger(__name__)

PAGE_SIZE: Final = 100
MAX_PAGES: Final = 10_000
"""A million posts."""
_POSTS: Final = "app.bsky.feed.post"
_PROFILE: Final = "app.bsky.actor.profile"
_QUOTES: Final = frozenset({"app.bsky.embed.record", "app.bsky.embed.recordWithMedia"})
_DID = re.compile(r"did:(plc:[a-z2-7]{24}|web:[A-Za-z0-9.-]{1,253}(%3A[0-9]{1,5})?)")
_SERVER_SERVICE: Final = "#atproto_pds"
_GONE: Final = frozenset({"RepoTakendown", "RepoSuspended", "RepoDeactivated", "AccountTakedown", "AccountDeactivated"})


@dataclass(frozen=True, slots=True)
class _Profile:
    """What an account tells of itself, and where it lives."""

    server: str
    did: str
    fields: Mapping[str, Any]


class Bluesky:
    """Accounts on Bluesky, or on any other server of its protocol."""

    def __init__(self, access: SourceAccess, web: Web) -> None:
        self._access = access
        self._web = web
        self._profiles: dict[str, _Profile] = {}

    def posts(self, handle: str) -> Iterator[Post]:
        """Yield the account's posts, newest first."""
        did = self._resolve(handle)
        server = self._server_of(did, handle)
        self._profiles[handle] = _Profile(server, did, self._profile(server, did))
        num_posts = 0
        for record in self._records(server, did, handle):
            post = _post(record, handle)
            if post:
                num_posts += 1
                yield post
        if not num_posts:
            raise TrainerError(Reason.SOURCE_EMPTY, f"@{handle} has no posts on Bluesky")

    def display_name(self, handle: str) -> str | None:
        """Return the account's name as people see it, once its posts were asked for."""
        name = self._profiles[handle].fields.get("displayName") if handle in self._profiles else None
        return well_formed(name) if isinstance(name, str) and name else None

    def avatar(self, handle: str) -> bytes | None:
        """Return the account's picture from its server, once its posts were asked for."""
        profile = self._profiles.get(handle)
        content_id = inner(inner(profile.fields, "avatar"), "ref").get("$link") if profile else None
        if profile is None or not isinstance(content_id, str):
            return None
        url = f"{profile.server}/xrpc/com.atproto.sync.getBlob"
        return self._web.picture(url, {"did": profile.did, "cid": content_id})

    def _resolve(self, handle: str) -> str:
        """Return the identifier that the handle stands for."""
        url = f"{self._access.bluesky_resolver_url}/xrpc/com.atproto.identity.resolveHandle"
        response = self._web.get(url, {"handle": handle})
        if response.status_code == HTTPStatus.BAD_REQUEST:
            raise TrainerError(Reason.HANDLE_NOT_FOUND, f"Bluesky knows no account @{handle}")
        did = _answer(response, handle).get("did")
        if not isinstance(did, str) or not _DID.fullmatch(did):
            raise unusable(host_of(response), "answers with an identifier that is none")
        return did

    def _server_of(self, did: str, handle: str) -> str:
        """Return the address of the server that the account's document names."""
        method, _, name = did.removeprefix("did:").partition(":")
        directory = self._access.bluesky_directory_url
        web_host = name.replace("%3A", ":")
        url = f"{directory}/{did}" if method == "plc" else f"https://{web_host}/.well-known/did.json"
        response = self._web.get(url)
        if response.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            raise TrainerError(Reason.HANDLE_NOT_FOUND, f"the account @{handle} has been deleted")
        document = _answer(response, handle)
        _check_name(document, handle, host_of(response))
        services = document.get("service")
        for service in services if isinstance(services, list) else []:
            if isinstance(service, dict) and str(service.get("id", "")).endswith(_SERVER_SERVICE):
                address = service.get("serviceEndpoint")
                if isinstance(address, str):
                    return address.rstrip("/")
        raise unusable(host_of(response), f"names no server for @{handle}")

    def _profile(self, server: str, did: str) -> Mapping[str, Any]:
        url = f"{server}/xrpc/com.atproto.repo.getRecord"
        response = self._web.get(url, {"repo": did, "collection": _PROFILE, "rkey": "self"})
        return inner(json_object(response), "value") if response.status_code == HTTPStatus.OK else {}

    def _records(self, server: str, did: str, handle: str) -> Iterator[dict[str, Any]]:
        """Yield the records of all pages, each once."""
        url = f"{server}/xrpc/com.atproto.repo.listRecords"
        cursor: str | None = None
        cursors: set[str] = set()
        for _ in range(MAX_PAGES):
            response = self._web.get(url, {"repo": did, "collection": _POSTS, "limit": PAGE_SIZE, "cursor": cursor})
            page = _answer(response, handle)
            records = page.get("records")
            if not isinstance(records, list):
                raise unusable(host_of(response), "answers with a page without records")
            yield from (record for record in records if isinstance(record, dict))
            cursor = page.get("cursor")
            if not records or not cursor:
                return
            if not isinstance(cursor, str) or cursor in cursors:
                raise unusable(host_of(response), "gives pages in a circle")
            cursors.add(cursor)
        raise unusable(server, f"gives more than {MAX_PAGES:,} pages")


def _post(record: Mapping[str, Any], handle: str) -> Post | None:
    """Return the post of a record; None if its author's program has written none that can be read."""
    value = inner(record, "value")
    text, address = value.get("text"), record.get("uri")
    if not isinstance(text, str):
        logger.debug("record without a text passed over")
        return None
    languages = value.get("langs")
    return Post(
        id=address if isinstance(address, str) else None,
        handle=handle,
        text=well_formed(text),
        created_at=parse_time(value.get("createdAt")),
        kind=_kind(value),
        lang=language(languages[0]) if isinstance(languages, list) and languages else None,
        source="bluesky",
    )


def _kind(value: Mapping[str, Any]) -> PostKind:
    if value.get("reply"):
        return "reply"
    embed = inner(value, "embed")
    if embed.get("$type") not in _QUOTES:
        return "original"
    # The same embed carries lists, feeds and starter packs. With media, the record lies one level deeper.
    record = inner(embed, "record")
    address = record.get("uri") or inner(record, "record").get("uri")
    return "quote" if isinstance(address, str) and f"/{_POSTS}/" in address else "original"


def _check_name(document: Mapping[str, Any], handle: str, server: str) -> None:
    """Raise HandleRenamed unless the account's document answers to the handle: anybody may point a name at it."""
    aliases = document.get("alsoKnownAs")
    names = [str(alias).removeprefix("at://").lower() for alias in aliases] if isinstance(aliases, list) else []
    if handle not in names:
        now = quoted(names[0]) if names else "no name"
        raise TrainerError(Reason.HANDLE_RENAMED, f"{server}: the account that @{handle} points to answers to {now}")


def _answer(response: requests.Response, handle: str) -> dict[str, Any]:
    """Return the JSON object of a good answer; raise what any other means."""
    if response.status_code == HTTPStatus.OK:
        return json_object(response)
    problem = error_object(response)
    kind = str(problem.get("error", ""))
    if kind in _GONE:
        raise TrainerError(Reason.HANDLE_SUSPENDED, f"{host_of(response)} has taken down or closed @{handle}")
    if kind == "RepoNotFound":
        raise TrainerError(Reason.HANDLE_NOT_FOUND, f"{host_of(response)} has no account @{handle}")
    said = quoted(problem.get("message", kind))
    raise TrainerError(Reason.SOURCE_FORBIDDEN, f"{host_of(response)} refuses with HTTP {response.status_code}: {said}")
