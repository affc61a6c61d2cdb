"""Run the prepare half on one archive and print the peak memory after fetching and cleaning, and at the end.

python -m benchmarks.sources.fetch ARCHIVE HANDLE WORK_DIR BASE_MODEL
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.sources.memory import peak_mib
from tweetbot_api.runconfig import RunConfig
from tweetbot_trainer.artifacts import LocalStore
from tweetbot_trainer.prepare import prepare
from tweetbot_trainer.tracking import NullTracker


class MemoryReporter:
    """Notes peak memory and time when the last handle is cleaned."""

    def __init__(self) -> None:
        self.peak_mib = self.seconds = 0.0
        self._start = time.monotonic()

    def report(self, stage: str, fraction: float, **_: Any) -> None:
        """Note both at the end of cleaning."""
        if (stage, fraction) == ("Cleaning", 0.5):
            self.peak_mib = peak_mib()
            self.seconds = time.monotonic() - self._start


def main(archive: str, handle: str, work_dir: str, base_model: str) -> None:
    """Prepare the bot and print what it took as one JSON object."""
    config = RunConfig.model_validate(
        {
            "bot": {"namespace": "bench", "name": handle, "uid": "1", "runId": "1", "attempt": 1},
            "handles": [handle],
            "source": {"archive": {"uri": Path(archive).absolute().as_uri()}},
            "baseModel": {"name": Path(base_model).absolute().as_uri()},
            "training": {"seed": 7},
            "generation": {},
            "output": {"bucket": "bench", "prefix": "bench"},
        }
    )
    reporter = MemoryReporter()
    outcome = prepare(config, LocalStore(Path(work_dir, "store")), reporter, NullTracker(), Path(work_dir))
    facts = {"fetch_and_clean_mib": reporter.peak_mib, "fetch_and_clean_seconds": reporter.seconds}
    print(json.dumps({**facts, "whole_mib": peak_mib(), "kept": sum(item.kept for item in outcome.data or ())}))


if __name__ == "__main__":
    main(*sys.argv[1:])
