"""Which runs may be trained in one pass, as far as the runs alone tell."""

from collections.abc import Sequence

from tweetbot_api.runconfig import RunConfig
from tweetbot_api.spec.training import DeepSpeed


def may_be_together(configs: Sequence[RunConfig]) -> bool:
    """Tell whether the fused engine has all that these runs ask for, and they agree where they have to."""
    recipes = [config.training for config in configs]
    return len(configs) > 1 and all(
        recipe.method == "full"
        and recipe.early_stopping is None
        and recipe.gradient_accumulation_steps == 1
        and recipe.deepspeed == DeepSpeed()
        and (recipe.block_size, recipe.precision, recipe.weight_decay)
        == (recipes[0].block_size, recipes[0].precision, recipes[0].weight_decay)
        and config.base_model == configs[0].base_model
        for recipe, config in zip(recipes, configs, strict=True)
    )
