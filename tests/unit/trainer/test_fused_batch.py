"""Bots that are trained, measured and heard together are what each is alone, in any order and number."""

from dataclasses import replace

import pytest
import torch

from tests.unit.trainer.fused_training import NUM_TOKENS, VOCABULARY, make_base, make_course, train_alone
from tweetbot_trainer.evaluate import held_out_loss
from tweetbot_trainer.fused import decoding
from tweetbot_trainer.fused.batch import FusedBatch, Learner, Trained
from tweetbot_trainer.fused.decoding import Sampling

GREEDY = Sampling(temperature=1, top_k=1, top_p=1, min_length=20, max_length=20, end_id=VOCABULARY - 1)
FREE = Sampling(temperature=0.9, top_k=50, top_p=0.95, min_length=4, max_length=20, end_id=VOCABULARY - 1)
LENGTHS = {"ann": 9, "bob": 4, "cy": 12, "dee": 7, "eve": 5}


def make_learner(key: str, num_steps: int, num_held_out: int = 70, **changes) -> Learner:
    random = torch.Generator().manual_seed(num_steps)
    held_out = torch.randint(0, VOCABULARY, (num_held_out,), generator=random).tolist()
    learner = Learner(
        course=make_course(key, num_steps), held_out=held_out, prompts=[[1, 2], [3]], sampling=GREEDY, seed=num_steps
    )
    return replace(learner, **changes)


def run(base, learners, num_slots=2) -> dict[str, Trained]:
    batch = FusedBatch(
        base, num_slots=num_slots, num_rows=1, num_tokens=NUM_TOKENS, compute_dtype=torch.float32, weight_decay=0.0
    )
    return {event.key: event for event in batch.run(learners) if isinstance(event, Trained)}


@pytest.mark.parametrize("num_slots", [1, 2, 4])
def test_every_bot_is_trained_measured_and_heard_as_it_would_be_alone(num_slots):
    base = make_base()
    learners = [make_learner(key, num_steps) for key, num_steps in LENGTHS.items()]

    trained = run(base, learners, num_slots)

    assert trained.keys() == LENGTHS.keys()
    for learner in learners:
        _, model = train_alone(base, learner.course)
        model.train(mode=False)
        bot = trained[learner.course.key]
        assert bot.loss == pytest.approx(held_out_loss(model, learner.held_out, NUM_TOKENS), rel=1e-5)
        assert bot.base_loss == pytest.approx(held_out_loss(base, learner.held_out, NUM_TOKENS), rel=1e-5)
        for prompt, post in zip(learner.prompts, bot.posts, strict=True):
            expected = model.generate(
                torch.tensor([prompt]), do_sample=False, min_length=20, max_length=20,
                eos_token_id=GREEDY.end_id, pad_token_id=GREEDY.end_id,
            )  # fmt: skip
            assert [*prompt, *post] == expected[0].tolist()
        for name, parameter in model.named_parameters():
            assert torch.allclose(bot.weights[name], parameter, atol=1e-5)


def test_bots_may_be_asked_differently():
    base = make_base()
    learners = [
        make_learner("ann", 4),
        make_learner("bob", 4, sampling=FREE, prompts=[[5]] * 3),
        make_learner("cy", 4, held_out=[]),
        make_learner("dee", 4, sampling=FREE, prompts=[[7]] * 3, held_out=[4]),
    ]
    together = run(base, learners, num_slots=4)
    for learner in learners:
        alone = run(base, [learner])[learner.course.key]
        assert together[learner.course.key].posts == alone.posts
    assert [len(together[key].posts) for key in ("ann", "bob", "cy", "dee")] == [2, 3, 2, 3]
    assert together["cy"].loss is None
    assert together["dee"].base_loss is None
    assert together["ann"].loss is not None


def test_many_posts_are_written_in_parts_and_are_the_same(monkeypatch):
    base, learner = make_base(), make_learner("ann", 4, sampling=FREE, prompts=[[5]] * 7)
    at_once = run(base, [learner])["ann"].posts
    monkeypatch.setattr(decoding, "POSTS_AT_ONCE", 3)
    assert run(base, [learner])["ann"].posts == at_once


def test_a_bot_that_is_done_does_not_wait_for_long_ones():
    learners = [make_learner("ann", 5), make_learner("bob", 200)]
    seconds = iter(range(0, 10_000, 15))
    batch = FusedBatch(
        make_base(),
        num_slots=2,
        num_rows=1,
        num_tokens=NUM_TOKENS,
        compute_dtype=torch.float32,
        weight_decay=0.0,
        clock=lambda: next(seconds),
    )
    events = [type(event).__name__ for event in batch.run(learners)]
    assert events.index("Trained") < len(events) // 2
    assert events.count("Trained") == 2
