"""A bot of the fused engine as a checkpoint, in the form that its training alone has too, and back.

So whichever way the next attempt goes, alone or in other company, it can take the bot up.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tweetbot_trainer.checkpoint import Checkpoint, Part
from tweetbot_trainer.engine import FIRST_MOMENT, SECOND_MOMENT, UPDATES, optimizer_key
from tweetbot_trainer.fused.course import Snapshot
from tweetbot_trainer.random_states import RandomStates
from tweetbot_trainer.train import WEIGHTS, with_prefix


def to_checkpoint(
    snapshot: Snapshot, *, log: str, losses: Sequence[float], micro_batch: int, random_states: RandomStates
) -> Checkpoint:
    """Return all that another attempt needs: the bot, what was noted of it, and the losses that no report has told."""
    tensors, facts = random_states
    optimizer = {}
    # AdamW's parameters are numbered, matrices first; so are a snapshot's.
    for index, (name, first) in enumerate(snapshot.first_moments.items()):
        optimizer[optimizer_key(index, FIRST_MOMENT)] = first
        optimizer[optimizer_key(index, SECOND_MOMENT)] = snapshot.second_moments[name]
        optimizer[optimizer_key(index, UPDATES)] = torch.tensor(float(snapshot.step))
    return Checkpoint(
        step=snapshot.step,
        shared=Part(
            tensors={f"{WEIGHTS}{name}": weight for name, weight in snapshot.weights.items()},
            facts={"log": log, "bestLoss": None, "numWorse": 0},
        ),
        own=Part(tensors={**tensors, **optimizer}, facts={**facts, "microBatch": micro_batch, "losses": list(losses)}),
    )


def from_checkpoint(checkpoint: Checkpoint, names: Sequence[str]) -> Snapshot:
    """Return the bot; `names` are those of the parameters as AdamW numbers them."""
    return Snapshot(
        step=checkpoint.step,
        weights=with_prefix(checkpoint.shared.tensors, WEIGHTS),
        first_moments=_moments(checkpoint.own.tensors, names, FIRST_MOMENT),
        second_moments=_moments(checkpoint.own.tensors, names, SECOND_MOMENT),
    )


def _moments(tensors: Mapping[str, Tensor], names: Sequence[str], kind: str) -> dict[str, Tensor]:
    """Return the moments by the names of the parameters; none if the training was over."""
    numbered = {name: tensors.get(optimizer_key(index, kind)) for index, name in enumerate(names)}
    return {name: moment for name, moment in numbered.items() if moment is not None}
