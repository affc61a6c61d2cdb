"""What the trainer sends survives the way: as JSON, and within the kubelet's 4 KiB."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import make_bot_identity, make_run_config
from tests.unit.api.strategies import outcomes
from tweetbot_api.messages import (
    BotOutcome,
    ProgressMessage,
    ResultMessage,
    TerminationMessage,
    decode_termination,
    encode_termination,
)
from tweetbot_api.names import TERMINATION_MESSAGE_LIMIT
from tweetbot_api.runconfig import RunManifest
from tweetbot_api.status import Evaluation, Failure, Progress, WandbRuns

SUCCESS = BotOutcome(
    evaluation=Evaluation(loss=3.25, perplexity=25.79),
    manifest_sha256="0" * 64,
    wandb=WandbRuns(train_url="https://wandb.example.org/run"),
    samples=["My dream is a test."],
)


@given(outcomes)
def test_one_bots_outcome_comes_back_whole(outcome: BotOutcome) -> None:
    assert decode_termination(encode_termination([outcome])) == TerminationMessage(outcomes=[outcome])


@given(st.lists(outcomes, max_size=4), st.integers(60, 4096))
def test_what_is_left_fits_keeps_the_order_and_all_that_matters(given_outcomes: list[BotOutcome], limit: int) -> None:
    try:
        text = encode_termination(given_outcomes, limit)
    except ValueError:
        return
    assert len(text.encode()) <= limit
    message = decode_termination(text)
    assert message
    for sent, received in zip(given_outcomes, message.outcomes, strict=True):
        assert received.manifest_sha256 == sent.manifest_sha256
        assert received.evaluation == sent.evaluation
        assert bool(received.failure) == bool(sent.failure)
        if sent.failure and received.failure:
            assert received.failure.reason == sent.failure.reason
            assert received.failure.exit_code == sent.failure.exit_code


def test_samples_are_given_up_first_then_addresses() -> None:
    whole = len(encode_termination([SUCCESS]).encode())
    (shorter,) = decode_termination(encode_termination([SUCCESS], whole - 1)).outcomes
    assert (shorter.samples, shorter.wandb) == (None, SUCCESS.wandb)
    without_samples = len(encode_termination([shorter]).encode())
    (shortest,) = decode_termination(encode_termination([SUCCESS], without_samples - 1)).outcomes
    assert (shortest.samples, shortest.wandb) == (None, None)
    assert shortest.manifest_sha256 == SUCCESS.manifest_sha256


def test_a_long_log_is_given_up_before_the_cause() -> None:
    failure = Failure(reason="InternalError", message="what went wrong", exit_code=171, log_tail="é" * 2048)
    (outcome,) = decode_termination(encode_termination([BotOutcome(failure=failure)])).outcomes
    assert outcome.failure == failure.model_copy(update={"log_tail": None})


def test_a_batch_of_sixteen_trained_bots_fits() -> None:
    assert len(encode_termination([SUCCESS] * 16).encode()) <= TERMINATION_MESSAGE_LIMIT


def test_a_batch_that_cannot_fit_is_an_error_that_names_the_way_out() -> None:
    with pytest.raises(ValueError, match="64 results do not fit into 4096 bytes; use a smaller batch"):
        encode_termination([SUCCESS] * 64)


@pytest.mark.parametrize("text", ["", "Traceback (most recent call last):", "{}", '{"schemaVersion":2,"outcomes":[]}'])
def test_what_is_not_a_message_of_ours_is_none(text: str) -> None:
    assert decode_termination(text) is None


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
