"""What the two tracked runs show, with huggingtweets' names and kinds: raw posts → dataset → model.

The train half describes the dataset by the same files as the prepare half, so that a tracker takes both for one.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tweetbot_api.names import LOSS_CURVE, MODEL_DIR, PREDICTIONS, model_name
from tweetbot_api.runconfig import RunConfig
from tweetbot_api.status import Evaluation
from tweetbot_trainer.dataset import PostsByHandle, write_training_text
from tweetbot_trainer.tracking import Tracker, tracked_config


def start_preparation(config: RunConfig, tracker: Tracker) -> None:
    """Open the first run."""
    tracker.start(f"@{model_name(config.handles)}-preprocess", "preprocess", tracked_config(config))


def track_preparation(
    config: RunConfig, raw_posts: Path, learned: PostsByHandle, tracker: Tracker, work_dir: Path
) -> None:
    """Show the raw posts, and the training text that was made of them."""
    name = model_name(config.handles)
    tracker.use_artifact(f"tweets-{name}", "raw-dataset", raw_posts, {"handles": config.handles})
    tracker.log_artifact(
        f"dataset-{name}", "train-dataset", _write_text(config, learned, work_dir), _about_text(config)
    )


def start_training(config: RunConfig, learned: PostsByHandle, tracker: Tracker, work_dir: Path) -> None:
    """Open the second run, and say which dataset and which pretrained model it works from."""
    name = model_name(config.handles)
    about = tracked_config(config, "torch", "transformers", "deepspeed")
    recipe = {"base_model": config.base_model.name, **config.training.to_wire()}
    tracker.start(f"@{name}-train", "train", recipe | about)
    if config.wandb.mode == "disabled":
        return
    text = _write_text(config, learned, work_dir)
    tracker.use_artifact(f"dataset-{name}", "train-dataset", text, _about_text(config))
    base = work_dir / "base-model.json"
    base.write_text(json.dumps(config.base_model.to_wire(), indent=2), encoding="utf-8")
    tracker.use_artifact(_plain(config.base_model.name), "pretrained-model", base, config.base_model.to_wire())


def track_model(
    config: RunConfig,
    evaluation: Evaluation | None,
    samples: Sequence[tuple[str, str]],
    model_uri: str,
    tracker: Tracker,
    work_dir: Path,
) -> None:
    """Show what came out: final metrics, samples as (prompt, post), pictures, and the model."""
    pictures = {"predictions": work_dir / PREDICTIONS, "loss curve": work_dir / LOSS_CURVE}
    tracker.log_results(_numbers(evaluation.to_wire(), "evaluation/") if evaluation else {}, samples, pictures)
    about = {"model": model_uri, "seed": config.training.seed}
    tracker.log_artifact(model_name(config.handles), "finetuned-model", work_dir / MODEL_DIR, about)


def _write_text(config: RunConfig, learned: PostsByHandle, work_dir: Path) -> Path:
    path = work_dir / "training-text" / f"{model_name(config.handles)}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        write_training_text(learned, config.training.epochs, config.training.seed or 0, file)
    return path


def _about_text(config: RunConfig) -> dict[str, Any]:
    return {"handles": config.handles, "seed": config.training.seed, "epochs": config.training.epochs}


def _numbers(value: dict[str, Any], prefix: str = "") -> dict[str, float]:
    """Return the numbers in a JSON object, at any depth, by their paths."""
    found: dict[str, float] = {}
    for name, item in value.items():
        if isinstance(item, dict):
            found |= _numbers(item, f"{prefix}{name}/")
        elif isinstance(item, int | float):
            found[prefix + name] = item
    return found


def _plain(name: str) -> str:
    """Return the last part of a model's name or address, in the characters that W&B takes for an artifact."""
    last = name.rstrip("/").rsplit("/", 1)[-1]
    return "".join(character if character.isalnum() or character in "._-" else "-" for character in last)
