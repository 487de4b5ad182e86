"""Spellings of the same flag."""

import pytest

from bthcheck.cli.flags import FLAGS, TAKES
from bthcheck.cli.spelling import flag_of, respelt


@pytest.mark.parametrize(
    "word", ["--learning-rate", "--learning_rate", "-learning-rate", "-learning_rate", "--Learning-Rate", "--lr"]
)
def test_a_flag_in_all_its_spellings(word):
    assert flag_of(word, TAKES) == ("--learning-rate", None)
    assert flag_of(f"{word}=0.1", TAKES) == ("--learning-rate", "0.1")


@pytest.mark.parametrize("word", ["--learning", "learning-rate", "---lr", "-0.5", "0.5", "--", "-", ""])
def test_what_is_no_flag(word):
    assert flag_of(word, TAKES) == ("", None)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("--frequency 0.5", "--frequency 0.5"),
        ("--frequency 0.25 0.5 1", "--frequency 0.25 --frequency 0.5 --frequency 1"),
        ("--frequency 0.25,0.5 --epochs=3", "--frequency 0.25 --frequency 0.5 --epochs 3"),
        ("--frequency 0.25 --frequency 0.5", "--frequency 0.25 --frequency 0.5"),
        ("--corruption -0.5 0", "--corruption -0.5 --corruption 0"),
        ("--cnn --corruption 0 --decay 50", "--cnn --corruption 0 --decay 50"),
        ("cnn --corruption 0", "--cnn --corruption 0"),
        ("--corruption 0 cnn", "--corruption 0 --cnn"),
        ("mlp --frequency 0.5", "--mlp  --frequency 0.5"),
        ("--frequency 0.5 mlp", "--frequency 0.5 --mlp "),
        ("mlp 10-10-32-1 --epochs 3", "--mlp 10-10-32-1 --epochs 3"),
        ("--mlp 10-10-8-1 10-10-9-1", "--mlp 10-10-8-1 --mlp 10-10-9-1"),
        ("--epochs 3 train", "--epochs 3"),
        ("--output a b", "--output a b"),
        ("--colour red --epochs 3", "--colour red --epochs 3"),
        ("0.5", "0.5"),
        ("--seeds 0,3,7", "--seeds 0 --seeds 3 --seeds 7"),
        ("--no_cache --help", "--no-cache --help"),
    ],
)
def test_a_command_line_as_it_is_meant(typed, meant):
    assert respelt(typed.split(), TAKES) == meant.split(" ")


@pytest.mark.parametrize("typed", ["--epochs", "--epochs --batch-size 1", "--output", "--epochs cnn", "--load --overwrite"])
def test_a_flag_that_needs_a_value_is_told_so(typed):
    with pytest.raises(ValueError, match=f"^{typed.split()[0]} needs a value, got none$"):
        respelt(typed.split(), TAKES)


def test_every_flag_is_known():
    assert {flag.name for flag in FLAGS} <= TAKES.keys()
