"""The rival: one bot by the HuggingFace Trainer with huggingtweets' recipe; as a program, one process per bot."""

import argparse
import logging
import os
from pathlib import Path

from benchmarks.engine.workload import Bot, load_bot

LEARNING_RATE = 1.372e-4


def train_one(bot: Bot, base: Path, output: Path, *, bf16: bool) -> None:
    """Load the base model, train, save."""
    import torch
    from transformers import GPT2LMHeadModel, Trainer, TrainingArguments
    from transformers.trainer_callback import PrinterCallback

    model = GPT2LMHeadModel.from_pretrained(base)
    arguments = TrainingArguments(
        output_dir=str(output), per_device_train_batch_size=1, num_train_epochs=1, learning_rate=LEARNING_RATE,
        lr_scheduler_type="cosine", logging_steps=5, save_strategy="no", report_to=[], bf16=bf16, disable_tqdm=True,
        seed=0, use_cpu=not torch.cuda.is_available(),
    )  # fmt: skip
    dataset = [{"input_ids": block, "labels": block} for block in bot.learned]
    trainer = Trainer(model=model, args=arguments, train_dataset=dataset)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.save_model(str(output))


def main() -> None:
    """Train the bot of one file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bot", type=Path)
    parser.add_argument("base", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--bf16", action="store_true")
    arguments = parser.parse_args()
    quiet()
    train_one(load_bot(arguments.bot), arguments.base, arguments.output, bf16=arguments.bf16)


def quiet() -> None:
    """Keep the libraries' progress out of the report."""
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    logging.disable(logging.WARNING)
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
