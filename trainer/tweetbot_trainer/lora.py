"""Low-rank adapters around a model's linear layers, and the weights that they become when they are merged."""

import warnings
from typing import TYPE_CHECKING

from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tweetbot_api.conditions import Reason
from tweetbot_api.spec.training import Lora
from tweetbot_trainer.errors import TrainerError

if TYPE_CHECKING:
    from peft import PeftModel


def add_adapters(model: PreTrainedModel, lora: Lora) -> "PeftModel":
    """Put adapters beside the model's layers, in place, and freeze everything else.

    Raises InvalidSpec if the model has no such layers.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules or "all-linear",
        # GPT-2's layers hold their weights transposed.
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
    )
    try:
        with warnings.catch_warnings(action="ignore"):
            return get_peft_model(model, config)
    except ValueError as error:
        raise TrainerError(
            Reason.INVALID_SPEC, f"spec.training.lora.targetModules does not fit the base model: {error}"
        ) from error


def merge_adapters(network: "PeftModel") -> None:
    """Add the adapters to the weights, and leave the model inside as it was, trained."""
    network.merge_and_unload()
    for parameter in network.parameters():
        parameter.requires_grad = True
