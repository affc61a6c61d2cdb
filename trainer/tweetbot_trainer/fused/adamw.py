"""AdamW for several models at once, each with its own learning rate, step count and gradient norm.

The update is that of `torch.optim.AdamW` (Loshchilov & Hutter 2019), by the same fused kernel; the clipping that of
`torch.nn.utils.clip_grad_norm_`, over one model's parameters. All numbers that change from step to step are tensors, so
that a captured step can be replayed.
"""

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor

BETAS: Final = (0.9, 0.999)
EPSILON: Final = 1e-8
_NORM_EPSILON: Final = 1e-6


class StackedAdamW:
    """Moments and step counts of K models; `weights` are views `[K, *shape]`, updated in place."""

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        first: Mapping[str, Tensor],
        second: Mapping[str, Tensor],
        *,
        weight_decay: float,
    ) -> None:
        self._names = list(weights)
        self._num_models = len(next(iter(weights.values())))
        device = next(iter(weights.values())).device
        self._weights, self._first, self._second = (self._per_model(stack) for stack in (weights, first, second))
        self._groups = _groups([weights[name].ndim > 2 for name in self._names], weight_decay)
        self.steps = torch.zeros(self._num_models, device=device)
        """Updates made since the model was put in place, `[K]`."""

    def step(
        self,
        gradients: Mapping[str, Tensor],
        *,
        learning_rates: Tensor,
        max_norms: Tensor,
        is_active: Tensor,
    ) -> Tensor:
        """Update the active models; return the norms of their gradients before clipping, `[K]`.

        `learning_rates`, `max_norms` and `is_active` (1 or 0) are fp32 tensors `[K]`.
        """
        per_model = self._per_model(gradients)
        norms = torch.stack([_norm(of_model) for of_model in per_model])
        shrinkage = ((norms + _NORM_EPSILON) / max_norms).clamp(min=1)
        self.steps.add_(is_active)
        is_idle = 1 - is_active
        for model in range(self._num_models):
            for chosen, decay in self._groups:
                torch._fused_adamw_(
                    [self._weights[model][index] for index in chosen],
                    [per_model[model][index] for index in chosen],
                    [self._first[model][index] for index in chosen],
                    [self._second[model][index] for index in chosen],
                    [],
                    [self.steps[model]] * len(chosen),
                    lr=learning_rates[model],
                    beta1=BETAS[0],
                    beta2=BETAS[1],
                    weight_decay=decay,
                    eps=EPSILON,
                    amsgrad=False,
                    maximize=False,
                    grad_scale=shrinkage[model],
                    found_inf=is_idle[model],
                )
        return norms

    def _per_model(self, stacks: Mapping[str, Tensor]) -> list[list[Tensor]]:
        """Return the parameters of each model, in the one order of names."""
        split = [stacks[name].detach().unbind(0) for name in self._names]
        return [[parameter[model] for parameter in split] for model in range(self._num_models)]


def _norm(gradients: list[Tensor]) -> Tensor:
    """Return the L2 norm of one model's gradients together."""
    total: Tensor = torch.nn.utils.get_total_norm(gradients, foreach=True)
    return total


def _groups(is_matrix: list[bool], weight_decay: float) -> list[tuple[list[int], float]]:
    """Return which parameters are updated together, by number, and their decay: matrices alone are decayed."""
    if weight_decay == 0:
        return [(list(range(len(is_matrix))), 0.0)]
    matrices = [index for index, matrix in enumerate(is_matrix) if matrix]
    return [(matrices, weight_decay), ([index for index in range(len(is_matrix)) if index not in matrices], 0.0)]
