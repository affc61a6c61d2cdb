"""When has a bot learned enough? When the loss on held-out posts has not fallen for several measurements."""

import math
from dataclasses import dataclass

from tweetbot_api.spec.training import EarlyStopping

DEFAULT_EVAL_STEPS = 20
"""How often huggingtweets' development notebook measures the held-out loss."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What the held-out losses so far say."""

    best_loss: float = math.inf
    """The lowest, in nats per token."""
    num_worse: int = 0
    """Measurements since then."""

    def after(self, loss: float, min_delta: float) -> "Progress":
        """Return the progress with one more measurement."""
        if loss < self.best_loss - min_delta:
            return Progress(best_loss=loss)
        return Progress(best_loss=self.best_loss, num_worse=self.num_worse + 1)

    @property
    def is_best(self) -> bool:
        """Tell whether the last measurement was the best."""
        return self.num_worse == 0 and math.isfinite(self.best_loss)

    def is_over(self, stopping: EarlyStopping) -> bool:
        """Tell whether patience has run out."""
        return self.num_worse >= stopping.patience
