"""Which parts of DeepSpeed's configuration a user may write: all but those that the recipe or the pod decides."""

import json
from collections.abc import Mapping
from typing import Final

from pydantic import JsonValue

_MOST_CHARACTERS: Final = 8_192
_USE_PRECISION: Final = "use spec.training.precision"
_USE_OUR_CHECKPOINTS: Final = "checkpoints are the trainer's own"
_NOT_LOOKED_AT: Final = "metrics go to spec.tracking and metrics.jsonl"
OWNED_KEYS: Final[dict[str, str]] = {
    "train_batch_size": "use spec.training.batchSize and gradientAccumulationSteps",
    "train_micro_batch_size_per_gpu": "use spec.training.batchSize",
    "gradient_accumulation_steps": "use spec.training.gradientAccumulationSteps",
    "gradient_clipping": "use spec.training.maxGradNorm",
    "optimizer": "use spec.training.learningRate and weightDecay",
    "scheduler": "use spec.training.learningRate and warmupRatio",
    "zero_optimization.stage": "use spec.training.deepspeed.zeroStage",
    "zero_optimization.offload_optimizer": "the trainer keeps the optimiser's state on the GPU",
    "zero_optimization.offload_param": "the trainer keeps weights on the GPU",
    "fp16": _USE_PRECISION,
    "bf16": _USE_PRECISION,
    "torch_autocast": _USE_PRECISION,
    "amp": _USE_PRECISION,
    "data_types": _USE_PRECISION,
    "checkpoint": _USE_OUR_CHECKPOINTS,
    "nebula": _USE_OUR_CHECKPOINTS,
    "compile": "the trainer's image has no compiler",
    "steps_per_print": _NOT_LOOKED_AT,
    "tensorboard": _NOT_LOOKED_AT,
    "wandb": _NOT_LOOKED_AT,
    "comet": _NOT_LOOKED_AT,
    "csv_monitor": _NOT_LOOKED_AT,
    "elasticity": "a run keeps its number of processes",
    "autotuning": "the recipe is the spec's",
    "pipeline": "the model is not split into stages",
}
"""Keys that are refused (a dot leads into a section), each with what to do instead."""


def check_deepspeed_config(config: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return the configuration; raise ValueError with the key and the field to use instead if it holds one of ours."""
    if len(json.dumps(config)) > _MOST_CHARACTERS:
        raise ValueError(f"the configuration has more than {_MOST_CHARACTERS:,} characters")
    for key, remedy in OWNED_KEYS.items():
        if _has(config, key):
            raise ValueError(f"{key} may not be set here: {remedy}")
    return config


def _has(config: Mapping[str, JsonValue], key: str) -> bool:
    section, _, inner = key.partition(".")
    if not inner:
        return section in config
    value = config.get(section)
    return isinstance(value, dict) and inner in value
