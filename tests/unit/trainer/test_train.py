import random

import pytest
import torch
from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

from tests.unit.trainer.language_model import save_tiny_gpt2
from tweetbot_api.conditions import Reason
from tweetbot_api.spec.training import Training
from tweetbot_trainer import distributed
from tweetbot_trainer.engine import device_errors_named, uses_bf16
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.train import make_batches, train

SEED = 11
BLOCKS = [[random.Random(number).randrange(300) for _ in range(32)] for number in range(60)]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return save_tiny_gpt2(tmp_path_factory.mktemp("gpt2"))


class RecordingLog:
    def __init__(self):
        self.steps, self.held_out = [], []

    def add_step(self, metrics):
        self.steps.append(metrics)

    def add_held_out(self, step, loss):
        self.held_out.append((step, loss))


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def plain_losses(model, recipe):
    """Return the losses of the loop that the HuggingFace Trainer runs, without DeepSpeed."""
    decayed = [weight for weight in model.parameters() if weight.ndim > 1]
    others = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.999), eps=1e-8)
    batches = make_batches(len(BLOCKS), recipe.batch_size, SEED)
    schedule = get_cosine_schedule_with_warmup(optimizer, -(-len(batches) * recipe.warmup_ratio // 1), len(batches))
    model.train()
    losses = []
    for batch in batches:
        ids = torch.tensor([BLOCKS[index] for index in batch])
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(
    "recipe",
    [
        {"batch_size": 4, "learning_rate": 1e-3},
        {"batch_size": 7, "learning_rate": 1e-2, "warmup_ratio": 0.3, "weight_decay": 0.1, "max_grad_norm": 0.1},
    ],
)
def test_losses_and_weights_are_those_of_a_plain_loop(model_folder, recipe, monkeypatch):
    monkeypatch.setattr("tweetbot_trainer.train.STEPS_PER_REPORT", 1)
    recipe = Training(block_size=32, **recipe)
    plain, ours = load(model_folder), load(model_folder)
    want = plain_losses(plain, recipe)
    log = RecordingLog()
    train(ours, BLOCKS, recipe, SEED, log)
    got = [item.loss for item in log.steps]
    assert len(got) == len(want) == -(-60 // recipe.batch_size)
    assert got == pytest.approx(want, rel=1e-5)
    for (name, ours_weight), plain_weight in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours_weight, plain_weight, atol=1e-5), name


def test_metrics_come_every_five_steps_and_at_the_end(model_folder):
    log = RecordingLog()
    train(load(model_folder), BLOCKS, Training(block_size=32, batch_size=5), SEED, log)
    metrics = log.steps
    assert [(item.step, item.total_steps) for item in metrics] == [(5, 12), (10, 12), (12, 12)]
    assert [item.eta_seconds for item in metrics][-1] == 0
    rates = [item.learning_rate for item in metrics]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1.372e-4 / 10


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_every_block_is_read_once_in_an_order_of_the_seed(batch_size):
    batches = make_batches(10, batch_size, SEED)
    order = [index for batch in batches for index in batch]
    assert sorted(order) == list(range(10)) != order
    assert make_batches(10, batch_size, SEED) == batches != make_batches(10, batch_size, SEED + 1)
    assert all(len(batch) == batch_size for batch in batches[:-1])


def test_processes_share_the_blocks_and_take_equally_many_steps(monkeypatch):
    monkeypatch.setattr("tweetbot_trainer.train.world_size", lambda: 3)
    shares = []
    for rank in range(3):
        monkeypatch.setattr("tweetbot_trainer.train.rank", lambda rank=rank: rank)
        shares.append([index for batch in make_batches(10, 2, SEED) for index in batch])
    assert {len(share) for share in shares} == {4}
    assert set(range(10)) == {index for share in shares for index in share}


def test_auto_is_fp32_without_a_gpu():
    cpu = torch.device("cpu")
    assert not uses_bf16(Training(), cpu)
    assert uses_bf16(Training(precision="bf16"), cpu)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_memory_that_ran_out_has_a_reason(error):
    with pytest.raises(TrainerError) as caught, device_errors_named():
        raise error
    assert caught.value.reason == Reason.OUT_OF_MEMORY


def test_a_gpu_that_failed_has_a_reason():
    with pytest.raises(TrainerError) as caught, device_errors_named():
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered", 700)
    assert (caught.value.reason, caught.value.exit_code) == (Reason.GPU_FAULT, 172)


def test_other_errors_of_pytorch_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shape"), device_errors_named():
        raise RuntimeError("shape mismatch")


@pytest.mark.parametrize(
    ("v2", "v1", "want"),
    [
        ("150000 100000", None, 1.5),
        ("max 100000", None, None),
        (None, ("200000", "100000"), 2.0),
        (None, ("-1", "100000"), None),
        (None, None, None),
    ],
)
def test_the_containers_cpus_are_read_from_its_control_group(tmp_path, v2, v1, want):
    if v2:
        (tmp_path / "cpu.max").write_text(f"{v2}\n")
    if v1:
        for name, value in zip(("quota", "period"), v1, strict=True):
            (tmp_path / f"cpu.cfs_{name}_us").write_text(f"{value}\n")
    assert distributed.cpu_quota(tmp_path / "cpu.max", tmp_path) == want


@pytest.mark.parametrize(("quota", "chosen", "want"), [(1.5, None, 2), (0.1, None, 1), (None, None, 4), (1, "3", 4)])
def test_threads_follow_the_containers_cpus_unless_told_otherwise(monkeypatch, quota, chosen, want):
    threads = [4]
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setattr(distributed, "cpu_quota", lambda: quota)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if chosen:
        monkeypatch.setenv("OMP_NUM_THREADS", chosen)
    distributed.use_available_cpus()
    assert threads[-1] == want
