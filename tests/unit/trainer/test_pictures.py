import numpy as np
import pytest
from PIL import Image, ImageFont

from tweetbot_api.status import Evaluation
from tweetbot_trainer.curve import draw_loss_curve, smooth
from tweetbot_trainer.picture import SIZE, draw_predictions, drawable, wrap


class WideFont:
    """A font whose every letter is ten pixels wide."""

    def getlength(self, text):
        return 10 * len(text)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("plain text", "plain text"),
        ("gm 🥚❤️ frens", "gm frens"),
        ("hi こんにちは 日本 you", "hi … you"),
        ("naïve Ωmega Привет", "naïve Ωmega Привет"),
        ("a\u202eb", "ab"),
    ],
)
def test_what_the_fonts_lack_leaves_no_box(text, want):
    assert drawable(text) == want


def test_lines_are_no_wider_than_their_room_and_lose_nothing():
    text = "one two three four five six"
    lines = wrap(text, WideFont(), 100, 9)
    assert " ".join(lines) == text
    assert all(len(line) <= 10 for line in lines)


def test_what_does_not_fit_ends_in_an_ellipsis():
    assert wrap("one two three four five six", WideFont(), 100, 2) == ["one two", "three …"]
    assert wrap("extraordinarily", WideFont(), 100, 2) == ["extraordi…"]


@pytest.mark.parametrize("posts", [[], ["so short"], ["so " + "long " * 100] * 10, ["so 日本 🎉"] * 3, ["x" * 400]])
def test_posts_of_any_length_make_a_picture(tmp_path, posts):
    path = tmp_path / "predictions.png"
    draw_predictions(path, ["🥚", "An Extraordinarily Long Display Name"], ["ada", "grace"], "so", posts)
    with Image.open(path) as image:
        assert image.size == SIZE
        middle = np.asarray(image.convert("L"))[190:520, 100:1100]
    assert (middle.min() < 128) == bool(posts), "letters are dark"


def test_the_same_facts_give_the_same_picture(tmp_path):
    for name in ("a.png", "b.png"):
        draw_predictions(tmp_path / name, ["Ada"], ["ada"], "so", ["so it goes"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("num_points", [1, 3, 300])
def test_a_curve_of_any_length_can_be_drawn(tmp_path, num_points):
    losses = [(5 * step, 4 - step / 100) for step in range(1, num_points + 1)]
    evaluation = Evaluation(loss=3.1, perplexity=22.2, base_loss=4.2, base_perplexity=66.7)
    draw_loss_curve(tmp_path / "loss.png", "@ada $x_1$", losses, evaluation)
    draw_loss_curve(tmp_path / "loss.png", "@ada", losses, None)
    with Image.open(tmp_path / "loss.png") as image:
        assert image.size == (1080, 540)


def test_smoothing_starts_at_the_first_value_and_follows():
    assert smooth([4.0, 4.0]) == pytest.approx([4.0, 4.0])
    assert 3.0 < smooth([4.0, 3.0])[1] < 4.0


def test_fonts_come_with_matplotlib():
    from tweetbot_trainer import picture

    assert isinstance(picture._font(20), ImageFont.FreeTypeFont)
