"""Answers that cost money: each is asked for by one process only, kept for all, and never forgotten in the accounts.

Before a request goes out, a claim is created in the store, which only one process can do; after it, the answer is
stored beside the claim. A claim without an answer is a request that may have been charged: a process died between the
two. See docs/design/0004-no-post-is-bought-twice.md.
"""

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from tweetbot_api.conditions import Reason
from tweetbot_api.model import ApiModel
from tweetbot_trainer.artifacts import Store
from tweetbot_trainer.errors import TrainerError

logger = logging.getLogger(__name__)

_Record = TypeVar("_Record", bound=ApiModel)

STALE: Final = timedelta(minutes=15)
"""Age at which another run's claim is given up: longer than a request with all its time limits can take."""
SURE_OF_DAY: Final = (time_of_day(0, 1), time_of_day(23, 55))
"""Within these times our day is the source's, even if clocks differ and a request takes long."""
_POLL_SECONDS: Final = 2.0
_ANSWER: Final = "answer.json"


class NothingChargedError(TrainerError):
    """A refusal: the source gave nothing, so it charges nothing."""


class Charge(ApiModel):
    """What was or may be charged for."""

    posts: int = 0
    """Posts read."""
    users: int = 0
    """Accounts looked up."""

    def __add__(self, other: "Charge") -> "Charge":
        """Return both together."""
        return Charge(posts=self.posts + other.posts, users=self.users + other.users)

    def most(self, other: "Charge") -> "Charge":
        """Return the larger of each."""
        return Charge(posts=max(self.posts, other.posts), users=max(self.users, other.users))

    def covers(self, other: "Charge") -> bool:
        """Tell whether nothing of the other is larger."""
        return self.most(other) == self


class Claim(ApiModel):
    """One request that may be charged, noted before it is sent."""

    id: str
    """Names the claim."""
    run: str
    """The run that pays."""
    process: str
    """The process that asks; an earlier one of the same run is gone."""
    time: datetime
    """When, in UTC."""
    at_most: Charge
    """What it can cost."""


class Answer(ApiModel):
    """What came back for a claim."""

    claim: Claim
    """The claim that it answers."""
    since: datetime
    """When the same question was first asked on that day; it was about the posts until then."""
    charge: Charge
    """What it cost."""
    body: dict[str, Any]
    """The source's answer as it came."""


def utc_now() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)


