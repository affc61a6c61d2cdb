"""One of the processes of a train Job, as `tweetbot job train` runs it, but in folders that a test names."""

import os
import sys
from pathlib import Path

from tweetbot_trainer import train
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.follower import follow
from tweetbot_trainer.job import Job, JobPaths, load_manifest
from tweetbot_trainer.job_log import log_to_stdout
from tweetbot_trainer.launch import Rendezvous, launch


def main(folder: Path) -> int:
    if rendezvous := Rendezvous.from_environment(os.environ):
        return launch([sys.executable, *sys.argv], rendezvous, os.environ)
    log_to_stdout()
    train.STEPS_PER_REPORT = 1
    paths = JobPaths(
        manifest=folder / "manifest.json",
        work_dir=folder / "work",
        termination_message=folder / "termination-log",
    )
    manifest = load_manifest(paths.manifest, "train")

    def store_of(output):
        return LocalStore(folder / "stores" / output.prefix)

    if rank := int(os.environ.get("RANK", "0")):
        return follow(manifest, paths.work_dir / f"process-{rank}", store_of=store_of)
    return Job(manifest, paths, store_of=store_of, is_shared="RANK" in os.environ).run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
