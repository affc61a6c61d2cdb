"""How well a model foresees posts that it has not seen: the loss per token on held-out text.

`text_measures` tells how it writes.
"""

import math
from collections.abc import Sequence

import torch

from tweetbot_api.status import Evaluation

_FEWEST_TOKENS = 2


@torch.no_grad()
def held_out_loss(model: torch.nn.Module, token_ids: Sequence[int], block_size: int) -> float:
    """Return the mean loss in nats per predicted token, over windows of `block_size` that do not overlap.

    The incomplete window at the end counts by its tokens; the first token of each window is given, not predicted.
    Raises ValueError if there is nothing to predict.
    """
    model.train(mode=False)
    device = next(model.parameters()).device
    total, num_predicted = 0.0, 0
    for start in range(0, len(token_ids), block_size):
        window = list(token_ids[start : start + block_size])
        if len(window) < _FEWEST_TOKENS:
            continue
        ids = torch.tensor([window], device=device)
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        total += loss.item() * (len(window) - 1)
        num_predicted += len(window) - 1
    if not num_predicted:
        raise ValueError("held-out text of one token has nothing to predict")
    return total / num_predicted


def make_evaluation(loss: float, base_loss: float) -> Evaluation:
    """Return losses with their perplexities, rounded for people."""
    return Evaluation(
        loss=round(loss, 4),
        perplexity=perplexity(loss),
        base_loss=round(base_loss, 4),
        base_perplexity=perplexity(base_loss),
    )


def perplexity(loss: float) -> float:
    """Return exp(loss): among how many equally likely tokens the model seems to choose."""
    return round(math.exp(min(loss, 100.0)), 2)
