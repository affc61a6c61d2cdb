"""No post of X is bought twice and no cap is passed, wherever and whenever a run dies: on loopback, with bills."""

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from tests.x_api_server import POST_PRICE, USER_PRICE, XServer
from tests.x_timelines import NOON, Clock, Killed, Killer, ids_in_store, make_timeline
from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError

ROOT = Path(__file__).resolve().parents[3]
NUM_RUNS = 200
MAX_ATTEMPTS = 40


class World:
    """One run with all its attempts: what the server billed, and what the run could not know."""

    def __init__(self, seed: int, root: Path, server: XServer, clock: Clock) -> None:
        self.random = random.Random(seed)
        self.root = root
        self.server = server
        self.clock = clock
        self.lost_posts: Counter[str] = Counter()
        self.stored_again: list[str] = []
        self._last_delivery: list[str] = []
        server.on_charge = self._on_charge

    def _on_charge(self, ids: list[str]) -> None:
        stored = ids_in_store(self.root)
        self.stored_again += [post_id for post_id in ids if f'"id":"{post_id}"' in stored]
        self._last_delivery = ids

    def note_death(self) -> None:
        """Count the posts of a page whose answer never came to be stored."""
        stored = ids_in_store(self.root)
        self.lost_posts.update(post_id for post_id in self._last_delivery if f'"id":"{post_id}"' not in stored)
        self._last_delivery = []


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def server(clock: Clock):
    server = XServer(clock)
    yield server
    server.close()


@pytest.mark.parametrize("seed", range(NUM_RUNS))
def test_whatever_dies_no_post_is_bought_twice_and_no_cap_is_passed(
    seed: int, tmp_path: Path, server: XServer, clock: Clock
) -> None:
    world = World(seed, tmp_path, server, clock)
    draw = world.random
    clock.now += timedelta(minutes=draw.choice([0, 11 * 60 + 53, 11 * 60 + 59, draw.randrange(24 * 60)]))
    handles = ("jack", "jill")[: draw.choice([1, 1, 2])]
    for handle in handles:
        server.add_account(handle, draw.randrange(1, 420))
    server.requests_per_window = draw.choice([2, 3, 5, 10_000])
    server.tokens_live_one_day = draw.random() < 0.5
    max_posts = draw.choice([5, 50, 120, 333, 3200, 3200])
    max_cost = draw.choice([None, 0.1, 0.5, 1.0, 2.0])
    caps = {"maxPosts": max_posts, **({"maxCostUSD": max_cost} if max_cost else {})}

    texts, attempts, failure = None, 0, None
    while texts is None and failure is None:
        attempts += 1
        assert attempts < MAX_ATTEMPTS
        killer = Killer(draw.randrange(1, 25) if attempts < 12 else None)
        try:
            timeline = make_timeline(server, tmp_path, clock, handles=handles, killer=killer, **caps)
            texts = {handle: [post.text for post in timeline.posts(handle)] for handle in handles}
        except Killed:
            world.note_death()
            clock.sleep(draw.choice([0, 5, 600, 3600 * draw.randrange(1, 30)]))
            if draw.random() < 0.2:
                server.write(server.accounts[handles[0]], time=clock.now)
        except TrainerError as error:
            failure = error

    assert failure is None or failure.reason == Reason.SOURCE_BUDGET_SPENT, failure
    assert world.stored_again == [], "what is stored is never asked for again"
    given = Counter(post_id for _, post_id in server.deliveries.elements())
    assert given - Counter(set(given)) <= world.lost_posts, "only what was lost on its way is given again, on any day"
    posts = server.charged_posts()
    assert max_cost is None or server.bill <= Decimal(str(max_cost))
    for handle in handles:
        ids = {post["id"] for post in server.accounts[handle].posts}
        assert sum(post_id in ids for post_id in posts) <= max_posts
        if texts is not None:
            check_texts(server, handle, texts[handle], is_capped=max_posts < 3200 or max_cost is not None)


def check_texts(server: XServer, handle: str, texts: list[str], *, is_capped: bool) -> None:
    """The posts are the timeline's, newest first, each once; all of them where no cap cut it short."""
    timeline = [post["text"] for post in reversed(server.accounts[handle].posts)]
    assert len(texts) == len(set(texts))
    assert [text for text in timeline if text in set(texts)] == texts
    assert is_capped or len(timeline) - len(texts) <= 3, "only what was written since the last attempt began"


ATTEMPT = """
import sys
from pathlib import Path
from tests.x_timelines import Clock, make_timeline
class Server: url = sys.argv[1]
class SleeplessClock(Clock):
    def sleep(self, seconds): raise SystemExit(f"asked to sleep {seconds}")
timeline = make_timeline(Server, Path(sys.argv[2]), SleeplessClock(), maxPosts=400)
print(*(post.text for post in timeline.posts("jack")), sep="\\n")
"""


def test_real_processes_killed_at_each_request_buy_each_post_once(tmp_path: Path) -> None:
    """SIGKILL after the server has charged and before the client has the answer, at each question's first time."""
    server = XServer(Clock())
    account = server.add_account("jack", 250)
    started: list[subprocess.Popen] = []

    def after_charge() -> None:
        if server.requests.count(server.requests[-1]) == 1:
            os.kill(started[-1].pid, signal.SIGKILL)
            started[-1].wait()

    server.after_charge = after_charge
    outputs, codes = [], []
    for _ in range(6):
        command = [sys.executable, "-c", ATTEMPT, server.url, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [ROOT, ROOT / "api", ROOT / "trainer"]))}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT)
        started.append(process)
        outputs.append(process.communicate(timeout=60)[0])
        codes.append(process.returncode)
    server.close()

    assert codes == [-signal.SIGKILL] * 5 + [0], "the look-up, three pages, and whether there is anything new"
    assert outputs[-1].splitlines() == [post["text"] for post in reversed(account.posts)]
    assert set(server.deliveries.values()) == {2}, "each page was lost once"
    assert server.bill == 250 * POST_PRICE + USER_PRICE
