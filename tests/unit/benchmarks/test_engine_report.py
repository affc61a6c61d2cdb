"""The engine benchmark's figures follow from its measurements."""

import numpy as np
import pytest

from benchmarks.engine.by_size import SizeMeasurement, size_rows
from benchmarks.engine.report import bots_per_hour, flops_per_token, mfu, ratio
from benchmarks.engine.rivals import Measurement
from benchmarks.engine.workload import SCALES, SEED_SIZED_STEPS, make_bots, make_bots_of_size

FOUR = ("a", "b", "c", "d")


def test_a_process_per_bot_counts_each_bots_seconds():
    assert bots_per_hour(Measurement(rival="A", bots=FOUR, wall_seconds=[9, 9, 12, 10])) == 360


def test_a_warm_process_shares_its_seconds_among_its_bots():
    warm = Measurement(rival="E8", bots=FOUR, wall_seconds=[10, 10], warm_seconds=[2, 2])
    assert bots_per_hour(warm) == 1440
    assert bots_per_hour(warm, warm=True) == 7200


def test_a_ratio_lies_within_its_interval_and_has_none_without_scatter():
    ours = Measurement(rival="E8", bots=FOUR, wall_seconds=[4, 4], warm_seconds=[4, 4])
    steady = Measurement(rival="A", bots=FOUR, wall_seconds=[10, 10, 10, 10])
    assert ratio(ours, steady) == pytest.approx((10, 10, 10))
    value, low, high = ratio(ours, Measurement(rival="A", bots=FOUR, wall_seconds=[8, 9, 11, 12]))
    assert low < value < high


def test_gpt2_costs_what_the_literature_says():
    assert flops_per_token(SCALES["gpt2"]) == pytest.approx(798e6, rel=0.01)


def test_mfu_is_the_share_of_the_listed_peak():
    bots = make_bots("seed-sized", 1, SCALES["gpt2"])
    tokens = SEED_SIZED_STEPS * 1024
    seconds = tokens * flops_per_token(SCALES["gpt2"]) / 989e12
    twice_the_time = Measurement(rival="E1", bots=("bot-000",), wall_seconds=[9], warm_seconds=[2 * seconds])
    assert mfu(twice_the_time, bots, SCALES["gpt2"], "NVIDIA H200", bf16=True) == pytest.approx(0.5)
    assert mfu(twice_the_time, bots, SCALES["gpt2"], "CPU", bf16=True) is None


def test_the_mix_is_the_same_everywhere_and_spans_its_range():
    bots = make_bots("log-uniform", 40, SCALES["small"])
    steps = [bot.num_steps for bot in bots]
    assert steps == [bot.num_steps for bot in make_bots("log-uniform", 40, SCALES["small"])]
    assert min(steps) >= 7
    assert max(steps) <= 390
    assert 60 < np.mean(steps) < 140


def test_a_row_tells_of_each_size_what_ours_is_faster_by():
    loop = Measurement(rival="C", bots=FOUR, wall_seconds=[12], warm_seconds=[8])
    ours = Measurement(rival="E4", bots=FOUR, wall_seconds=[6], warm_seconds=[2])
    item = SizeMeasurement(tokens=2_000, steps=7, loop=loop, ours=ours)
    assert size_rows([item]) == [["2,000", "7", "4", "3.000", "1.500", "2.0 x", "4.0 x"]]


def test_bots_of_one_size_have_the_steps_of_four_epochs():
    bots = make_bots_of_size(8_000, 3, SCALES["small"])
    assert [bot.num_steps for bot in bots] == [31, 31, 31]
    assert not np.array_equal(bots[0].learned, bots[1].learned)
