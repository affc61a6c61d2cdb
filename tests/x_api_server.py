"""X's API, version 2, played on loopback with its bills: timelines, look-ups, rate limits, credit and refusals.

Charges each post and account once per UTC day and credential, as X says it does. Time is the caller's.
"""

import base64
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

POST_PRICE, USER_PRICE = Decimal("0.005"), Decimal("0.010")
REACH = 3200
WINDOW_SECONDS = 900
_PROBLEMS = "https://api.twitter.com/2/problems/"
_EPOCH_MS = 1_288_834_974_657


@dataclass
class Account:
    """An account and its posts, the oldest first."""

    id: str
    username: str
    name: str = "A Name"
    protected: bool = False
    suspended: bool = False
    posts: list[dict[str, Any]] = field(default_factory=list)


class XServer:
    """The API; attributes may be changed between requests."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.clock = clock
        self.accounts: dict[str, Account] = {}
        self.tokens = {"good"}
        self.credit = Decimal(1_000_000)
        self.requests_per_window = 10_000
        self.window_start = 0.0
        self.window_requests = 0
        self.tokens_live_one_day = False
        self.answers: list[tuple[int, Any, dict[str, str]]] = []
        """Answers that are given first, whatever is asked: status, body, headers."""
        self.on_charge: Callable[[list[str]], None] = lambda ids: None
        self.after_charge: Callable[[], None] = lambda: None
        self.charges: list[tuple[str, str, str]] = []
        """What was billed: UTC day, kind, id; never twice the same."""
        self.deliveries: Counter[tuple[str, str]] = Counter()
        """How often each post was given on each UTC day."""
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                with server._lock:
                    status, body, headers = server.answer(self.path, self.headers.get("Authorization", ""))
                    if status == 200:
                        server.after_charge()
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": len(data), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def bill(self) -> Decimal:
        """All that was charged, in US dollars."""
        return sum((USER_PRICE if kind == "user" else POST_PRICE for _, kind, _ in self.charges), Decimal(0))

    def charged_posts(self) -> list[str]:
        return [resource for _, kind, resource in self.charges if kind == "post"]

    def add_account(self, username: str, num_posts: int = 0, **fields: Any) -> Account:
        account = Account(id=str(1000 + len(self.accounts)), username=username, **fields)
        self.accounts[username.lower()] = account
        for _ in range(num_posts):
            self.write(account)
        return account

    def write(self, account: Account, text: str | None = None, **fields: Any) -> dict[str, Any]:
        """Add a post; posts of the past lie a minute apart, the newest an hour ago."""
        number = len(account.posts)
        time = fields.pop("time", None) or self.clock() - timedelta(hours=1, minutes=REACH * 2 - number)
        milliseconds = int(time.timestamp() * 1000)
        post_id = str(((milliseconds - _EPOCH_MS) << 22) + int(account.id) * 10_000 + number)
        post = {
            "id": post_id,
            "text": f"post number {number} of {account.username}" if text is None else text,
            "edit_history_tweet_ids": [post_id],
            "created_at": time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "lang": "en",
            **fields,
        }
        account.posts.append(post)
        return post

    def answer(self, path: str, authorization: str) -> tuple[int, Any, dict[str, str]]:
        parts = urlsplit(path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.requests.append((parts.path, query))
        if self.answers:
            return self.answers.pop(0)
        if parts.path.startswith("/pictures/"):
            assert not authorization, "the token is for the API alone"
            return 200, parts.path.encode(), {}
        token = authorization.removeprefix("Bearer ")
        if token not in self.tokens:
            return 401, {"title": "Unauthorized", "type": "about:blank", "status": 401, "detail": "Unauthorized"}, {}
        if refusal := self._limited():
            return refusal
        if self.credit <= 0:
            detail = "Your enrolled account does not have any credits to fulfill this request."
            return 402, {"title": "CreditsDepleted", "detail": detail, "type": f"{_PROBLEMS}credits"}, {}
        match parts.path.strip("/").split("/"):
            case ["2", "users", "by", "username", name]:
                return self._user(token, self.accounts.get(name.lower()), name)
            case ["2", "users", user_id, "tweets"]:
                return self._timeline(token, self._by_id(user_id), query)
            case ["2", "users", user_id]:
                return self._user(token, self._by_id(user_id), user_id)
        return 404, {"title": "Not Found", "status": 404}, {}

    def _by_id(self, user_id: str) -> Account | None:
        return next((account for account in self.accounts.values() if account.id == user_id), None)

    def _limited(self) -> tuple[int, Any, dict[str, str]] | None:
        now = self.clock().timestamp()
        if now >= self.window_start + WINDOW_SECONDS:
            self.window_start, self.window_requests = now, 0
        self.window_requests += 1
        if self.window_requests <= self.requests_per_window:
            return None
        reset = str(int(self.window_start + WINDOW_SECONDS) + 1)
        headers = {"x-rate-limit-limit": "1", "x-rate-limit-remaining": "0", "x-rate-limit-reset": reset}
        return 429, {"title": "Too Many Requests", "type": "about:blank", "status": 429}, headers

    def _user(self, token: str, account: Account | None, asked: str) -> tuple[int, Any, dict[str, str]]:
        if account is None:
            detail = f"Could not find user with username: [{asked}]."
            problem = {"title": "Not Found Error", "detail": detail, "type": f"{_PROBLEMS}resource-not-found"}
            return 200, {"errors": [problem]}, {}
        if account.suspended:
            problem = {"title": "Forbidden", "detail": f"User has been suspended: [{asked}].", "type": _PROBLEMS}
            return 200, {"errors": [problem]}, {}
        self._charge(token, "user", [account.id])
        data = {"id": account.id, "name": account.name, "username": account.username, "protected": account.protected}
        data["profile_image_url"] = f"{self.url}/pictures/{account.id}_normal.jpg"
        return 200, {"data": data}, {}

    def _timeline(self, token: str, account: Account | None, query: dict[str, str]) -> tuple[int, Any, dict[str, str]]:
        if account is None or account.protected or account.suspended:
            kind = f"{_PROBLEMS}not-authorized-for-resource"
            return 200, {"errors": [{"title": "Authorization Error", "detail": "Sorry, no", "type": kind}]}, {}
        size = int(query.get("max_results", 10))
        assert 5 <= size <= 100, query
        assert "exclude" not in query, "exclude=replies cuts the reach to 800 posts"
        posts = list(reversed(account.posts))[:REACH]
        if "since_id" in query:
            posts = [post for post in posts if int(post["id"]) > int(query["since_id"])]
        if "end_time" in query:
            end = datetime.strptime(query["end_time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            if end > self.clock() - timedelta(seconds=10):
                return 400, {"errors": [{"parameters": {"end_time": [query["end_time"]]}}], "title": "Invalid"}, {}
            posts = [post for post in posts if datetime.fromisoformat(post["created_at"]) < end]
        below = query.get("until_id")
        if "pagination_token" in query:
            day, _, below = base64.b32decode(query["pagination_token"].encode()).decode().partition("/")
            if self.tokens_live_one_day and day != self._today:
                problem = {"parameters": {"pagination_token": [query["pagination_token"]]}, "message": "not valid"}
                return 400, {"errors": [problem], "title": "Invalid Request"}, {}
        if below:
            posts = [post for post in posts if int(post["id"]) < int(below)]
        page, rest = posts[:size], posts[size:]
        ids = [post["id"] for post in page]
        self.on_charge(ids)
        self.deliveries.update((self._today, post_id) for post_id in ids)
        self._charge(token, "post", ids)
        wanted = {"id", "text", "edit_history_tweet_ids", *query.get("tweet.fields", "").split(",")}
        body: dict[str, Any] = {"meta": {"result_count": len(page)}}
        if page:
            body["data"] = [{name: value for name, value in post.items() if name in wanted} for post in page]
            body["meta"] |= {"newest_id": ids[0], "oldest_id": ids[-1]}
        if rest:
            body["meta"]["next_token"] = base64.b32encode(f"{self._today}/{ids[-1]}".encode()).decode()
        return 200, body, {}

    @property
    def _today(self) -> str:
        return self.clock().date().isoformat()

    def _charge(self, token: str, kind: str, ids: list[str]) -> None:
        billed = set(self.charges)
        for resource in ids:
            charge = (self._today, kind, resource)
            if charge not in billed:
                self.charges.append(charge)
                self.credit -= USER_PRICE if kind == "user" else POST_PRICE
