"""What the trainer sends survives the way."""

from hypothesis import given

from tests.factories import make_bot_identity, make_run_config
from tests.unit.api.strategies import outcomes
from tweetbot_api.messages import BotOutcome, ProgressMessage, ResultMessage
from tweetbot_api.runconfig import RunManifest
from tweetbot_api.status import Progress


@given(outcomes)
def test_a_result_comes_back_from_the_wire(outcome: BotOutcome) -> None:
    message = ResultMessage(bot=make_bot_identity(), job_kind="train", outcome=outcome)
    assert ResultMessage.model_validate(message.to_wire()) == message


def test_progress_comes_back_from_the_wire() -> None:
    progress = Progress(percent=43, step=13, total_steps=33, loss=3.4)
    message = ProgressMessage(bot=make_bot_identity(), job_kind="train", stage="Training", progress=progress)
    assert ProgressMessage.model_validate(message.to_wire()) == message


def test_a_run_manifest_comes_back_from_the_wire() -> None:
    manifest = RunManifest(job_kind="train", job_name="ada-0123456789-train-1", bots=[make_run_config()])
    assert RunManifest.model_validate(manifest.to_wire()) == manifest
