"""A run that reads X timelines from a server on loopback, in a world with its own clock, where anything may die."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from tests.x_api_server import XServer
from tweetbot_api.source_access import SourceAccess
from tweetbot_api.spec.source import XSource
from tweetbot_trainer.artifacts import LocalStore, Store
from tweetbot_trainer.sources.purchases import Purchases
from tweetbot_trainer.sources.rate_limit import RateLimit
from tweetbot_trainer.sources.web import Web
from tweetbot_trainer.sources.x_api import XApi
from tweetbot_trainer.sources.x_timeline import XTimeline

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Clock:
    """A clock that moves only when somebody sleeps or says so."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self.now.timestamp()

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Killed(BaseException):
    """The process died here."""


class Killer:
    """Counts the points at which a process can die, and dies at one of them."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.count = 0

    def point(self) -> None:
        self.count += 1
        if self.count == self.at:
            raise Killed


class MortalStore:
    """A store whose user may die before or after each write."""

    def __init__(self, store: Store, killer: Killer) -> None:
        self._store = store
        self._killer = killer

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        return self._mortal(method) if name in {"create", "write_bytes", "delete"} else method

    def _mortal(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._killer.point()
            result = method(*arguments)
            self._killer.point()
            return result

        return call


def make_timeline(
    server: XServer,
    root: Path | Store,
    clock: Clock,
    *,
    run: str = "uid/run",
    handles: tuple[str, ...] = ("jack",),
    killer: Killer | None = None,
    retention_days: int = 30,
    token: str = "good",
    **caps: Any,
) -> XTimeline:
    """Return the source as a new process of the run would open it."""
    killer = killer or Killer()
    store = LocalStore(root) if isinstance(root, Path) else root
    api = XApi(server.url, token, RateLimit("X", clock.seconds, clock.sleep))
    send = api._client.session.request

    def mortal_send(*arguments: Any, **options: Any) -> requests.Response:
        killer.point()
        response = send(*arguments, **options)
        killer.point()
        return response

    api._client.session.request = mortal_send
    wanted = XSource.model_validate({"credentialsSecret": {"name": "x"}, "termsAccepted": True, **caps})
    purchases = Purchases(MortalStore(store, killer), run, clock, clock.sleep)
    access = SourceAccess(x_url=server.url, raw_retention_days=retention_days)
    return XTimeline(wanted, access, api, purchases, handles, Web([server.url]), clock.sleep)


def ids_in_store(root: Path) -> str:
    """Return all that is stored, as one text to look ids up in."""
    return "".join(path.read_text() for path in root.rglob("answer.json"))
