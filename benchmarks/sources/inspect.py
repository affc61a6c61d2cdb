"""Inspect one file and print what it gives and the peak memory: python -m benchmarks.sources.inspect FILE HANDLE."""

import json
import sys
from pathlib import Path

from benchmarks.sources.memory import peak_mib
from tweetbot_trainer.inspection import inspect_file


def main(path: str, handle: str) -> None:
    """Print one JSON object."""
    facts = inspect_file(Path(path), handle).model_dump(by_alias=True)
    print(json.dumps({**facts, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
