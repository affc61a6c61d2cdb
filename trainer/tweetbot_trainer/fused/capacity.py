"""How many bots fit onto the device at once."""

from pathlib import Path
from typing import Final

import torch
from transformers import GPT2Config

from tweetbot_trainer.fused.gpt2 import LOGITS_AT_ONCE

MOST_SLOTS_ON_GPU: Final = 16
"""More only make each step longer: eight bots of GPT-2's size give a GPU's multiprocessors all that they can hold."""
MOST_SLOTS_ON_CPU: Final = 4
"""A few bots hide what the interpreter costs; with more, what one step touches no longer fits into the caches."""
_ROWS_OF_WEIGHTS: Final = 5
"""Weights, gradients, two moments and the bank of finished bots, each fp32."""
_BYTES_PER_ACTIVATION: Final = {torch.bfloat16: 64, torch.float32: 128}
"""Kept for the backward pass, for each token, layer and unit of width: measured on the CPU, rounded up."""
_BYTES_PER_LOGIT: Final = 12
_SHARE_OF_MEMORY: Final = 0.8
_CGROUP_LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def num_slots(config: GPT2Config, num_parameters: int, tokens: int, dtype: torch.dtype, device: torch.device) -> int:
    """Return how many bots to train at once, `tokens` being those of one bot's step; at least one."""
    most = MOST_SLOTS_ON_GPU if device.type == "cuda" else MOST_SLOTS_ON_CPU
    weights = 4 * _ROWS_OF_WEIGHTS * num_parameters
    activations = _BYTES_PER_ACTIVATION[dtype] * config.n_layer * config.n_embd * tokens
    logits = _BYTES_PER_LOGIT * max(LOGITS_AT_ONCE, tokens * config.vocab_size)
    free = _SHARE_OF_MEMORY * free_bytes(device) - logits
    return int(max(1, min(most, free // (weights + activations))))


def free_bytes(device: torch.device, limits: tuple[Path, ...] = _CGROUP_LIMITS) -> int:
    """Return the memory that may still be taken: the GPU's, or the container's limit, or else the machine's."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    of_machine = _available_on_machine()
    for path in limits:
        text = path.read_text().strip() if path.exists() else "max"
        if text.isdigit():
            return min(of_machine, int(text))
    return of_machine


def _available_on_machine() -> int:
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024
