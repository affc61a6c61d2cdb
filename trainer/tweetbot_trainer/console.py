"""What a person at a terminal sees: progress while it works, and the results as tables."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, track
from rich.table import Table

from tweetbot_api.status import Evaluation, HandleCounts, Stage
from tweetbot_trainer.data_rows import data_rows
from tweetbot_trainer.progress import overall_percent
from tweetbot_trainer.text_measures import WRITING_ROWS


class ConsoleReporter:
    """Draws one bar over the whole run; used as a context manager."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<11}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[details]}"),
            console=console,
        )
        self._task: TaskID = self._progress.add_task("", total=100, details="")

    def __enter__(self) -> "ConsoleReporter":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def report(
        self,
        stage: Stage,
        fraction: float,
        *,
        step: int | None = None,
        total_steps: int | None = None,
        loss: float | None = None,
        tokens_per_second: float | None = None,
        eta_seconds: int | None = None,
    ) -> None:
        """Move the bar and show what is known of the training."""
        details = [
            f"step {step}/{total_steps}" if step is not None else "",
            f"loss {loss:.3f}" if loss is not None else "",
            f"{tokens_per_second:,.0f} tokens/s" if tokens_per_second is not None else "",
            f"{eta_seconds} s left" if eta_seconds is not None else "",
        ]
        self._progress.update(
            self._task,
            description=stage,
            completed=overall_percent(stage, fraction),
            details="  ".join(filter(None, details)),
        )


def posts_bar(posts: Iterable[str], count: int) -> Iterator[str]:
    """Yield the posts, with a bar on the error stream of a terminal while they are written."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from posts
        return
    yield from track(posts, "Writing", total=count, console=console, transient=True)


def data_table(data: Sequence[HandleCounts]) -> Table:
    """Return the card's data table, one column per handle."""
    table = Table("Data", *(f"@{counts.handle}" for counts in data))
    for title, field in data_rows(data):
        table.add_row(title, *(f"{getattr(counts, field):,}" for counts in data))
    return table


def evaluation_table(evaluation: Evaluation) -> Table:
    """Return the held-out loss of bot and base model."""
    table = Table("Held-out posts", "Loss", "Perplexity")
    if evaluation.base_loss is not None and evaluation.base_perplexity is not None:
        table.add_row("base model", f"{evaluation.base_loss:.3f}", f"{evaluation.base_perplexity:.1f}")
    if evaluation.loss is not None and evaluation.perplexity is not None:
        table.add_row("this bot", f"{evaluation.loss:.3f}", f"{evaluation.perplexity:.1f}")
    return table


def writing_table(evaluation: Evaluation) -> Table:
    """Return how the bot writes, beside its author."""
    table = Table("Writing", "This bot", "Its author")
    if evaluation.bot and evaluation.author:
        for title, field in WRITING_ROWS:
            table.add_row(title, f"{getattr(evaluation.bot, field):.2f}", f"{getattr(evaluation.author, field):.2f}")
    if evaluation.memorization is not None and evaluation.duplicates is not None:
        table.add_row("Share with 8 learned words in a row", f"{evaluation.memorization:.0%}", "")
        table.add_row("Share of duplicates", f"{evaluation.duplicates:.0%}", "")
    return table


def print_samples(console: Console, samples: Sequence[str]) -> None:
    """Print posts that the bot wrote."""
    for sample in samples:
        console.print(f"  • {escape(sample)}", highlight=False)
