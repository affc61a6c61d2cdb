"""Bots trained together are what each would be alone, and no bot feels its neighbours."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

from tests.unit.trainer.fused_training import (
    NUM_TOKENS,
    VOCABULARY,
    Results,
    distance,
    make_base,
    make_course,
    make_trainer,
    train_alone,
    train_fused,
)
from tweetbot_trainer.fused import gpt2
from tweetbot_trainer.fused.course import Finished, Losses, Pause, Snapshot
from tweetbot_trainer.fused.gpt2 import why_not_fusible

SEVERAL_LENGTHS = {"ann": 30, "bob": 7, "cy": 19, "dee": 33, "eve": 12}


def assert_equal_bitwise(one: Results, other: Results, key: str) -> None:
    losses, weights = one[key]
    other_losses, other_weights = other[key]
    assert losses == other_losses
    assert weights is not None
    assert other_weights is not None
    assert all(torch.equal(weights[name], other_weights[name]) for name in weights)


@pytest.mark.parametrize("num_slots", [1, 2, 4])
def test_each_bot_of_a_batch_has_the_losses_and_weights_of_its_run_alone(num_slots: int) -> None:
    base = make_base()
    courses = [make_course(key, num_steps) for key, num_steps in SEVERAL_LENGTHS.items()]

    results = train_fused(make_trainer(base, num_slots), courses)

    for course in courses:
        losses, model = train_alone(base, course)
        fused_losses, weights = results[course.key]
        assert fused_losses == pytest.approx(losses, rel=1e-5)
        assert weights is not None
        assert distance(weights, model) < 1e-4


def test_bots_differ_in_rate_norm_and_rows_and_share_the_decay() -> None:
    base = make_base()
    courses = [
        make_course("ann", 12, rows=(2, 2, 1), peak=3e-3, norm=0.1),
        make_course("bob", 9, rows=(1,), peak=1e-4, norm=1000),
        make_course("cy", 10, rows=(3,), norm=0.5),
    ]

    results = train_fused(make_trainer(base, 3, num_rows=3, weight_decay=0.1), courses)

    for course in courses:
        losses, model = train_alone(base, course, weight_decay=0.1)
        fused_losses, weights = results[course.key]
        assert fused_losses == pytest.approx(losses, rel=1e-5)
        assert weights is not None
        assert distance(weights, model) < 1e-4


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_bot_is_the_same_to_the_bit_in_any_company(dropout: float) -> None:
    base = make_base(dropout)
    ann = make_course("ann", 21)
    nan = replace(make_course("nan", 30), learning_rates=[math.nan] * 30)
    companies = [
        [],
        [make_course("bob", 21), make_course("cy", 21)],
        [make_course("dee", 7)],
        [nan, make_course("eve", 25)],
    ]

    results = []
    for company in companies:
        torch.manual_seed(1)
        results.append(train_fused(make_trainer(base, 3), [ann, *company]))

    for result in results[1:]:
        assert_equal_bitwise(results[0], result, "ann")


def test_a_bot_whose_loss_is_no_number_ends_alone_and_its_slot_serves_the_next() -> None:
    base = make_base()
    poisoned = replace(make_course("nan", 30), learning_rates=[math.nan] * 30)
    after = make_course("after", 8)

    results = train_fused(make_trainer(base, 1), [poisoned, after])

    losses, weights = results["nan"]
    assert weights is None
    assert math.isfinite(losses[0])
    assert math.isnan(losses[-1])
    assert len(losses) == 2
    assert results["after"][0] == pytest.approx(train_alone(base, after)[0], rel=1e-5)


@pytest.mark.parametrize("stop_after", [5, 10, 15])
def test_a_bot_goes_on_from_a_snapshot_in_another_company_as_if_never_stopped(stop_after: int) -> None:
    base, course = make_base(), make_course("ann", 18)
    snapshot = None
    first_trainer = make_trainer(base, 2)
    for event in first_trainer.run([course, make_course("bob", 20)]):
        if isinstance(event, Losses) and event.key == "ann" and event.first_step + len(event.losses) > stop_after:
            snapshot = first_trainer.snapshot("ann")
            break
    assert snapshot is not None
    assert snapshot.step == stop_after

    resumed = train_fused(make_trainer(base, 3), [make_course("cy", 4), replace(course, start=snapshot)])

    losses, model = train_alone(base, course)
    fused_losses, weights = resumed["ann"]
    assert fused_losses == pytest.approx(losses[stop_after:], rel=1e-5)
    assert weights is not None
    assert distance(weights, model) < 1e-4


def test_a_bot_that_had_made_all_its_steps_is_finished_without_another() -> None:
    base, course = make_base(), make_course("ann", 8)
    trained = train_fused(make_trainer(base, 1), [course])
    _, weights = trained["ann"]
    assert weights is not None
    snapshot = Snapshot(step=8, weights=weights, first_moments={}, second_moments={})
    trainer = make_trainer(base, 2)
    events = list(trainer.run([make_course("bob", 3), replace(course, start=snapshot)]))
    finished = next(event for event in events if isinstance(event, Finished) and event.key == "ann")
    assert not [event for event in events if isinstance(event, Losses) and event.key == "ann"]
    assert finished.weights.keys() == weights.keys()


def test_the_engine_rests_where_a_course_says_and_after_any_step_when_hurried() -> None:
    courses = [make_course("ann", 13), replace(make_course("bob", 13), rests=[3, 4])]

    def steps_at_pauses(is_hurried: Callable[[], bool]) -> list[int]:
        steps, reached = 0, []
        for event in make_trainer(make_base(), 2).run(courses, is_hurried):
            match event:
                case Losses(key="bob"):
                    steps += len(event.losses)
                case Pause():
                    reached.append(steps)
        return reached

    assert steps_at_pauses(lambda: False) == [3, 4, 6, 8, 9, 12, 13]
    assert steps_at_pauses(lambda: True) == list(range(1, 14))


def test_a_bot_that_is_dropped_frees_its_slot_and_its_neighbours_feel_nothing() -> None:
    base, courses = make_base(), [make_course("ann", 20), make_course("bob", 20), make_course("cy", 10)]
    want = train_fused(make_trainer(base, 2), courses)
    trainer = make_trainer(base, 2)
    losses: dict[str, list[float]] = {}
    for event in trainer.run(courses):
        match event:
            case Losses():
                losses.setdefault(event.key, []).extend(event.losses)
            case Pause() if len(losses["bob"]) == 5:
                trainer.drop("bob")
                losses["bob"].append(0.0)
    assert losses["ann"] == want["ann"][0]
    assert losses["cy"] == want["cy"][0]
    assert losses["bob"][:-1] == want["bob"][0][:5]
    with pytest.raises(KeyError):
        trainer.snapshot("bob")


def test_the_head_in_portions_gives_what_it_gives_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    base, courses = make_base(), [make_course(key, 6) for key in ("ann", "bob", "cy")]
    at_once = train_fused(make_trainer(base, 3), courses)

    monkeypatch.setattr(gpt2, "LOGITS_AT_ONCE", 2 * NUM_TOKENS * VOCABULARY)
    in_portions = train_fused(make_trainer(base, 3), courses)

    for course in courses:
        assert in_portions[course.key][0] == pytest.approx(at_once[course.key][0], rel=1e-6)


def test_matrix_products_in_bf16_learn_what_fp32_learns() -> None:
    base, course = make_base(), make_course("ann", 30)
    exact = train_fused(make_trainer(base, 2), [course])

    rounded = train_fused(make_trainer(base, 2, compute_dtype=torch.bfloat16), [course])

    assert rounded["ann"][0] == pytest.approx(exact["ann"][0], rel=2e-3)
    assert rounded["ann"][0] != exact["ann"][0]


def test_only_plain_gpt2_is_fusible() -> None:
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 64}
    other = GPTNeoXForCausalLM(GPTNeoXConfig(**small, intermediate_size=64))
    assert why_not_fusible(make_base()) is None
    assert "no GPT-2" in str(why_not_fusible(other))
    changed = GPT2LMHeadModel(
        GPT2Config(vocab_size=8, n_embd=8, n_layer=1, n_head=1, scale_attn_by_inverse_layer_idx=True)
    )
    assert "scale_attn_by_inverse_layer_idx is True" in str(why_not_fusible(changed))
