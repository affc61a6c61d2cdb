"""X's API, version 2: the two questions that we ask, by tweepy, and what each refusal means.

Answers: https://docs.x.com/x-api/posts/timelines/integrate; refusals as
https://docs.x.com/x-api/fundamentals/response-codes-and-errors describes them.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import tweepy

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.purchases import NothingChargedError
from tweetbot_trainer.sources.rate_limit import RateLimit
from tweetbot_trainer.sources.web import error_object, json_object, open_session, quoted, unavailable, unusable

Body = dict[str, Any]

# At level DEBUG tweepy logs tokens and posts.
logging.getLogger("tweepy").setLevel(logging.INFO)

_USER_FIELDS: Final = ["name", "profile_image_url", "protected"]
_TWEET_FIELDS: Final = [
    "created_at", "edit_history_tweet_ids", "in_reply_to_user_id", "lang", "note_tweet", "referenced_tweets",
]  # fmt: skip
_CREDIT_PROBLEMS: Final = frozenset({"credits", "usage-capped"})
_CREDIT_TITLES: Final = frozenset({"CreditsDepleted", "SpendCapReached", "UsageCapExceeded"})
_NOT_ENROLLED: Final = "client-not-enrolled"
_NOT_AUTHORIZED: Final = "not-authorized-for-resource"


class AskAgainError(NothingChargedError):
    """The rate limit is reached; after a pause the same may be asked again."""


class BadTokenError(NothingChargedError):
    """X does not know the page token any more."""


class XApi:
    """X's API with one bearer token."""

    def __init__(self, url: str, bearer_token: str, limit: RateLimit) -> None:
        self._client = tweepy.Client(bearer_token, return_type=requests.Response)
        self._client.session = _XSession(url, limit)
        self._limit = limit

    def wait(self) -> None:
        """Wait until the rate limit allows a request."""
        self._limit.wait()

    def user_by_handle(self, handle: str) -> Body:
        """Return the account of a handle, as `data`; raises HandleNotFound or HandleSuspended."""
        return self._user(handle, self._client.get_user(username=handle, user_fields=_USER_FIELDS))

    def user_by_id(self, user_id: str, handle: str) -> Body:
        """Return the account with an id, which once had the handle."""
        return self._user(handle, self._client.get_user(id=user_id, user_fields=_USER_FIELDS))

    def posts(
        self,
        user_id: str,
        handle: str,
        *,
        size: int,
        since_id: str | None,
        end_time: datetime | None = None,
        until_id: str | None = None,
        page_token: str | None = None,
    ) -> Body:
        """Return one page of an account's posts, newest first; replies and reposts too.

        Leaving them out by `exclude` would cut the reach from 3,200 posts to 800.
        """
        response = self._client.get_users_tweets(
            user_id,
            max_results=size,
            since_id=since_id,
            end_time=end_time,
            until_id=until_id,
            pagination_token=page_token,
            tweet_fields=_TWEET_FIELDS,
        )
        body = json_object(response)
        if "data" not in body and body.get("errors"):
            raise _account_error(handle, body)
        return _checked_page(body)

    def _user(self, handle: str, response: requests.Response) -> Body:
        body = json_object(response)
        data = body.get("data")
        if data is None:
            raise _account_error(handle, body)
        if not isinstance(data, dict) or not isinstance(data.get("username"), str) or not _is_id(data.get("id")):
            raise unusable("X", "answers with an account without id or username")
        return body


