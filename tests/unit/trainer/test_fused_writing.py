"""What bots write together is what each model says, and depends on nobody else."""

import copy

import pytest
import torch
from transformers import GPT2LMHeadModel

from tests.unit.trainer.fused_training import VOCABULARY, make_base
from tweetbot_trainer.evaluate import held_out_loss
from tweetbot_trainer.fused.decoding import Sampling, StackedWriter, _draw
from tweetbot_trainer.fused.gpt2 import StackedGPT2, trainable_parameters
from tweetbot_trainer.fused.weights import Layout

NEVER = VOCABULARY - 1
GREEDY = Sampling(temperature=1, top_k=1, top_p=1, min_length=40, max_length=40, end_id=NEVER)
FREE = Sampling(temperature=1, top_k=50, top_p=0.95, min_length=4, max_length=40, end_id=NEVER)


def make_models(count: int) -> list[GPT2LMHeadModel]:
    models = []
    for number in range(count):
        model = copy.deepcopy(make_base())
        torch.manual_seed(number)
        for parameter in model.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
        models.append(model.train(mode=False))
    return models


def stack(models: list[GPT2LMHeadModel]) -> dict[str, torch.Tensor]:
    layout = Layout.of(trainable_parameters(models[0]))
    return layout.views(torch.stack([layout.row(trainable_parameters(model)) for model in models]))


def write(models, prompts, seeds, sampling):
    return StackedWriter(models[0].config, torch.float32).write(stack(models), prompts, seeds, sampling)


def test_greedy_posts_are_those_of_transformers():
    models = make_models(3)
    prompts = [[[1], [2, 3, 4]], [[5, 6], [7]], [[8] * 9, [9]]]

    written = write(models, prompts, [0, 0, 0], GREEDY)

    for model, of_model, posts in zip(models, prompts, written, strict=True):
        for prompt, post in zip(of_model, posts, strict=True):
            expected = model.generate(
                torch.tensor([prompt]), do_sample=False, min_length=40, max_length=40,
                eos_token_id=NEVER, pad_token_id=NEVER,
            )  # fmt: skip
            assert [*prompt, *post] == expected[0].tolist()


def test_a_post_depends_on_its_model_and_seed_alone():
    models = make_models(3)
    alone = write(models[1:2], [[[1], [1]]], [7], FREE)[0]
    together = write(models, [[[2], [3]], [[1], [1]], [[4], [5]]], [5, 7, 9], FREE)[1]
    more = write(models[1:2], [[[1]] * 5], [7], FREE)[0]

    assert together == alone
    assert more[:2] == alone
    assert write(models[1:2], [[[1], [1]]], [8], FREE)[0] != alone
    assert alone[0] != alone[1]


def test_no_post_ends_before_the_least_length_or_goes_beyond_the_most():
    eager_to_end = make_models(1)
    eager_to_end[0].transformer.ln_f.bias.data += 5 * eager_to_end[0].transformer.wte.weight.data[NEVER]
    written = write(eager_to_end, [[[1, 2]] * 20], [1], FREE)[0]
    lengths = [2 + len(post) for post in written]
    assert min(lengths) == FREE.min_length
    assert max(lengths) <= FREE.max_length
    assert all(NEVER not in post for post in written)


@pytest.mark.parametrize(("top_k", "top_p"), [(50, 0.95), (5, 1.0), (50, 0.3), (3, 0.6)])
def test_tokens_are_drawn_as_often_as_transformers_filters_say(top_k: int, top_p: float):
    from transformers.generation import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    torch.manual_seed(3)
    logits = 2 * torch.randn(1, 60)
    filtered = logits.clone()
    for warper in (TemperatureLogitsWarper(0.8), TopKLogitsWarper(top_k), TopPLogitsWarper(top_p)):
        filtered = warper(torch.zeros(1, 1, dtype=torch.long), filtered)
    expected = filtered.softmax(1)[0]
    sampling = Sampling(temperature=0.8, top_k=top_k, top_p=top_p, min_length=1, max_length=9, end_id=0)
    count = 100_000

    drawn = _draw(logits.expand(1, count, 60).clone(), torch.arange(count)[None] / count, sampling, may_end=True)

    shares = torch.bincount(drawn.flatten(), minlength=60) / count
    assert torch.allclose(shares, expected, atol=2e-5)


def test_the_stacked_held_out_loss_is_that_of_each_model():
    models = make_models(3)
    random = torch.Generator().manual_seed(1)
    texts = [torch.randint(0, VOCABULARY, (length,), generator=random).tolist() for length in (64, 50, 33)]
    network = StackedGPT2(models[0].config, torch.float32)
    ids = torch.zeros(3, 2, 32, dtype=torch.long)
    weights = torch.zeros(3, 2, 32)
    for model, text in enumerate(texts):
        windows = [text[start : start + 32] for start in range(0, len(text), 32)]
        predicted = sum(len(window) - 1 for window in windows)
        for row, window in enumerate(windows):
            ids[model, row, : len(window)] = torch.tensor(window)
            weights[model, row, : len(window) - 1] = 1 / predicted

    losses = network.losses(stack(models), ids, weights)

    expected = [held_out_loss(model, text, 32) for model, text in zip(models, texts, strict=True)]
    assert losses.tolist() == pytest.approx(expected, rel=1e-5)
