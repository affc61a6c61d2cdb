import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tweetbot_api.status import Evaluation
from tweetbot_trainer.curve import draw_loss_curve, smooth, ticks
from tweetbot_trainer.picture import SIZE, draw_predictions, drawable, is_right_to_left


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("plain text", "plain text"),
        ("gm 🥚❤️ frens 👩\u200d🚀", "gm 🥚❤️ frens 👩\u200d🚀"),
        ("hi こんにちは 日本 you", "hi こんにちは 日本 you"),
        ("naïve Ωmega Привет שלום", "naïve Ωmega Привет שלום"),
        ("\U0001d4ef\U0001d4ea\U0001d4f7\U0001d4ec\U0001d502 letters", "fancy letters"),
        ("unknown ᏣᎳᎩ letters", "unknown … letters"),
        ("press 1️⃣", "press 1"),
        ("a\u202eb", "ab"),
    ],
)
def test_what_the_fonts_lack_leaves_no_box(text, want):
    assert drawable(text) == want


@pytest.mark.parametrize(
    ("text", "want"), [("abc שלום", False), ("שלום abc", True), ("12! مرحبا", True), ("🥚 1", False), ("", False)]
)
def test_the_first_letter_gives_the_direction(text, want):
    assert is_right_to_left(text) == want


def drawn(folder, posts, prompt="so", names=("Ada",), handles=("ada",), avatars=None):
    """Return the picture's grey values."""
    path = folder / "predictions.png"
    draw_predictions(path, names, handles, prompt, posts, avatars)
    with Image.open(path) as image:
        assert image.size == SIZE == (1120, 586)
        return np.asarray(image.convert("L"))


@pytest.mark.parametrize(
    "posts",
    [
        [],
        ["so short"],
        ["so " + "long " * 100] * 10,
        ["so 日本 🎉"] * 3,
        ["x" * 400],
        ["🎉" * 280],
        ["\ufdfd" * 280],
        ["今" * 280] * 4,
        ["so " + "z\u0351\u036b\u0343" * 60],
        ["so שלום", "مرحبا", "ไทย", "हिन्दी"],
        ['so #{1/0} $x$ *bold* \\ [#panic()] <label> @ada // "quoted" \n= head'],
    ],
)
def test_posts_of_any_length_and_writing_make_a_picture(tmp_path, posts):
    middle = drawn(tmp_path, posts, names=["🥚", "An Extraordinarily Long Display Name"], handles=["ada", "grace"])[
        150:490, 100:1020
    ]
    assert (middle.min() < 128) == bool(posts), "letters are dark"


def test_long_words_stay_in_the_card(tmp_path):
    picture = drawn(tmp_path, ["so " + "x" * 270, "so " + "y" * 270])
    assert picture[150:490, 1048:1080].min() > 200, "nothing dark between the bubbles and the card's edge"


@settings(max_examples=40)
@given(name=st.text(max_size=60), posts=st.lists(st.text(max_size=60), max_size=4), prompt=st.text(max_size=8))
def test_any_text_makes_a_picture(tmp_path_factory, name, posts, prompt):
    drawn(tmp_path_factory.mktemp("picture"), [prompt + post for post in posts], prompt, names=[name])


def test_an_avatar_replaces_the_initial(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "black").save(file, "PNG")
    with_avatar = drawn(tmp_path, [], avatars={"ada": file.getvalue()})
    assert with_avatar[104, 118] == 0 < drawn(tmp_path, [])[80, 118]


def test_the_same_facts_give_the_same_picture(tmp_path):
    for name in ("a.png", "b.png"):
        draw_predictions(tmp_path / name, ["Ada"], ["ada"], "so", ["so it goes 🎉"])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("num_points", [0, 1, 3, 300, 30_000])
def test_a_curve_of_any_length_can_be_drawn(tmp_path, num_points):
    losses = [(5 * step, 4 - step / 100) for step in range(1, num_points + 1)]
    evaluation = Evaluation(loss=3.1, perplexity=22.2, base_loss=4.2, base_perplexity=66.7)
    draw_loss_curve(tmp_path / "loss.png", "@ada $x_1$", losses, evaluation)
    draw_loss_curve(tmp_path / "loss.png", "@ada", losses, None)
    with Image.open(tmp_path / "loss.png") as image:
        assert image.size == (1080, 540)


def test_the_curve_falls_from_left_to_right_and_the_held_out_losses_are_lines_across(tmp_path):
    losses = [(step, 4 - step / 100) for step in range(1, 101)]
    evaluation = Evaluation(loss=3.2, perplexity=24.5, base_loss=3.9, base_perplexity=49.4)
    draw_loss_curve(tmp_path / "loss.png", "@ada", losses, evaluation)
    with Image.open(tmp_path / "loss.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    is_blue = (abs(pixels - [0x44, 0x57, 0xD6]).sum(axis=2) < 40)[:, :790]
    heights = [np.flatnonzero(is_blue[:, column]).mean() for column in (150, 400, 700)]
    assert heights == sorted(heights)
    is_orange = abs(pixels - [0xD9, 0x66, 0x2B]).sum(axis=2) < 40
    assert is_orange.sum(axis=1).max() > 300


@pytest.mark.parametrize(
    ("low", "high", "want"),
    [
        (0, 33, [0, 5, 10, 15, 20, 25, 30]),
        (3.02, 4.27, [3.2, 3.4, 3.6, 3.8, 4.0, 4.2]),
        (2.9, 3.1, [2.9, 2.95, 3.0, 3.05, 3.1]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (5, 5, [5]),
    ],
)
def test_ticks_are_round_numbers_and_few(low, high, want):
    assert ticks(low, high, 7) == want


def test_smoothing_starts_at_the_first_value_and_follows():
    assert smooth([4.0, 4.0]) == pytest.approx([4.0, 4.0])
    assert 3.0 < smooth([4.0, 3.0])[1] < 4.0
