"""The posts of X accounts by X's API, which charges for each: within the caps, and none bought twice.

What was bought lies below the raw prefix of the namespace, by handle and newest id:
`x/<handle>/<first day>/<account id>/<newest id before>/<page>/`. A *fetch* asks for all posts newer than the newest id
known before it, page by page; one that was cut short (a crash, a cap) is gone on with by the next run.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Final

from tweetbot_api.conditions import Reason
from tweetbot_api.source_access import SourceAccess
from tweetbot_api.spec.source import XSource
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.base import Post, well_formed
from tweetbot_trainer.sources.purchases import Answer, Charge, NothingChargedError, Purchases
from tweetbot_trainer.sources.web import Web, unusable
from tweetbot_trainer.sources.x_api import AskAgainError, BadTokenError, Body, XApi, protected
from tweetbot_trainer.sources.x_caps import LOOK_UP, Caps
from tweetbot_trainer.sources.x_objects import post_of_v2

logger = logging.getLogger(__name__)

LEAST_PAGE: Final = 5
_SETTLED: Final = timedelta(seconds=30)
"""X refuses to look at the last 10 seconds; a fetch ends a little before, so that asking again gives the same."""
_TRIES: Final = 3
_PAUSE_SECONDS: Final = 2.0
_NO_ID: Final = "0"


class XTimeline:
    """Accounts on X."""

    def __init__(
        self,
        wanted: XSource,
        access: SourceAccess,
        api: XApi,
        purchases: Purchases,
        handles: Sequence[str],
        web: Web,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._api = api
        self._purchases = purchases
        self._web = web
        self._sleep = sleep
        self._retention = timedelta(days=access.raw_retention_days)
        self._caps = Caps.of(wanted, access)
        self._users: dict[str, Body] = {}
        self._periods = {handle: self._open_period(handle) for handle in handles}
        self._log_estimate()

    def posts(self, handle: str) -> Iterator[Post]:
        """Yield the posts, newest first: those that earlier runs bought, and what is new since."""
        user = self._users[handle] = self._user(handle)
        if user.get("protected"):
            raise protected(handle)
        account = f"{self._periods[handle]}/{user['id']}"
        before = self._purchases.spent()
        is_capped = self._buy_missing(handle, user["id"], account)
        tweets = [tweet for fetch in self._fetches(account) for tweet in fetch.tweets]
        bought = self._purchases.spent()
        logger.info(
            "x posts fetched handle=%s posts=%d bought=%d cost_usd=%s run_cost_usd=%s capped=%s",
            handle, len(tweets), bought.posts - before.posts, self._caps.cost(bought) - self._caps.cost(before),
            self._caps.cost(bought), is_capped,
        )  # fmt: skip
        if not tweets:
            raise self._no_posts(handle, is_capped=is_capped)
        for tweet in sorted(tweets, key=lambda tweet: int(tweet["id"]), reverse=True):
            post = post_of_v2(tweet, handle, "x-api")
            if post:
                yield post

    def display_name(self, handle: str) -> str | None:
        """Return the account's name as people see it, once its posts were asked for."""
        name = self._users.get(handle, {}).get("name")
        return well_formed(name) if isinstance(name, str) and name else None

    def avatar(self, handle: str) -> bytes | None:
        """Return the account's picture, once its posts were asked for; it costs nothing."""
        url = self._users.get(handle, {}).get("profile_image_url")
        return self._web.picture(url.replace("_normal.", "_400x400.") if isinstance(url, str) else None)

    def _buy_missing(self, handle: str, user_id: str, account: str) -> bool:
        """Buy what is new, then what earlier fetches left out; tell whether a cap stopped it."""
        known = self._fetches(account)
        newest = str(max((int(tweet["id"]) for fetch in known for tweet in fetch.tweets), default=_NO_ID))
        fetches = {fetch.since_id: fetch for fetch in known if not fetch.is_complete}
        fetches.setdefault(newest, Fetch(f"{account}/{newest}"))
        ordered = sorted(fetches.values(), key=lambda fetch: int(fetch.since_id), reverse=True)
        return any(not self._go_on(handle, user_id, fetch) for fetch in ordered)

    def _go_on(self, handle: str, user_id: str, fetch: "Fetch") -> bool:
        """Buy the fetch's next pages to its end; return False if a cap stops it before."""
        try:
            while not fetch.is_complete:
                fetch.add(self._page(handle, user_id, fetch))
        except _NothingThereError:
            logger.debug("timeline ends folder=%s", fetch.folder)
        except _CapReachedError:
            return False
        if fetch.pages and not fetch.tweets:
            # Only posts move the newest id; the next fetch from the same one must ask anew.
            self._purchases.forget(f"{fetch.folder}/")
        return True

    def _page(self, handle: str, user_id: str, fetch: "Fetch") -> Answer:
        """Return the answer for the fetch's next page."""
        try:
            return self._ask_page(handle, user_id, fetch, {"page_token": fetch.next_token})
        except BadTokenError:
            if not fetch.tweets:
                raise
            logger.info("page token refused, going on by id handle=%s", handle)
            oldest = min(int(tweet["id"]) for tweet in fetch.tweets)
            return self._ask_page(handle, user_id, fetch, {"until_id": str(oldest)})

    def _ask_page(self, handle: str, user_id: str, fetch: "Fetch", place: Mapping[str, str | None]) -> Answer:
        folder = fetch.next_folder
        since_id = None if fetch.since_id == _NO_ID else fetch.since_id

        def budget() -> Charge:
            size = self._caps.next_page(self._purchases, handle, folder)
            if size < LEAST_PAGE:
                raise _CapReachedError(Reason.SOURCE_BUDGET_SPENT, f"{self._caps} are reached")
            return Charge(posts=size)

        def ask(at_most: Charge, asked_at: datetime) -> tuple[Body, Charge]:
            end_time = (fetch.asked_at or asked_at) - _SETTLED
            body = self._api.posts(user_id, handle, size=at_most.posts, since_id=since_id, end_time=end_time, **place)
            if not body["data"] and not body["meta"].get("next_token"):
                raise _NothingThereError(Reason.SOURCE_EMPTY, f"X has nothing more of @{handle}")
            return body, Charge(posts=len(body["data"]))

        return self._buy(folder, budget, ask)

    def _user(self, handle: str) -> Body:
        """Return X's facts on the account, asked for once per UTC day."""
        period = self._periods[handle]
        folder = f"{period}/user/{self._today}"
        try:
            return self._look_up(handle, folder, lambda: self._api.user_by_handle(handle))
        except NothingChargedError as error:
            if error.reason == Reason.HANDLE_NOT_FOUND and (former := self._former_id(period)):
                now = self._look_up(handle, f"{folder}-by-id", lambda: self._api.user_by_id(former, handle))
                raise TrainerError(
                    Reason.HANDLE_RENAMED, f"the account that was @{handle} is @{now['username']} now"
                ) from error
            raise

    def _look_up(self, handle: str, folder: str, ask: Callable[[], Body]) -> Body:
        def budget() -> Charge:
            if not self._caps.allow_look_up(self._purchases, folder):
                raise self._no_posts(handle, is_capped=True)
            return LOOK_UP

        user = self._buy(folder, budget, lambda at_most, _: (ask(), at_most)).body["data"]
        assert isinstance(user, dict)  # noqa: S101 - XApi has checked it
        return user

    def _former_id(self, period: str) -> str | None:
        """Return the id of the account that had the handle when posts were bought last."""
        folders = self._purchases.load(f"{period}/user/")
        answer = self._purchases.stored(folders[-1]) if folders else None
        return str(answer.body["data"]["id"]) if answer else None

    def _buy(
        self, folder: str, budget: Callable[[], Charge], ask: Callable[[Charge, datetime], tuple[Body, Charge]]
    ) -> Answer:
        """Buy with pauses for the rate limit, and another try where X does not answer.

        The budget is asked before each try, for the one before may have been charged.
        """
        tries = 0
        while True:
            if answer := self._purchases.stored(folder):
                return answer
            self._api.wait()
            at_most = budget()
            try:
                answer = self._purchases.buy(folder, at_most, partial(ask, at_most))
                if answer:
                    return answer
            except AskAgainError:
                continue
            except TrainerError as error:
                tries += 1
                if error.reason != Reason.SOURCE_UNAVAILABLE or tries == _TRIES:
                    raise
                logger.info("asking X again reason=%s", error.message)
                self._sleep(_PAUSE_SECONDS * tries)

    def _fetches(self, account: str) -> list["Fetch"]:
        """Return what is stored of the account, the newest fetch first."""
        fetches: dict[str, Fetch] = {}
        for folder in self._purchases.load(f"{account}/"):
            parent = folder.rpartition("/")[0]
            answer = self._purchases.stored(folder)
            if answer:
                fetches.setdefault(parent, Fetch(parent)).add(answer)
        return sorted(fetches.values(), key=lambda fetch: int(fetch.since_id), reverse=True)

    def _open_period(self, handle: str) -> str:
        """Return the folder of what may still be used of a handle; remove what is kept for too long already."""
        root = f"x/{handle}/"
        oldest = (self._today - self._retention).isoformat()
        days = {folder.removeprefix(root).partition("/")[0] for folder in self._purchases.folders(root)}
        for day in days:
            if day <= oldest:
                logger.info("bought posts kept for too long are removed handle=%s since=%s", handle, day)
                self._purchases.forget(f"{root}{day}/")
        kept = [day for day in days if day > oldest]
        period = f"{root}{max(kept, default=self._today.isoformat())}"
        self._purchases.load(f"{period}/")
        return period

    @property
    def _today(self) -> date:
        return self._purchases.now.astimezone(UTC).date()

    def _no_posts(self, handle: str, *, is_capped: bool) -> TrainerError:
        if not is_capped:
            return TrainerError(Reason.SOURCE_EMPTY, f"@{handle} has no posts on X")
        return TrainerError(
            Reason.SOURCE_BUDGET_SPENT,
            f"{self._caps} allow no further request for @{handle}; the run has cost "
            f"${self._caps.cost(self._purchases.spent())} so far",
        )

    def _log_estimate(self) -> None:
        num_handles = len(self._periods)
        most = Charge(posts=self._caps.max_posts * num_handles, users=num_handles)
        cost = min(self._caps.cost(most), self._caps.max_cost or self._caps.cost(most))
        logger.info("x posts cost at most handles=%d posts=%d cost_usd=%s", num_handles, most.posts, cost)


