"""What people look at: the model card with its pictures, written into a folder from the facts of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tweetbot_api.names import CARD, LOSS_CURVE, PREDICTIONS
from tweetbot_trainer.card import CardFacts, avatar_file, render_card, title_of
from tweetbot_trainer.curve import draw_loss_curve
from tweetbot_trainer.picture import draw_predictions

CARD_NAME: Final = Path(CARD).name


def write_showcase(
    folder: Path, facts: CardFacts, losses: Sequence[tuple[int, float]], avatars: Mapping[str, bytes]
) -> list[Path]:
    """Write card, pictures and avatars (PNG by handle); return their paths. The losses are (step, nats per token)."""
    folder.mkdir(parents=True, exist_ok=True)
    handles = facts.config.handles
    paths = [folder / avatar_file(handle) for handle in avatars]
    for path, data in zip(paths, avatars.values(), strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    (folder / CARD_NAME).write_text(render_card(facts.model_copy(update={"avatars": list(avatars)})), encoding="utf-8")
    first = facts.samples[0]
    names = [title_of(counts) for counts in facts.data]
    draw_predictions(folder / PREDICTIONS, names, handles, first.prompt, first.posts, avatars)
    title = "Loss of " + " & ".join(f"@{handle}" for handle in handles)
    draw_loss_curve(folder / LOSS_CURVE, title, losses, facts.evaluation)
    return [*paths, folder / CARD_NAME, folder / PREDICTIONS, folder / LOSS_CURVE]