class _XSession(requests.Session):
    """Sends tweepy's requests to the platform's address for X, and names what X refuses."""

    def __init__(self, url: str, limit: RateLimit) -> None:
        super().__init__()
        self._url = url.rstrip("/")
        self._limit = limit
        # Redirects would carry the token elsewhere.
        self._session = open_session([self._url], max_redirects=0)

    def request(self, method: str | bytes, url: str | bytes, *arguments: Any, **options: Any) -> requests.Response:
        path = urlsplit(str(url)).path
        try:
            response = self._session.request(str(method), self._url + path, *arguments, **options)
        except requests.RequestException as error:
            raise unavailable("X", f"cannot be reached: {type(error).__name__}") from error
        if response.status_code == HTTPStatus.OK:
            self._limit.answered(response.headers)
            return response
        raise self._refusal(response)

    def _refusal(self, response: requests.Response) -> Exception:
        """Return what a status other than 200 means."""
        status, problem = response.status_code, error_object(response)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return unavailable("X", f"answers HTTP {status}")
        if status == HTTPStatus.PAYMENT_REQUIRED or _is_about_credit(problem):
            return _refused(Reason.SOURCE_CREDIT_EXHAUSTED, "X gives nothing more for these credentials", problem)
        match status:
            case HTTPStatus.TOO_MANY_REQUESTS:
                return self._too_many(response)
            case HTTPStatus.UNAUTHORIZED:
                return _refused(Reason.SOURCE_UNAUTHORIZED, "X does not accept the bearer token", problem)
            case HTTPStatus.FORBIDDEN if _NOT_ENROLLED in str(problem.get("reason", problem.get("detail", ""))):
                return _refused(Reason.SOURCE_NOT_ENROLLED, "the token's app may not use this API", problem)
            case HTTPStatus.NOT_FOUND:
                return _refused(Reason.HANDLE_NOT_FOUND, "X knows no such account", problem)
            case HTTPStatus.BAD_REQUEST if "pagination_token" in str(problem.get("errors", problem)):
                return _bad_token(problem)
        return _refused(Reason.SOURCE_FORBIDDEN, f"X refuses with HTTP {status}", problem)

    def _too_many(self, response: requests.Response) -> NothingChargedError:
        try:
            self._limit.refused(response.headers)
        except TrainerError as error:
            return NothingChargedError(error.reason, error.message)
        return AskAgainError(Reason.SOURCE_RATE_LIMITED, "X refused for too many requests")


def _bad_token(problem: Body) -> BadTokenError:
    return BadTokenError(Reason.SOURCE_FORBIDDEN, f"X refuses its own page token: {_said(problem)}")


def _refused(reason: Reason, message: str, problem: Body) -> NothingChargedError:
    said = _said(problem)
    return NothingChargedError(reason, f"{message}: {said}" if said else message)


def _account_error(handle: str, body: Body) -> NothingChargedError:
    """Return what X says of an account instead of giving it or its posts."""
    errors = body.get("errors")
    problem = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    if "suspended" in str(problem.get("detail", "")).lower():
        return NothingChargedError(Reason.HANDLE_SUSPENDED, f"X has suspended @{handle}")
    if _problem_type(problem) == _NOT_AUTHORIZED:
        return protected(handle)
    return NothingChargedError(Reason.HANDLE_NOT_FOUND, f"X knows no account @{handle}")


def protected(handle: str) -> NothingChargedError:
    """Return the error for an account whose posts only its followers may read."""
    return NothingChargedError(Reason.HANDLE_PROTECTED, f"the posts of @{handle} are protected")


def _is_about_credit(problem: Mapping[str, Any]) -> bool:
    return _problem_type(problem) in _CREDIT_PROBLEMS or problem.get("title") in _CREDIT_TITLES


def _problem_type(problem: Mapping[str, Any]) -> str:
    return str(problem.get("type", "")).rstrip("/").rpartition("/")[2]


def _said(problem: Mapping[str, Any]) -> str:
    return quoted(problem.get("detail") or problem.get("title") or "")


def _checked_page(body: Body) -> Body:
    """Return the page; raises SourceAnswerUnusable unless it has posts with ids, and a token or none."""
    posts, meta = body.setdefault("data", []), body.setdefault("meta", {})
    if not isinstance(posts, list) or not all(isinstance(post, dict) and _is_id(post.get("id")) for post in posts):
        raise unusable("X", "answers with posts without ids")
    if not isinstance(meta, dict) or not isinstance(meta.get("next_token"), str | None):
        raise unusable("X", "answers with a page token that is no text")
    return body


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 20
