"""Follow a TweetBot on the terminal until it ends: stage, percent, step, loss, time left."""

import json
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from demo.environment import DemoError, Environment

POLL_SECONDS = 1.0


def read_bot(environment: Environment, namespace: str, name: str) -> dict[str, Any]:
    """Return the TweetBot as the apiserver has it."""
    text = environment.run("kubectl", "get", "tweetbot", name, "-n", namespace, "-o", "json")
    bot: dict[str, Any] = json.loads(text)
    return bot


def until_ended(
    environment: Environment, namespace: str, name: str, timeout_seconds: float
) -> Iterator[dict[str, Any]]:
    """Yield the bot each second; the last one is Complete or Failed. Raise DemoError if it never ends."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        bot = read_bot(environment, namespace, name)
        yield bot
        if bot.get("status", {}).get("phase") in {"Succeeded", "Failed"}:
            return
        time.sleep(POLL_SECONDS)
    raise DemoError(f"the bot did not end within {timeout_seconds:.0f} s; see `kubectl describe tb {name}`")


def show_progress(environment: Environment, namespace: str, name: str, timeout_seconds: float) -> dict[str, Any]:
    """Draw the bot's progress until it ends; return it as it ended."""
    console = Console()
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    bot: dict[str, Any] = {}
    last = ""
    with Progress(*columns, TextColumn("{task.fields[detail]}"), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("Pending", total=100, detail="")
        for bot in until_ended(environment, namespace, name, timeout_seconds):
            status = bot.get("status", {})
            label = status.get("stage") or status.get("phase") or "Pending"
            bar.update(
                task, description=label, completed=status.get("progress", {}).get("percent", 0), detail=_detail(status)
            )
            line = f"{label} {_detail(status)}".strip()
            if not console.is_terminal and line != last:
                console.print(f"  {line}", highlight=False, soft_wrap=True)
                last = line
    return bot


def _detail(status: dict[str, Any]) -> str:
    """Return step, loss and time left while it trains, else why it waits."""
    progress = status.get("progress", {})
    if status.get("stage") == "Training" and progress.get("totalSteps"):
        parts = [f"step {progress.get('step', 0)}/{progress['totalSteps']}"]
        if "loss" in progress:
            parts.append(f"loss {progress['loss']:.3f}")
        if "etaSeconds" in progress:
            parts.append(f"{progress['etaSeconds']} s left")
        return ", ".join(parts)
    waiting = [item for item in status.get("conditions", []) if item["type"] == "Reconciling"]
    return str(waiting[0]["message"]) if waiting else ""
