"""The metrics of a training on their way out: to the reporter, to the tracker, and into metrics.jsonl."""

import json
from pathlib import Path

from tweetbot_api.names import METRICS
from tweetbot_api.status import Evaluation
from tweetbot_trainer.meter import StepMetrics
from tweetbot_trainer.progress import Reporter
from tweetbot_trainer.tracking import Tracker


class MetricsLog:
    """Passes metrics on, and keeps the losses for the curve."""

    def __init__(self, work_dir: Path, reporter: Reporter, tracker: Tracker) -> None:
        self.path = work_dir / METRICS
        self.losses: list[tuple[int, float]] = []
        """(step, training loss in nats per token)"""
        self.num_steps = 0
        """Optimiser steps done."""
        self._measured: set[int] = set()
        self._reporter = reporter
        self._tracker = tracker
        self.path.write_text("", encoding="utf-8")

    def add_step(self, metrics: StepMetrics) -> None:
        """Take note of the training."""
        self.num_steps = metrics.step
        self.losses.append((metrics.step, metrics.loss))
        self._reporter.report(
            "Training",
            metrics.step / metrics.total_steps,
            step=metrics.step,
            total_steps=metrics.total_steps,
            loss=round(metrics.loss, 4),
            tokens_per_second=round(metrics.tokens_per_second, 1),
            eta_seconds=metrics.eta_seconds,
        )
        self._write(
            metrics.step,
            {
                "loss": metrics.loss,
                "learningRate": metrics.learning_rate,
                "tokensPerSecond": round(metrics.tokens_per_second, 1),
            },
        )

    def add_held_out(self, step: int, loss: float | None) -> None:
        """Take note of the loss on held-out posts, in nats per token, unless an earlier attempt has."""
        if loss is not None and step not in self._measured:
            self._measured.add(step)
            self._write(step, {"heldOutLoss": loss})

    def add_writing(self, evaluation: Evaluation | None) -> None:
        """Take note of how the bot writes, beside its author."""
        if evaluation is None or evaluation.bot is None or evaluation.author is None:
            return
        repeats = {"memorization": evaluation.memorization, "duplicates": evaluation.duplicates}
        writers = {"bot": evaluation.bot.to_wire(), "author": evaluation.author.to_wire()}
        self._write(
            self.num_steps,
            {name: share for name, share in repeats.items() if share is not None}
            | {f"{writer}/{name}": value for writer, measures in writers.items() for name, value in measures.items()},
        )

    def state(self) -> str:
        """Return everything noted so far, as it stands in the file."""
        return self.path.read_text(encoding="utf-8")

    def restore(self, state: str) -> None:
        """Go on from what an earlier attempt had noted, which reporter and tracker know already."""
        self.path.write_text(state, encoding="utf-8")
        lines = [json.loads(line) for line in state.splitlines()]
        steps = [line for line in lines if "loss" in line]
        self._measured = {line["step"] for line in lines if "heldOutLoss" in line}
        self.losses = [(line["step"], line["loss"]) for line in steps]
        self.num_steps = steps[-1]["step"] if steps else 0

    def _write(self, step: int, metrics: dict[str, float]) -> None:
        self._tracker.log(metrics, step)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **metrics}) + "\n")
