"""The public posts of Mastodon accounts, by the API of the account's own server, without credentials.

Methods: https://docs.joinmastodon.org/methods/accounts/, entity: https://docs.joinmastodon.org/entities/Status/.
Other servers (Pleroma, GoToSocial and more) have the same. A content warning (`spoiler_text`) is the author's heading
to readers, not part of the text that is learned.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

import requests
from requests.utils import parse_header_links

from tweetbot_api.conditions import Reason
from tweetbot_api.source_access import SourceAccess
from tweetbot_api.spec.source import MastodonSource
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.base import Post, PostKind, well_formed
from tweetbot_trainer.sources.html_text import html_to_text
from tweetbot_trainer.sources.times import parse_time
from tweetbot_trainer.sources.web import Web, error_object, host_of, json_object, parse_json, quoted, unusable
from tweetbot_trainer.sources.x_objects import language

PAGE_SIZE: Final = 40
MAX_PAGES: Final = 10_000
"""Four hundred thousand posts."""
_PUBLIC: Final = frozenset({"public", "unlisted"})
_NEEDS_ACCOUNT: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY})


class Mastodon:
    """Accounts on one Mastodon server."""

    def __init__(self, wanted: MastodonSource, access: SourceAccess, web: Web) -> None:
        trusted = {urlsplit(url).netloc: url for url in access.trusted_servers}
        self._server = trusted.get(wanted.instance, f"https://{wanted.instance}").rstrip("/")
        self._web = web
        self._accounts: dict[str, dict[str, Any]] = {}

    def posts(self, handle: str) -> Iterator[Post]:
        """Yield the account's public posts, newest first, and a repost without text for each boost."""
        account = self._accounts[handle] = self._look_up(handle)
        num_posts = 0
        for status in self._statuses(str(account["id"]), handle):
            post = _post(status, handle, self._server)
            if post:
                num_posts += 1
                yield post
        if not num_posts:
            raise TrainerError(Reason.SOURCE_EMPTY, f"@{handle} has no public posts on {self._server}")

    def display_name(self, handle: str) -> str | None:
        """Return the account's name as people see it, once its posts were asked for."""
        name = self._accounts.get(handle, {}).get("display_name")
        return well_formed(name) if isinstance(name, str) and name else None

    def avatar(self, handle: str) -> bytes | None:
        """Return the account's picture, once its posts were asked for."""
        return self._web.picture(self._accounts.get(handle, {}).get("avatar_static"))

    def _look_up(self, handle: str) -> dict[str, Any]:
        response = self._web.get(f"{self._server}/api/v1/accounts/lookup", {"acct": handle})
        if response.status_code == HTTPStatus.NOT_FOUND and not _is_api_error(response):
            raise unusable(host_of(response), "has no Mastodon API; is it the account's own server?")
        account = json_object(_checked(response, handle))
        if not isinstance(account.get("id"), str):
            raise unusable(host_of(response), "answers with an account without id")
        if account.get("suspended"):
            raise TrainerError(Reason.HANDLE_SUSPENDED, f"{host_of(response)} has suspended @{handle}")
        return account

    def _statuses(self, account_id: str, handle: str) -> Iterator[dict[str, Any]]:
        """Yield the statuses of all pages, each once."""
        url = f"{self._server}/api/v1/accounts/{quote(account_id, safe='')}/statuses"
        max_id: str | None = None
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            response = self._web.get(url, {"limit": PAGE_SIZE, "max_id": max_id})
            statuses = parse_json(_checked(response, handle))
            if not isinstance(statuses, list) or not all(isinstance(status, dict) for status in statuses):
                raise unusable(host_of(response), "answers with something else than a list of posts")
            fresh = [status for status in statuses if str(status.get("id")) not in seen]
            yield from fresh
            seen.update(str(status.get("id")) for status in fresh)
            max_id = _next_max_id(response)
            if max_id is None:
                return
            if not fresh:
                raise unusable(host_of(response), "gives pages in a circle")
        raise unusable(self._server, f"gives more than {MAX_PAGES:,} pages")


def _next_max_id(response: requests.Response) -> str | None:
    """Return where the next page begins; the address in the header is not followed, only its id is used."""
    for link in parse_header_links(response.headers.get("link", "")):
        if link.get("rel") == "next":
            return next(iter(parse_qs(urlsplit(link["url"]).query).get("max_id", [])), None)
    return None


def _post(status: Mapping[str, Any], handle: str, server: str) -> Post | None:
    """Return the post; None if not everybody may read it."""
    if status.get("visibility") not in _PUBLIC:
        return None
    kind, content, address = _kind(status), status.get("content"), status.get("uri")
    if not isinstance(content, str):
        raise unusable(server, "answers with a post without content")
    return Post(
        id=address if isinstance(address, str) else str(status.get("id")),
        handle=handle,
        text="" if kind == "repost" else html_to_text(well_formed(content), f"a post of {server}"),
        created_at=parse_time(status.get("created_at")),
        kind=kind,
        lang=language(status.get("language")),
        source="mastodon",
    )


def _kind(status: Mapping[str, Any]) -> PostKind:
    if status.get("reblog"):
        return "repost"
    if status.get("in_reply_to_id"):
        return "reply"
    return "quote" if status.get("quote") else "original"


def _checked(response: requests.Response, handle: str) -> requests.Response:
    """Return a good answer; raise what any other means."""
    server, status = host_of(response), response.status_code
    if status == HTTPStatus.OK:
        return response
    if status == HTTPStatus.NOT_FOUND:
        raise TrainerError(Reason.HANDLE_NOT_FOUND, f"{server} knows no account @{handle}")
    if status == HTTPStatus.GONE:
        raise TrainerError(Reason.HANDLE_SUSPENDED, f"{server} has suspended or deleted @{handle}")
    said = quoted(error_object(response).get("error", ""))
    if status in _NEEDS_ACCOUNT:
        raise TrainerError(
            Reason.SOURCE_FORBIDDEN,
            f"{server} answers only those with an account (HTTP {status}: {said}); use the owner's archive",
        )
    raise TrainerError(Reason.SOURCE_FORBIDDEN, f"{server} refuses with HTTP {status}: {said}")


def _is_api_error(response: requests.Response) -> bool:
    return "error" in error_object(response)
