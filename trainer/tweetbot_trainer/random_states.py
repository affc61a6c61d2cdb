"""The state of every random number generator that a training draws from, as plain numbers and tensors."""

import random
from typing import Any

import numpy as np
import torch

RandomStates = tuple[dict[str, torch.Tensor], dict[str, Any]]
"""States of PyTorch's generators as tensors, and Python's and numpy's as JSON."""

_PYTHON, _NUMPY = "python", "numpy"
_CPU, _CUDA = "random/cpu", "random/cuda"


def capture_random_states(device: torch.device) -> RandomStates:
    """Return the states of all generators."""
    tensors = {_CPU: torch.get_rng_state()}
    if device.type == "cuda":
        tensors[_CUDA] = torch.cuda.get_rng_state(device)
    kind, keys, position, has_gauss, gauss = np.random.get_state()
    numpy_state = [kind, np.asarray(keys).tolist(), position, has_gauss, gauss]
    return tensors, {_PYTHON: random.getstate(), _NUMPY: numpy_state}


def restore_random_states(tensors: dict[str, torch.Tensor], facts: dict[str, Any], device: torch.device) -> None:
    """Set every generator to the state that was captured."""
    torch.set_rng_state(tensors[_CPU])
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors[_CUDA], device)
    version, numbers, gauss = facts[_PYTHON]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, position, has_gauss, cached = facts[_NUMPY]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
