"""One train Job as its pod runs it, but in folders that the benchmark names; optionally profiled."""

import cProfile
import sys
from pathlib import Path

from tweetbot_trainer.job import Job, JobPaths, load_manifest
from tweetbot_trainer.job_log import log_to_stdout
from tweetbot_trainer.stages import load_together


def main(folder: Path, profile: str | None = None) -> int:
    """Work on the Job of the folder; return its exit code."""
    log_to_stdout()
    paths = JobPaths(
        manifest=folder / "manifest.json", work_dir=folder / "work", termination_message=folder / "termination-log"
    )
    job = Job(load_manifest(paths.manifest, "train"), paths, load_together=load_together)
    if profile is None:
        return job.run()
    profiler = cProfile.Profile()
    code = profiler.runcall(job.run)
    profiler.dump_stats(profile)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
