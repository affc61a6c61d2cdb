"""One bot of a batch from its first step to its last: what is noted of it, and where another attempt would go on."""

import math
import time
from concurrent.futures import Future

import torch

from tweetbot_trainer.checkpoint import Checkpoint, Checkpoints
from tweetbot_trainer.fused.course import Losses, Snapshot
from tweetbot_trainer.lineage import start_training
from tweetbot_trainer.member import Member
from tweetbot_trainer.meter import Meter
from tweetbot_trainer.metrics_log import MetricsLog
from tweetbot_trainer.random_states import RandomStates
from tweetbot_trainer.stored_dataset import StoredDataset
from tweetbot_trainer.together.reading import Lesson
from tweetbot_trainer.together.snapshots import to_checkpoint
from tweetbot_trainer.train import STEPS_PER_REPORT


class Running:
    """A bot in training."""

    def __init__(self, member: Member, lesson: Lesson, *, is_tracked: bool) -> None:
        recipe = member.config.training
        course = lesson.learner.course
        self.member = member
        self.dataset: StoredDataset = lesson.dataset
        self.checkpoints: Checkpoints = lesson.checkpoints
        self.step = self.saved_step = lesson.found.step if lesson.found else 0
        """Steps done, and how many of them the newest checkpoint knows of."""
        self.saved_at = time.monotonic()
        """When the bot began, or was last saved."""
        self.saving: Future[bool] | None = None
        """The newest checkpoint on its way to the store."""
        self._recipe = recipe
        self._batch_sizes = [len(batch) for batch in course.batches]
        self._learning_rates = course.learning_rates
        self._meter = Meter(num_steps=self.num_steps, tokens_per_block=recipe.block_size)
        member.reporter.report("Training", self.step / self.num_steps)
        if not is_tracked:
            start_training(member.config, lesson.dataset.parts.train, member.tracker, member.work_dir)
        self.metrics = MetricsLog(member.work_dir, member.reporter, member.tracker)
        if lesson.found:
            self._meter.restore(lesson.found.step, lesson.found.own.facts["losses"])
            self.metrics.restore(lesson.found.shared.facts["log"])

    @property
    def num_steps(self) -> int:
        """Steps of the whole course."""
        return len(self._batch_sizes)

    @property
    def is_to_be_measured(self) -> bool:
        """Tell whether the recipe wants the held-out loss after this step."""
        every = self._recipe.eval_steps
        return every is not None and 0 < self.step < self.num_steps and self.step % every == 0

    @property
    def is_to_be_saved(self) -> bool:
        """Tell whether the recipe wants a checkpoint after this step, and there is none."""
        every = self._recipe.checkpoint_steps
        return every is not None and self.saved_step < self.step < self.num_steps and self.step % every == 0

    @property
    def is_saved_by_time(self) -> bool:
        """Tell whether the recipe leaves it open when checkpoints are saved."""
        return self._recipe.checkpoint_steps is None

    def note(self, event: Losses) -> None:
        """Tell the metrics of the last steps; raise NonFiniteLoss if a loss is no number."""
        for step, loss in enumerate(event.losses, start=event.first_step):
            self._meter.add(torch.tensor(loss), self._batch_sizes[step - 1])
            if step % STEPS_PER_REPORT == 0 or step == self.num_steps or not math.isfinite(loss):
                self.metrics.add_step(self._meter.report(step, self._learning_rates[step - 1]))
            self.step = step

    def checkpoint(self, snapshot: Snapshot, random_states: RandomStates) -> Checkpoint:
        """Return where another attempt would go on."""
        return to_checkpoint(
            snapshot,
            log=self.metrics.state(),
            losses=self._meter.losses,
            micro_batch=self._recipe.batch_size,
            random_states=random_states,
        )
