"""How a batch ended, within the kubelet's 4 KiB: as much as fits, and always what decides."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.api.strategies import hashes, losses, outcomes
from tweetbot_api.conditions import Reason
from tweetbot_api.messages import BotOutcome
from tweetbot_api.names import TERMINATION_MESSAGE_LIMIT
from tweetbot_api.status import Dataset, Evaluation, Failure, WandbRuns
from tweetbot_api.termination import decode_termination, encode_termination

LARGEST_BATCH = 64
SUCCESS = BotOutcome(
    evaluation=Evaluation(loss=3.25, perplexity=25.79),
    manifest_sha256="0" * 64,
    wandb=WandbRuns(train_url="https://wandb.example.org/run"),
    samples=["My dream is a test."],
)
trained = st.builds(
    BotOutcome,
    manifest_sha256=hashes,
    evaluation=st.builds(Evaluation, loss=losses, perplexity=losses, base_loss=losses),
    samples=st.just(["a long post" * 50] * 3),
)
prepared = st.builds(
    BotOutcome,
    dataset=st.builds(Dataset, characters=st.integers(0, 10**8 - 1), tokens=st.integers(0, 10**8 - 1), sha256=hashes),
)
failed = st.builds(
    BotOutcome,
    failure=st.builds(
        Failure,
        reason=st.sampled_from(list(Reason)),
        message=st.text(max_size=50).map(lambda text: text * 20),
        exit_code=st.sampled_from([64, 65, 66, 69, 143, 170, 171, 172]),
        log_tail=st.just("a line\n" * 200),
    ),
)
batches = st.builds(
    lambda kinds: (kinds * LARGEST_BATCH)[:LARGEST_BATCH], st.lists(trained | prepared | failed, min_size=1, max_size=4)
)


def is_compact(text: str) -> bool:
    return json.loads(text)["schemaVersion"] == 2


def check_what_decides(sent: BotOutcome, received: BotOutcome) -> None:
    assert bool(received.failure) == bool(sent.failure)
    if sent.failure and received.failure:
        assert received.failure.reason == sent.failure.reason
        assert received.failure.exit_code == sent.failure.exit_code
        assert sent.failure.message.startswith(received.failure.message)
    elif sent.manifest_sha256:
        assert received.manifest_sha256 == sent.manifest_sha256
        if sent.evaluation:
            assert received.evaluation
            assert math.isclose(received.evaluation.loss, sent.evaluation.loss, rel_tol=1e-3, abs_tol=1e-4)
    elif sent.dataset:
        assert received.dataset == sent.dataset.model_copy(update={"warning": received.dataset.warning})


@given(outcomes)
def test_one_bots_outcome_comes_back_whole(outcome: BotOutcome) -> None:
    assert decode_termination(encode_termination([outcome])) == [outcome]


@given(st.lists(outcomes, max_size=4), st.integers(60, 4096))
def test_what_is_left_fits_keeps_the_order_and_all_that_decides(given_outcomes: list[BotOutcome], limit: int) -> None:
    try:
        text = encode_termination(given_outcomes, limit)
    except ValueError:
        return
    assert len(text.encode()) <= limit
    received = decode_termination(text)
    assert received is not None
    for before, after in zip(given_outcomes, received, strict=True):
        check_what_decides(before, after)


@given(batches)
def test_the_largest_batch_always_fits(batch: list[BotOutcome]) -> None:
    text = encode_termination(batch)
    assert len(text.encode()) <= TERMINATION_MESSAGE_LIMIT
    received = decode_termination(text)
    assert received is not None
    for before, after in zip(batch, received, strict=True):
        check_what_decides(before, after)


def test_losses_of_almost_nothing_leave_room_for_the_whole_batch() -> None:
    evaluation = Evaluation(loss=1.2345e-300, perplexity=1, base_loss=1.2345e-300)
    batch = [BotOutcome(manifest_sha256="0" * 64, evaluation=evaluation)] * LARGEST_BATCH

    assert len(encode_termination(batch).encode()) <= TERMINATION_MESSAGE_LIMIT


def test_samples_are_given_up_first_then_addresses() -> None:
    whole = len(encode_termination([SUCCESS]).encode())
    (shorter,) = decode_termination(encode_termination([SUCCESS], whole - 1))
    assert (shorter.samples, shorter.wandb) == (None, SUCCESS.wandb)
    without_samples = len(encode_termination([shorter]).encode())
    (shortest,) = decode_termination(encode_termination([SUCCESS], without_samples - 1))
    assert (shortest.samples, shortest.wandb) == (None, None)
    assert shortest.manifest_sha256 == SUCCESS.manifest_sha256


def test_a_long_log_is_given_up_before_the_cause() -> None:
    failure = Failure(reason="InternalError", message="what went wrong", exit_code=171, log_tail="é" * 2048)
    (outcome,) = decode_termination(encode_termination([BotOutcome(failure=failure)]))
    assert outcome.failure == failure.model_copy(update={"log_tail": None})


def test_a_batch_of_sixteen_trained_bots_is_told_as_plain_json() -> None:
    assert not is_compact(encode_termination([SUCCESS] * 16))


def test_the_compact_form_tells_both_losses_and_the_whole_hash() -> None:
    evaluation = Evaluation(loss=3.2512, perplexity=0, base_loss=4.10234)
    text = encode_termination([BotOutcome(manifest_sha256="ab" * 32, evaluation=evaluation)] * LARGEST_BATCH)
    assert is_compact(text)
    outcome = decode_termination(text)[-1]
    assert outcome.manifest_sha256 == "ab" * 32
    assert (outcome.evaluation.loss, outcome.evaluation.base_loss) == (3.251, 4.102)
    assert outcome.evaluation.perplexity == pytest.approx(25.82, abs=0.01)


def test_a_loss_beyond_all_bounds_has_a_perplexity_all_the_same() -> None:
    (outcome,) = decode_termination('{"schemaVersion":2,"bots":["m009C61O)~M2nh-c3=Iws5D^j+6crX17#SKH9337X 1e9"]}')
    assert outcome.evaluation.loss == 1e9


def test_in_the_compact_form_a_failure_outweighs_a_hash() -> None:
    failure = Failure(reason="InternalError", message="no", exit_code=171)
    text = encode_termination([BotOutcome(manifest_sha256="0" * 64, failure=failure)] * LARGEST_BATCH)
    assert is_compact(text)
    assert decode_termination(text)[0].failure.reason == "InternalError"


def test_a_batch_that_cannot_fit_is_an_error_that_names_the_way_out() -> None:
    with pytest.raises(ValueError, match="100 results do not fit into 4096 bytes; use a smaller batch"):
        encode_termination([SUCCESS] * 100)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Traceback (most recent call last):",
        "{}",
        '{"schemaVersion":3,"outcomes":[]}',
        '{"schemaVersion":2,"bots":["x"]}',
        '{"schemaVersion":2,"bots":["mtooshort 1 2"]}',
        '{"schemaVersion":2,"bots":["d 1 2"]}',
        '{"schemaVersion":2,"bots":["m0000000000000000000000000000000000000000 many"]}',
        '{"schemaVersion":2,"bots":["m009C61O)~M2nh-c3=Iws5D^j+6crX17#SKH9337X nan"]}',
        '{"schemaVersion":2,"bots":["fno Reason"]}',
    ],
)
def test_what_is_not_a_message_of_ours_is_none(text: str) -> None:
    assert decode_termination(text) is None


@given(st.text(max_size=30))
def test_no_text_of_a_bot_breaks_the_reader(text: str) -> None:
    decode_termination(json.dumps({"schemaVersion": 2, "bots": [text]}))
