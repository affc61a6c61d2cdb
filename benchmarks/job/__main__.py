"""`python -m benchmarks.job`: what one train Job of many small bots takes from its first import to its last file.

The real trainer in a process of its own, against an S3 server on this machine; no cluster. Prints one JSON object.
"""

import argparse
import json
import logging
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3

from tests.factories import make_bot_identity, make_run_config, make_sentences
from tests.s3_server import running_s3_server
from tests.unit.trainer.language_model import save_tiny_gpt2, store_dataset
from tweetbot_api.runconfig import RunManifest
from tweetbot_trainer.s3 import open_store

_TIME = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) ")
_EVENTS = {"loaded": "base model loaded", "first": "bots are trained together"}


def main() -> None:
    """Run one Job and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bots", type=int, default=16)
    parser.add_argument("--posts", type=int, default=380, help="of each bot; 380 is the seed's size")
    parser.add_argument("--profile", help="file for a profile of the thread that trains")
    arguments = parser.parse_args()
    os.environ |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "HF_HUB_OFFLINE": "1"}
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with running_s3_server() as endpoint, tempfile.TemporaryDirectory() as folder:
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="bots")
        _make_job(Path(folder), arguments.bots, arguments.posts, endpoint)
        print(json.dumps(_run(Path(folder), arguments.profile), indent=2))


def _make_job(folder: Path, num_bots: int, num_posts: int, endpoint: str) -> None:
    """Write the run manifest, and the bots' datasets into their stores."""
    model = save_tiny_gpt2(folder / "model")
    bots = [
        make_run_config(
            bot=make_bot_identity(f"bot-{number}").to_wire(),
            training={"blockSize": 128, "seed": number},
            baseModel={"name": model.as_uri()},
            generation={"maxLength": 120},
            output={"bucket": "bots", "prefix": f"bot-{number}", "endpoint": endpoint},
        )
        for number in range(num_bots)
    ]
    for config in bots:
        posts = {"thisisaito": make_sentences(num_posts)}
        store_dataset(open_store(config.output), posts)
    manifest = RunManifest(job_kind="train", job_name="job", bots=bots)
    (folder / "manifest.json").write_text(json.dumps(manifest.to_wire()))


def _run(folder: Path, profile: str | None) -> dict[str, Any]:
    start = time.time()
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.job.pod", str(folder), *([profile] if profile else [])],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    end = time.time()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = process.stdout.splitlines()
    if process.returncode:
        raise SystemExit("\n".join(lines[-20:]))
    finished = sorted(_time_of(line) for line in lines if "bot finished" in line)
    return {
        "seconds": round(end - start, 2),
        "cpuSeconds": round(used.ru_utime + used.ru_stime, 2),
        "peakMiB": used.ru_maxrss // 1024,
        "secondsUntil": {
            name: round(next(_time_of(line) for line in lines if text in line) - start, 2)
            for name, text in _EVENTS.items()
        },
        "firstFinished": round(finished[0] - start, 2),
        "lastFinished": round(finished[-1] - start, 2),
        "finished": len(finished),
    }


def _time_of(line: str) -> float:
    match = _TIME.match(line)
    if match is None:
        raise ValueError(line)
    return datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()


if __name__ == "__main__":
    main()