class Purchases:
    """What one run buys, with all that was bought before it in the same store."""

    def __init__(
        self,
        store: Store,
        run: str,
        clock: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._run = run
        self._process = uuid.uuid4().hex
        self._clock = clock
        self._sleep = sleep
        self._claims: dict[str, dict[str, Claim]] = {}
        self._answers: dict[str, Answer] = {}
        self._first_seen: dict[str, datetime] = {}

    @property
    def now(self) -> datetime:
        """The time, as claims note it."""
        return self._clock()

    def folders(self, prefix: str) -> list[str]:
        """Return the folders below a prefix that hold a claim or an answer."""
        return sorted({key.rpartition("/")[0] for key in self._store.list(prefix)})

    def load(self, prefix: str) -> list[str]:
        """Read what is stored below a prefix; return the folders that hold an answer, sorted."""
        names_by_folder = defaultdict(list)
        for key in self._store.list(prefix):
            folder, _, name = key.rpartition("/")
            names_by_folder[folder].append(name)
        for folder, names in names_by_folder.items():
            claims = [name for name in names if name != _ANSWER]
            answer = self.stored(folder) if _ANSWER in names else None
            if answer and len(claims) == 1:
                self._claims[folder] = {claims[0]: answer.claim}
            else:
                for name in claims:
                    self._remember_claim(folder, name)
        return sorted(folder for folder in self._answers if folder.startswith(prefix))

    def stored(self, folder: str) -> Answer | None:
        """Return the answer in a folder, if there is one."""
        return self._answers.get(folder) or self._remember_answer(folder)

    def spent(self, prefix: str = "", *, but_today: str = "") -> Charge:
        """Return what this run was or may have been charged for below a prefix.

        A source charges for a resource once per UTC day, so requests for the same on one day count as the largest of
        them. `but_today` names a folder whose requests of today are about to be made once more.
        """
        total = Charge()
        for folder, claims in self._claims.items():
            if folder.startswith(prefix):
                ours = [claim for claim in claims.values() if claim.run == self._run]
                but = _day(self._clock()) if folder == but_today else None
                total += _spent(ours, self._answers.get(folder), but)
        return total

    def buy(
        self, folder: str, at_most: Charge, ask: Callable[[datetime], tuple[dict[str, Any], Charge]]
    ) -> Answer | None:
        """Return the answer in the folder, asking for it if nobody has; None after a pause if somebody else is asking.

        `ask` gets the time when this was first asked today and returns body and charge. It raises NothingChargedError
        if the source refused; any other error leaves the claim, since the source may have charged.
        """
        if answer := self.stored(folder):
            return answer
        claim = self._claim(folder, at_most)
        if claim is None:
            self._sleep(_POLL_SECONDS)
            return None
        since = min(other.time for other in self._claims[folder].values() if other.time.date() == claim.time.date())
        try:
            body, charge = ask(since)
        except NothingChargedError:
            self._release(folder, claim)
            raise
        answer = Answer(claim=claim, since=since, charge=charge, body=body)
        self._store.write_bytes(f"{folder}/{_ANSWER}", answer.model_dump_json(by_alias=True).encode())
        self._answers[folder] = answer
        return answer

    def forget(self, prefix: str) -> None:
        """Remove everything below a prefix, here and in the store."""
        for key in self._store.list(prefix):
            self._store.delete(key)
        for folder in [folder for folder in self._claims if folder.startswith(prefix)]:
            del self._claims[folder]
            self._answers.pop(folder, None)

    def _claim(self, folder: str, at_most: Charge) -> Claim | None:
        """Return a claim of our own, or None if another process has one that is alive."""
        number = 1
        while True:
            name = f"claim-{number}.json"
            ours = Claim(id=uuid.uuid4().hex, run=self._run, process=self._process, time=self._clock(), at_most=at_most)
            is_ours = self._store.create(f"{folder}/{name}", ours.model_dump_json(by_alias=True).encode())
            # A write that was repeated on its way may find its own first half.
            found = ours if is_ours else self._remember_claim(folder, name)
            if found is None:
                continue  # released just now
            if found.id == ours.id:
                self._claims.setdefault(folder, {})[name] = found
                return found
            if not self._is_dead(found):
                logger.info("another run is asking for the same folder=%s run=%s", folder, found.run)
                return None
            number += 1

    def _is_dead(self, claim: Claim) -> bool:
        """Tell whether no process works on the claim any more."""
        if claim.run == self._run:
            return True  # of an attempt before this one, or a try of our own
        now = self._clock()
        first_seen = self._first_seen.setdefault(claim.id, now)
        return now - claim.time > STALE or now - first_seen > STALE

    def _release(self, folder: str, claim: Claim) -> None:
        """Remove a claim that cost nothing."""
        for name, other in list(self._claims[folder].items()):
            if other.id == claim.id:
                self._store.delete(f"{folder}/{name}")
                del self._claims[folder][name]

    def _remember_answer(self, folder: str) -> Answer | None:
        answer = self._read(f"{folder}/{_ANSWER}", Answer)
        if answer:
            self._answers[folder] = answer
            self._claims.setdefault(folder, {})
        return answer

    def _remember_claim(self, folder: str, name: str) -> Claim | None:
        claim = self._read(f"{folder}/{name}", Claim)
        if claim:
            self._claims.setdefault(folder, {})[name] = claim
        return claim

    def _read(self, key: str, model: type[_Record]) -> _Record | None:
        data = self._store.read_bytes(key)
        if data is None:
            return None
        try:
            return model.model_validate_json(data)
        except ValidationError:
            # Its words would quote posts.
            raise TrainerError(
                Reason.SOURCE_UNREADABLE, f"{self._store.uri(key)} is not what was stored there; remove it"
            ) from None


def _spent(claims: Iterable[Claim], answer: Answer | None, but: str | None) -> Charge:
    """Return what was charged for one question, by the days on which it was asked."""
    by_day: dict[str, Charge] = {}
    for claim in claims:
        day = _day(claim.time) or claim.id
        if day != but:
            by_day[day] = by_day.get(day, Charge()).most(_largest(claim, answer))
    return sum(by_day.values(), Charge())


def _largest(claim: Claim, answer: Answer | None) -> Charge:
    """Return the most that a claim can have cost; what an answer of the same day covers was not charged again."""
    if answer is None or claim.run != answer.claim.run:
        return claim.at_most
    is_same_day = claim.id == answer.claim.id or _day(claim.time) == _day(answer.claim.time) is not None
    return answer.charge if is_same_day and answer.claim.at_most.covers(claim.at_most) else claim.at_most


def _day(time: datetime) -> str | None:
    """Return the UTC day on which the source surely charges for a request of this time, or None if none is sure."""
    first, last = SURE_OF_DAY
    return time.date().isoformat() if first <= time.time() < last else None
