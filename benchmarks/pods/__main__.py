"""`python -m benchmarks.pods`: seed-sized bots applied at once on the local cluster, until all are Complete.

Real pods from the real images, once with Jobs of many bots and once with Jobs of their own (`maxBots: 1`). Needs
`make cluster-with-images`. The base model is a tiny GPT-2: what is measured is what there is around a training.
"""

import argparse
import json
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.control_plane.audit import count, read_requests, total
from benchmarks.table import render
from cluster.paths import Paths
from demo.environment import local_cluster, users_cluster
from demo.install import make_namespace
from tests.e2e.bots import Bots, install_with_tiny_model

POSTS = 382
"""Of each bot: as many as the seed's."""
# The tiny tokenizer makes three tokens of one of GPT-2's: one epoch of such blocks is as many steps as the seed's four.
SPEC = {"training": {"epochs": 1, "blockSize": 512}, "generation": {"maxLength": 120}}
_POLL_SECONDS = 1.0
_LATE_WRITES_SECONDS = 5.0
_OPERATOR = "tweetbot-operator"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bots", type=int, default=64, help="applied at once, in Jobs of as many as the operator will")
    parser.add_argument("--alone", type=int, default=64, help="applied at once with Jobs of their own")
    parser.add_argument("--patience", type=float, default=3600, help="seconds after which a measurement is given up")
    arguments = parser.parse_args()
    results = []
    with _operator() as bots:
        for number, max_bots in ((arguments.bots, 64), (arguments.alone, 1)):
            results.append(_measure(bots, number, max_bots, arguments.patience))
            print(json.dumps(results[-1]), flush=True)
    rows = [(*map(str, result.values()), f"{result['seconds'] / result['bots']:.1f}") for result in results]
    print(render(rows, [*results[0], "seconds each"]))
    shared, alone = (result["seconds"] / result["bots"] for result in results)
    print(f"A bot with a Job of its own takes {alone / shared:.1f} times as long.")


@contextmanager
def _operator() -> Iterator[Bots]:
    environment = users_cluster() or local_cluster()
    namespace = f"bench-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        values = install_with_tiny_model(environment, Path(folder))
    make_namespace(environment, namespace)
    try:
        yield Bots(environment, namespace, values)
    finally:
        environment.run("kubectl", "delete", "namespace", namespace, "--wait=false")


def _measure(bots: Bots, number: int, max_bots: int, patience: float) -> dict[str, Any]:
    """Apply the bots; return how many there were, their Jobs, seconds until all were Complete, and writes for each."""
    bot_names = [f"bot-{max_bots}-{index:02}" for index in range(number)]
    for name in bot_names:
        bots.upload_archive(name, posts=POSTS)
    with bots.operator_values({"batching": {"maxBots": max_bots}}):
        start, began = time.monotonic(), datetime.now(UTC)
        bots.apply_all(dict.fromkeys(bot_names, SPEC))
        _wait_until_complete(bots, bot_names, start + patience)
        seconds = time.monotonic() - start
        num_jobs = len(bots.jobs("prepare")) + len(bots.jobs("train"))
        time.sleep(_LATE_WRITES_SECONDS)
        writes = _count_writes(began)
        for client, requests in writes.items():
            print(
                f"{client}: {', '.join(f'{what} {times}' for what, times in requests.most_common())}", file=sys.stderr
            )
    bots.kubectl("delete", "tweetbots", "--all", "--wait")
    return {
        "bots": number,
        "maxBots": max_bots,
        "Jobs": num_jobs,
        "seconds": round(seconds, 1),
        "writes each": round(total(writes) / number, 1),
        "the operator's": round(sum(writes.get(_OPERATOR, {}).values()) / number, 1),
    }


def _count_writes(since: datetime) -> dict[str, Counter[str]]:
    """Return who has written what since then, by the local cluster's audit log."""
    log = Paths.from_environment().control_plane / "logs" / "audit.log"
    if not log.exists():
        return {}
    with log.open() as lines:
        return count((request for request in read_requests(lines) if request.time >= since), reads=False)


def _wait_until_complete(bots: Bots, bot_names: list[str], deadline: float) -> None:
    """Wait for all; end the program if one fails, for then the time tells nothing."""
    while time.monotonic() < deadline:
        found = json.loads(bots.kubectl("get", "tweetbots", "-o", "json"))["items"]
        phases = [bot.get("status", {}).get("phase") for bot in found]
        print(f"\r{phases.count('Succeeded')} of {len(bot_names)} are Complete", end="", file=sys.stderr, flush=True)
        if "Failed" in phases:
            sys.exit("a bot failed: the measurement is void")
        if phases.count("Succeeded") == len(bot_names):
            print(file=sys.stderr)
            return
        time.sleep(_POLL_SECONDS)
    sys.exit(f"not all were Complete in time: {phases}")


if __name__ == "__main__":
    main()
