"""Loading a base model, measuring it, writing with it."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.factories import make_sentences
from tests.unit.trainer.language_model import save_tiny_gpt2
from tweetbot_api.conditions import Reason
from tweetbot_api.names import END_OF_TEXT
from tweetbot_api.spec.generation import Generation
from tweetbot_trainer import generate
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.evaluate import held_out_loss, perplexity
from tweetbot_trainer.generate import write_samples
from tweetbot_trainer.models import load_language_model

CPU = torch.device("cpu")
GENERATION = Generation(prompts=["note", ""], samples_per_prompt=4, min_length=2, max_length=20)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return load_language_model(save_tiny_gpt2(tmp_path_factory.mktemp("gpt2")), CPU)


def test_posts_are_separated_by_huggingtweets_token(tiny):
    ids = tiny.encode(f"{END_OF_TEXT}moon tea{END_OF_TEXT}")
    assert (ids[0], ids[-1], ids.count(tiny.separator_id)) == (tiny.separator_id, tiny.separator_id, 2)
    assert tiny.tokenizer.decode(ids[1:-1]) == "moon tea"


def test_another_models_end_of_text_takes_its_place(tmp_path):
    other = load_language_model(save_tiny_gpt2(tmp_path, separator="</s>"), CPU)
    assert other.separator == "</s>"
    assert other.encode(f"{END_OF_TEXT}moon{END_OF_TEXT}").count(other.separator_id) == 2


def test_a_long_text_has_the_tokens_that_it_has_as_a_whole(tiny):
    text = END_OF_TEXT + END_OF_TEXT.join(make_sentences(2_500)) + END_OF_TEXT
    assert tiny.encode(text) == tiny.tokenizer(text)["input_ids"]


def test_weights_that_are_missing_make_a_base_model_unusable(tmp_path):
    weights = load_file(save_tiny_gpt2(tmp_path) / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainerError, match=r"h\.1\.mlp\.c_fc\.weight") as caught:
        load_language_model(tmp_path, CPU)
    assert caught.value.reason == Reason.BASE_MODEL_UNUSABLE


@pytest.mark.parametrize(("name", "content"), [("model.safetensors", b"no"), ("config.json", b'{"model_type": "x"}')])
def test_a_damaged_base_model_is_unusable(tmp_path, name, content):
    (save_tiny_gpt2(tmp_path) / name).write_bytes(content)
    with pytest.raises(TrainerError) as caught:
        load_language_model(tmp_path, CPU)
    assert caught.value.reason == Reason.BASE_MODEL_UNUSABLE


def test_code_of_the_models_folder_is_never_run(tmp_path):
    config = json.loads((save_tiny_gpt2(tmp_path) / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.C", "AutoModelForCausalLM": "mine.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(TrainerError):
        load_language_model(tmp_path, CPU)
    assert not (tmp_path / "ran").exists()


def test_held_out_loss_is_the_mean_over_all_predicted_tokens(tiny):
    ids = tiny.encode(END_OF_TEXT.join(make_sentences(9)))
    assert len(ids) % 32 > 1
    with torch.no_grad():
        terms = []
        for start in range(0, len(ids), 32):
            window = torch.tensor([ids[start : start + 32]])
            logits = tiny.model(window).logits[0, :-1]
            terms += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="none").tolist()
    assert held_out_loss(tiny.model, ids, 32) == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_a_tail_of_one_token_is_left_out(tiny):
    ids = tiny.encode(make_sentences(3)[0] * 3)[:33]
    assert held_out_loss(tiny.model, ids, 32) == held_out_loss(tiny.model, ids[:32], 32)


def test_perplexity_is_the_exponential_and_never_too_large():
    assert perplexity(3.0) == round(math.exp(3), 2)
    assert math.isfinite(perplexity(1e9))


def test_the_same_seed_writes_the_same_posts(tiny):
    first, again = (write_samples(tiny, GENERATION, seed=3) for _ in range(2))
    assert first == again != write_samples(tiny, GENERATION, seed=4)


def test_posts_end_at_the_separator_or_a_new_line(tiny, monkeypatch):
    newline, moon = tiny.encode("\n")[0], tiny.encode(" moon")
    prompt = [tiny.separator_id, *tiny.encode("note")]
    written = [
        [*prompt, *moon, tiny.separator_id, *moon],
        [*prompt, *moon, newline, *moon],
        [*prompt, *moon, *tiny.encode("\u202e\x07"), *moon],
        prompt,
    ]
    width = max(map(len, written))
    padded = [ids + [tiny.separator_id] * (width - len(ids)) for ids in written]
    monkeypatch.setattr(type(tiny.model), "generate", lambda *_, **__: torch.tensor(padded))
    (sample, _) = write_samples(tiny, GENERATION, seed=1)
    assert sample.posts == ["note moon", "note moon", "note moon moon", "note"]


@pytest.mark.parametrize(("room", "want"), [(64, [64, 36]), (20, [64, 32, 16, 16, 16, 16, 16, 16, 4]), (1, None)])
def test_posts_are_written_in_as_large_batches_as_memory_holds(tiny, monkeypatch, room, want):
    tried = []

    def write(_model, _generation, prompt, count):
        tried.append(count)
        if count > room:
            raise torch.OutOfMemoryError
        return [prompt] * count

    monkeypatch.setattr(generate, "_write", write)
    assert list(generate.write_posts(tiny, GENERATION, "so", 100)) == ["so"] * 100
    assert want is None or tried == want


def test_a_model_for_whose_posts_there_is_no_memory_at_all_says_so(tiny, monkeypatch):
    def write(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(generate, "_write", write)
    with pytest.raises(torch.OutOfMemoryError):
        list(generate.write_posts(tiny, GENERATION, "so", 2))