@dataclass
class Fetch:
    """All posts newer than an id, as far as they were bought."""

    folder: str
    pages: list[Answer] = field(default_factory=list)
    _tokens: set[str] = field(default_factory=set)

    @property
    def since_id(self) -> str:
        """The newest id known before."""
        return self.folder.rpartition("/")[2]

    @property
    def asked_at(self) -> datetime | None:
        """When the first page was asked for."""
        return self.pages[0].since if self.pages else None

    @property
    def tweets(self) -> list[dict[str, Any]]:
        """The posts of its pages."""
        return [tweet for page in self.pages for tweet in page.body["data"]]

    @property
    def next_token(self) -> str | None:
        """X's token for the page after the last one."""
        token = self.pages[-1].body["meta"].get("next_token") if self.pages else None
        return token if isinstance(token, str) else None

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing more to ask for."""
        return bool(self.pages) and self.next_token is None

    @property
    def next_folder(self) -> str:
        """Where the next page belongs."""
        return f"{self.folder}/{len(self.pages) + 1:04}"

    def add(self, answer: Answer) -> None:
        """Add the next page; raises SourceAnswerUnusable if it leads back to one before."""
        self.pages.append(answer)
        token = self.next_token
        if token in self._tokens:
            raise unusable("X", "gives pages in a circle")
        if token:
            self._tokens.add(token)


class _CapReachedError(TrainerError):
    """The caps allow no further page."""


class _NothingThereError(NothingChargedError):
    """The timeline ends here; an answer without posts is not kept."""
