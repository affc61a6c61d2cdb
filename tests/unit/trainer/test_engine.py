"""What the recipe makes of DeepSpeed: portions of a batch, adapters, early ends, the user's own configuration."""

import copy

import pytest
import torch
from transformers import AutoModelForCausalLM

from tests.unit.trainer.language_model import save_tiny_gpt2
from tests.unit.trainer.test_train import BLOCKS, SEED, RecordingLog, load
from tweetbot_api.conditions import Reason
from tweetbot_api.spec.training import Training
from tweetbot_trainer.early_stopping import Progress
from tweetbot_trainer.engine import deepspeed_config
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.train import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return save_tiny_gpt2(tmp_path_factory.mktemp("gpt2"))


@pytest.fixture(autouse=True)
def every_step_is_reported(monkeypatch):
    monkeypatch.setattr("tweetbot_trainer.train.STEPS_PER_REPORT", 1)


def run(model, num_blocks=24, held_out_loss=None, **recipe):
    log = RecordingLog()
    recipe = Training.model_validate({"blockSize": 32, "learningRate": 1e-3, **recipe})
    train(model, BLOCKS[:num_blocks], recipe, SEED, log, held_out_loss=held_out_loss)
    return log


def losses(log):
    return [item.loss for item in log.steps]


def weights(model):
    return {name: weight.detach().clone() for name, weight in model.named_parameters()}


def largest_difference(ours, theirs):
    assert ours.keys() == theirs.keys()
    return max((ours[name] - theirs[name]).abs().max().item() for name in ours)


@pytest.mark.parametrize("recipe", [{"batchSize": 2, "gradientAccumulationSteps": 3}, {"gradientAccumulationSteps": 6}])
def test_accumulated_batches_learn_as_one_big_batch(model_folder, recipe):
    whole, parts = load(model_folder), load(model_folder)
    # The last batch is smaller than the others: 22 = 3 * 6 + 4.
    want, got = losses(run(whole, 22, batchSize=6)), losses(run(parts, 22, **recipe))
    assert len(want) == 4
    assert got == pytest.approx(want, rel=1e-6)
    assert largest_difference(weights(parts), weights(whole)) < 1e-5


class LittleMemory:
    """Makes a model run out of memory for more than so many blocks at once, in the pass that is named."""

    def __init__(self, model, most, where):
        self.sizes = []
        self._most, self._where = most, where
        model.register_forward_pre_hook(self._before, with_kwargs=True)
        model.transformer.h[0].register_full_backward_hook(self._backward)

    def _before(self, _module, _arguments, inputs):
        self.sizes.append(len(inputs["input_ids"]))
        if self._where == "forward":
            self._check()

    def _backward(self, *_):
        if self._where == "backward":
            self._check()

    def _check(self):
        if self.sizes[-1] > self._most:
            raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_when_memory_runs_out_the_same_batch_is_learned_in_smaller_portions(model_folder, caplog, where):
    plenty, little = load(model_folder), load(model_folder)
    memory = LittleMemory(little, 2, where)
    want, got = losses(run(plenty, batchSize=8)), losses(run(little, batchSize=8))
    assert got == pytest.approx(want, rel=1e-5)
    assert largest_difference(weights(little), weights(plenty)) < 1e-5
    assert memory.sizes == [8, 4] + [2] * 12, "once found, the size is kept"
    assert caplog.text.count("memory ran out") == 2


def test_memory_that_is_too_small_for_one_block_is_a_failure_with_a_reason(model_folder):
    model = load(model_folder)
    LittleMemory(model, 0, "forward")
    with pytest.raises(TrainerError) as caught:
        run(model, batchSize=4)
    assert caught.value.reason == Reason.OUT_OF_MEMORY


def test_adapters_change_linear_layers_only_and_are_merged_into_them(model_folder, tmp_path):
    model = load(model_folder)
    before = weights(model)
    run(model, method="lora", learningRate=1e-2, lora={"rank": 4, "dropout": 0})
    after = weights(model)
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if ".c_" in name and name.endswith(".weight")}
    assert all(weight.requires_grad for weight in model.parameters())
    model.save_pretrained(tmp_path)
    assert largest_difference(weights(AutoModelForCausalLM.from_pretrained(tmp_path)), after) == 0


def test_adapters_go_where_the_recipe_says(model_folder):
    model = load(model_folder)
    before = weights(model)
    run(model, 8, method="lora", lora={"targetModules": ["c_attn"]})
    changed = {name for name, weight in weights(model).items() if not torch.equal(before[name], weight)}
    assert changed == {f"transformer.h.{layer}.attn.c_attn.weight" for layer in range(2)}


def test_adapters_for_layers_that_are_not_there_are_refused_by_field(model_folder):
    with pytest.raises(TrainerError, match=r"spec\.training\.lora\.targetModules") as caught:
        run(load(model_folder), method="lora", lora={"targetModules": ["q_proj"]})
    assert caught.value.reason == Reason.INVALID_SPEC


def test_the_training_ends_when_patience_does_with_the_best_weights(model_folder):
    scores, seen = iter([3.0, 2.0, 2.5, 2.0, 9.0]), []

    def held_out_loss(model):
        seen.append(copy.deepcopy(weights(model)))
        return next(scores)

    model = load(model_folder)
    log = run(model, held_out_loss=held_out_loss, evalSteps=3, earlyStopping={"patience": 2})
    assert log.held_out == [(3, 3.0), (6, 2.0), (9, 2.5), (12, 2.0)]
    assert log.steps[-1].step == 12
    assert largest_difference(weights(model), seen[1]) == 0


def test_without_early_stopping_measuring_changes_nothing(model_folder):
    plain, measured = load(model_folder), load(model_folder)
    run(plain)
    log = run(measured, held_out_loss=lambda _: 1.0, evalSteps=10)
    assert log.held_out == [(10, 1.0), (20, 1.0)]
    assert largest_difference(weights(measured), weights(plain)) == 0


def test_an_improvement_must_be_as_large_as_asked_for():
    progress = Progress()
    for loss in (3.0, 2.95, 2.9):
        progress = progress.after(loss, min_delta=0.2)
    assert (progress.best_loss, progress.num_worse) == (3.0, 2)


def test_the_users_configuration_stands_beside_what_the_recipe_decides():
    own = {"zero_optimization": {"overlap_comm": True}, "wall_clock_breakdown": True}
    recipe = Training.model_validate({"maxGradNorm": 0.5, "deepspeed": {"zeroStage": 2, "config": own}})
    config = deepspeed_config(recipe, CPU)
    assert config["zero_optimization"] == {"overlap_comm": True, "stage": 2}
    assert (config["wall_clock_breakdown"], config["gradient_clipping"]) == (True, 0.5)
    assert own == {"zero_optimization": {"overlap_comm": True}, "wall_clock_breakdown": True}
