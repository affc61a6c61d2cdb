import pytest

from tweetbot_trainer.progress import STAGE_PERCENT, overall_percent


@pytest.mark.parametrize(
    ("stage", "fraction", "want_percent"),
    [
        ("Fetching", 0, 0),
        ("Fetching", 1, 5),
        ("Cleaning", 0.5, 7),
        ("Training", 0, 10),
        ("Training", 0.5, 47),
        ("Training", 1, 85),
        ("Evaluating", 1, 90),
        ("Generating", 1, 95),
        ("Publishing", 1, 100),
    ],
)
def test_each_stage_stands_for_its_share_of_the_run(stage, fraction, want_percent):
    assert want_percent == overall_percent(stage, fraction)


def test_stages_follow_each_other_without_gaps():
    shares = list(STAGE_PERCENT.values())
    assert [first for first, _ in shares[1:]] == [last for _, last in shares[:-1]]


def test_a_fraction_outside_its_stage_is_bounded():
    assert (overall_percent("Training", -1), overall_percent("Training", 1.2)) == (10, 85)
