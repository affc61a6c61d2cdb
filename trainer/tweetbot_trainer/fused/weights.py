"""The weights of several models of one shape, one row each in a single tensor.

A row is contiguous: giving a slot back its base weights, moving a finished bot off the device, and the optimiser's pass
over one bot are single operations. A parameter of all models is a view `[models, *shape]` into the rows, as batched
matrix products take it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import torch
from torch import Tensor

_ALIGNMENT: Final = 64
"""Elements: each parameter begins where vector instructions and bf16 copies of the row like it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each parameter of one model lies in its row: matrices first, so that weight decay has one range."""

    shapes: dict[str, torch.Size]
    """Shape of each parameter, in the order of the row."""
    offsets: dict[str, int]
    """Its first element."""
    num_elements: int
    """Elements in a row, gaps included."""

    @classmethod
    def of(cls, parameters: Mapping[str, Tensor]) -> Self:
        """Lay out parameters with these names and shapes."""
        ordered = sorted(parameters, key=lambda name: parameters[name].ndim < 2)
        offsets, end = {}, 0
        for name in ordered:
            offsets[name] = end
            end += -(-parameters[name].numel() // _ALIGNMENT) * _ALIGNMENT
        return cls({name: parameters[name].shape for name in ordered}, offsets, end)

    def views(self, rows: Tensor) -> dict[str, Tensor]:
        """Return each parameter as a view `[models, *shape]` into rows `[models, num_elements]`."""
        return {
            name: rows[:, start : start + shape.numel()].view(len(rows), *shape)
            for (name, shape), start in zip(self.shapes.items(), self.offsets.values(), strict=True)
        }

    def row(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return one model's parameters as an fp32 row `[num_elements]` on their device."""
        device = next(iter(parameters.values())).device
        row = torch.zeros(1, self.num_elements, device=device)
        for name, view in self.views(row).items():
            view[0].copy_(parameters[name])
        return row[0]
