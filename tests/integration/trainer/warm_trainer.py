"""A trainer that has imported everything and forks a process for each attempt: imports take longer than these runs.

Reads one JSON object per line: `manifest` (of the run), `work` (a folder for the attempt), `store` (a folder, or None
for the S3 store that the manifest names). Answers `{"pid": …}` once the attempt runs and `{"exit": …}` once it ended.
"""

import importlib
import json
import os
import sys
from pathlib import Path

import torch

from tweetbot_trainer import train
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.distributed import start_deepspeed
from tweetbot_trainer.job import Job, JobPaths, load_manifest
from tweetbot_trainer.job_log import log_to_stdout
from tweetbot_trainer.s3 import open_store
from tweetbot_trainer.stages import load_stage, load_together


def run_attempt(manifest: str, work: str, store: str | None) -> int:
    sys.stdout = sys.stderr
    log_to_stdout()
    paths = JobPaths(
        manifest=Path(manifest),
        work_dir=Path(work),
        termination_message=Path(work, "termination-log"),
    )
    store_of = open_store if store is None else lambda _: LocalStore(Path(store))
    return Job(load_manifest(paths.manifest, "train"), paths, store_of=store_of, load_together=load_together).run()


def main() -> None:
    torch.set_num_threads(1)
    train.STEPS_PER_REPORT = 1
    load_stage("train")
    importlib.import_module("tweetbot_trainer.together.training")
    # Imports DeepSpeed; the group of one is the children's to use.
    start_deepspeed(torch.device("cpu"))
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(run_attempt(**request))
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"exit": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
