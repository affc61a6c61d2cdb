"""The small sister of `make bench-parity`: the HuggingFace Trainer and ours on the same blocks in the same order."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_losses_are_those_of_the_hugging_face_trainer_within_1e_4():
    # A process of its own: the HuggingFace Trainer takes a process group that is open for a cluster's.
    script = """
from benchmarks.parity.compare import compare, make_task
from tweetbot_api.spec.training import Training
recipe = Training(block_size=32, precision="fp32")
(comparison,) = compare([make_task(recipe, 32, layers=1, width=32, num_held_out=2)])
assert len(comparison.differences) == 32
print(max(comparison.differences), comparison.held_out_difference)
"""
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr[-2000:]
    assert all(float(number) <= 1e-4 for number in run.stdout.split()[-2:]), run.stdout
