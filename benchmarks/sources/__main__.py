"""Memory and time that a large archive takes: `tweetbot inspect`, and the prepare half, each in a process of its own.

python -m benchmarks.sources [NUM_POSTS]        (1,000,000 if left out)
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.sources.archive import write_archive
from tests.factories import make_base_model

LIMIT_MIB: Final = 512
_HANDLE = "thisisaito"
_MILLION = 1_000_000


def measure(module: str, *arguments: object) -> dict[str, Any]:
    """Run one of the modules beside this one to its end; return the JSON object that it prints, with its seconds."""
    start = time.monotonic()
    command = [sys.executable, "-m", f"benchmarks.sources.{module}", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "seconds": time.monotonic() - start}


def main(num_posts: int) -> int:
    """Measure, print a table, and return 1 if the limit is broken."""
    with tempfile.TemporaryDirectory(prefix="bench-sources-") as folder:
        archive = write_archive(Path(folder, "archive.zip"), num_posts, _HANDLE)
        base_model = make_base_model(Path(folder, "model"))
        size = archive.stat().st_size / 1024**2
        print(f"archive of {num_posts:,} posts, {size:,.0f} MiB packed", flush=True)
        inspected = measure("inspect", archive, _HANDLE)
        prepared = measure("fetch", archive, _HANDLE, Path(folder, "work"), base_model)
    rows = (
        ("inspect", inspected["peak_mib"], inspected["seconds"]),
        ("prepare: fetch + clean", prepared["fetch_and_clean_mib"], prepared["fetch_and_clean_seconds"]),
        ("prepare: all", prepared["whole_mib"], prepared["seconds"]),
    )
    print(f"{'':24}{'peak MiB':>10}{'seconds':>10}")
    for name, mib, seconds in rows:
        print(f"{name:24}{mib:10.0f}{seconds:10.0f}")
    print(f"kept {inspected['kept']:,} of {inspected['downloaded']:,}; limit {LIMIT_MIB} MiB up to the cleaned posts")
    same = inspected["kept"] == prepared["kept"]
    return 0 if same and max(rows[0][1], rows[1][1]) <= LIMIT_MIB else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else _MILLION))
