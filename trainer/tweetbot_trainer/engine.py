"""DeepSpeed around one model: the recipe as its configuration, and steps in portions that fit into memory.

For an interrupted training weights leave and enter as whole tensors by name, the optimizer's state as what this process
holds of it: with ZeRO 1 to 3 a flat piece, which fits only as many processes with the same stage.
"""

import copy
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from transformers import get_cosine_schedule_with_warmup

from tweetbot_api.conditions import Reason
from tweetbot_api.spec.training import Training
from tweetbot_trainer.distributed import start_deepspeed, world_size
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.random_states import capture_random_states, restore_random_states

logger = logging.getLogger(__name__)

_BETAS: Final = (0.9, 0.999)
_EPSILON: Final = 1e-8
_NEVER: Final = 2**31 - 1
_PARTITIONED_WEIGHTS: Final = 3
_CPU_OUT_OF_MEMORY: Final = "can't allocate memory"
FIRST_MOMENT: Final = "exp_avg"
SECOND_MOMENT: Final = "exp_avg_sq"
UPDATES: Final = "step"
"""What AdamW keeps for each parameter, in PyTorch's words."""


class Engine:
    """One network in training. `network` holds what is trained; its frozen parameters are left alone."""

    def __init__(self, network: torch.nn.Module, recipe: Training, num_steps: int, device: torch.device) -> None:
        self.network = network
        self.micro_batch = recipe.batch_size
        """Blocks in one forward pass; halved when memory runs out."""
        self._stage = recipe.deepspeed.zero_stage
        self._device = device
        deepspeed = start_deepspeed(device)
        self._gathered = deepspeed.zero.GatheredParameters
        optimizer = make_optimizer(network, recipe, device)
        self._schedule = get_cosine_schedule_with_warmup(
            optimizer, math.ceil(num_steps * recipe.warmup_ratio), num_steps
        )
        self._engine, *_ = deepspeed.initialize(
            model=network,
            optimizer=optimizer,
            lr_scheduler=self._schedule,
            config=deepspeed_config(recipe, device),
            dist_init_required=False,
        )

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        return float(self._schedule.get_last_lr()[0])

    def step(self, blocks: torch.Tensor) -> torch.Tensor:
        """Take one optimizer step on the blocks, shape (blocks, tokens); return their mean loss, still on the device.

        If memory runs out, the step is done again in portions of half the size, and so is every later one. Raises
        OutOfMemory if that does not help.
        """
        while self._may_halve:
            states = capture_random_states(self._device)
            try:
                loss = self._accumulate(blocks)
                break
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            self._halve_micro_batch(states)
        else:
            loss = self._accumulate(blocks)
        self._engine.step()
        return loss

    def weights(self) -> dict[str, torch.Tensor]:
        """Return copies on the CPU of everything that is trained, by name. All processes must ask together."""
        return {name: tensor for name, tensor, is_trained in self._whole_parameters() if is_trained}

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Return this process's part of the optimizer's and all random states: tensors, and JSON."""
        tensors, facts = capture_random_states(self._device)
        for index, parameter in enumerate(self._master_parameters()):
            for name, value in self._base_optimizer.state[parameter].items():
                tensors[optimizer_key(index, name)] = value.detach().to("cpu", copy=True)
        return tensors, {**facts, "microBatch": self.micro_batch}

    def restore_state(self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any], step: int) -> None:
        """Set the optimizer, the schedule and every random generator to what they were after a step."""
        base = self._base_optimizer
        for index, parameter in enumerate(self._master_parameters()):
            prefix = optimizer_key(index, "")
            states = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            base.state[parameter] = {name: self._placed(name, value, parameter) for name, value in states.items()}
        rates = [
            peak * share(step) for peak, share in zip(self._schedule.base_lrs, self._schedule.lr_lambdas, strict=True)
        ]
        self._schedule.load_state_dict(
            {**self._schedule.state_dict(), "last_epoch": step, "_step_count": step + 1, "_last_lr": rates}
        )
        for group, rate in zip(base.param_groups, rates, strict=True):
            group["lr"] = rate
        self.micro_batch = int(facts["microBatch"])
        restore_random_states(dict(tensors), dict(facts), self._device)

    def close(self) -> None:
        """Free what DeepSpeed holds; the network is then a plain one with its trained weights, not tied to each other.

        All processes must close together.
        """
        parameters = list(self._whole_parameters()) if self._stage else []
        self._engine.destroy()
        for name, tensor, is_trained in parameters:
            _replace_parameter(self.network, name, tensor.to(self._device), requires_grad=is_trained)
        self.network.zero_grad()

    def _accumulate(self, blocks: torch.Tensor) -> torch.Tensor:
        """Add up the gradients of all blocks; each block counts alike, however the portions are cut."""
        total = torch.zeros((), device=self._device)
        portions = torch.split(blocks, self.micro_batch)
        for number, portion in enumerate(portions, start=1):
            self._engine.set_gradient_accumulation_boundary(number == len(portions))
            ids = portion.to(self._device, non_blocking=True)
            share = len(portion) / len(blocks)
            loss = self._engine(input_ids=ids, labels=ids, use_cache=False).loss
            self._engine.backward(loss * share)
            total += loss.detach() * share
        return total

    def _halve_micro_batch(self, states: tuple[dict[str, torch.Tensor], dict[str, Any]]) -> None:
        self.micro_batch = math.ceil(self.micro_batch / 2)
        logger.warning("memory ran out, reading fewer blocks at once micro_batch=%d", self.micro_batch)
        self._engine.zero_grad()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        restore_random_states(*states, self._device)

    @property
    def _may_halve(self) -> bool:
        """Tell whether a step can be done again: alone, for other processes wait for this one in the middle of it."""
        return self.micro_batch > 1 and world_size() == 1

    def _whole_parameters(self) -> Iterator[tuple[str, torch.Tensor, bool]]:
        """Yield each parameter's name, a copy, and whether it is trained; gathered one by one from all processes."""
        for name, parameter in self.network.named_parameters():
            with self._gathered([parameter], enabled=self._stage == _PARTITIONED_WEIGHTS):
                whole = parameter.detach().to("cpu", copy=True)
            yield name, whole, parameter.requires_grad

    @property
    def _base_optimizer(self) -> torch.optim.Optimizer:
        optimizer = self._engine.optimizer
        return optimizer if isinstance(optimizer, torch.optim.Optimizer) else optimizer.optimizer

    def _master_parameters(self) -> list[torch.Tensor]:
        """Return the tensors that the optimizer's state belongs to: the weights, or this process's pieces of them."""
        optimizer = self._engine.optimizer
        for pieces in ("fp32_partitioned_groups_flat", "single_partition_of_fp32_groups"):
            if hasattr(optimizer, pieces):
                return list(getattr(optimizer, pieces))
        return [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def _placed(self, name: str, value: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
        """Return a state's tensor where AdamW wants it: counters stay on the CPU unless the kernel is fused."""
        on_cpu = name == UPDATES and not self._base_optimizer.param_groups[0]["fused"]
        return value.clone() if on_cpu else value.to(parameter.device, copy=True)


def optimizer_key(index: int, name: str) -> str:
    """Return the name of a tensor that AdamW keeps for the parameter of this number, as `Engine.state` has it."""
    return f"optimizer/{index}/{name}"


def make_optimizer(network: torch.nn.Module, recipe: Training, device: torch.device) -> torch.optim.AdamW:
    """Return AdamW as the HuggingFace Trainer sets it up: biases and norms are not decayed, one kernel on GPUs."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=recipe.learning_rate,
        betas=_BETAS,
        eps=_EPSILON,
        fused=device.type == "cuda",
    )


def deepspeed_config(recipe: Training, device: torch.device) -> dict[str, Any]:
    """Return DeepSpeed's configuration: the user's, and over it what the recipe decides."""
    config: dict[str, Any] = copy.deepcopy(dict(recipe.deepspeed.config or {}))
    zero = config.get("zero_optimization")
    return {
        **config,
        # Portions and their weights are counted by Engine, which tells DeepSpeed the last one of each step.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": recipe.max_grad_norm,
        "zero_optimization": {**(zero if isinstance(zero, dict) else {}), "stage": recipe.deepspeed.zero_stage},
        "torch_autocast": {"enabled": uses_bf16(recipe, device), "dtype": "bfloat16"},
        "steps_per_print": _NEVER,
    }


def uses_bf16(recipe: Training, device: torch.device) -> bool:
    """Tell whether forward and backward passes are in bf16; weights and optimizer are in fp32 always."""
    if recipe.precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return recipe.precision == "bf16"


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether this is one of PyTorch's ways of saying that memory ran out."""
    return isinstance(error, torch.OutOfMemoryError) or _CPU_OUT_OF_MEMORY in str(error)


@contextmanager
def device_errors_named() -> Iterator[None]:
    """Raise OutOfMemory where PyTorch says that memory ran out, GPUFault where it says that the GPU failed."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            whose = "the GPU's" if isinstance(error, torch.OutOfMemoryError) else "the process's"
            raise TrainerError(Reason.OUT_OF_MEMORY, f"{whose} memory ran out: {error}") from error
        if isinstance(error, torch.AcceleratorError):
            raise TrainerError(Reason.GPU_FAULT, f"the GPU reported an error: {error}") from error
        raise


def load_weights(network: torch.nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Copy weights into the parameters of these names; raise KeyError if one is not there."""
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, tensor in weights.items():
            parameters[name].copy_(tensor)


def _replace_parameter(network: torch.nn.Module, name: str, tensor: torch.Tensor, *, requires_grad: bool) -> None:
    """Put a plain parameter in the place of one that DeepSpeed had made part of its own buffers."""
    path, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(path), leaf, torch.nn.Parameter(tensor, requires_grad=requires_grad))
