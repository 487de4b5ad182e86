"""The line that says how far training is."""

import pytest

from bthcheck.progress.estimate import Estimate, Standing
from bthcheck.progress.wording import duration, line
from bthcheck.text import columns

ONE = Estimate((Standing("a", 12, 40, 2, 0.315),), 250.0)
TWO = Estimate((Standing("a", 12, 40, 2, 0.3), Standing("b", 0, 10, 1, 0.05)), 4000.0)
NAMES = {"a": "sinusoids", "b": "MNIST architectures"}


def test_one_experiment_is_named():
    assert line(ONE, NAMES) == "training sinusoids: 12 of 40 runs (31 %), about 4 min left"
    assert line(Estimate(ONE.experiments, None), NAMES) == "training sinusoids: 12 of 40 runs (31 %)"


def test_workers_are_counted():
    one = Standing("e", 12, 40, 1, 0.31)
    assert line(Estimate((one,), 240.0, 8), {"e": "sinusoids"}).startswith(
        "training sinusoids on 8 workers: 12 of 40 runs (31 %)"
    )
    assert line(Estimate((one,), None, 1), {"e": "sinusoids"}) == "training sinusoids on 1 worker: 12 of 40 runs (31 %)"
    assert "experiments on 8 workers: " in line(Estimate((one, one), 240.0, 8), {"e": "sinusoids"})


def test_several_are_counted_and_named_at_the_end():
    assert line(TWO, NAMES) == (
        "training 2 experiments: 12 of 50 runs (25 %), about 67 min left: sinusoids 12 of 40, MNIST architectures 0 of 10"
    )


def test_nothing_is_said_while_nothing_is_trained():
    assert line(Estimate((), None), {}) == ""
    assert line(Estimate((Standing("a", 40, 40, 0, 1.0),), None), NAMES) == ""


@pytest.mark.parametrize("width", [1, 10, 40, 60, 79, 119, 200])
def test_it_fits_and_says_what_matters_first(width):
    for found in (ONE, TWO):
        text = line(found, {"a": "深い学習 " * 5, "b": "long " * 20}, width)
        assert columns(text) <= width
        if width >= 79:
            assert "left" in text
            assert "12 of" in text


def test_names_control_no_terminal_and_need_no_character_that_it_lacks():
    text = line(ONE, {"a": "φ\x1b[2J\n\ud800"}, 79, "ascii")
    assert text == r"training \u03c6\x1b[2J \ud800: 12 of 40 runs (31 %), about 4 min left"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "a few seconds"), (9.9, "a few seconds"), (10, "about 10 s"), (44, "about 45 s"), (88, "about 90 s"),
        (90, "about 2 min"), (3000, "about 50 min"), (5399, "about 1 h 30 min"), (7200, "about 2 h"), (7500, "about 2 h 5 min"),
        (7199 * 1.5, "about 3 h"), (36000, "about 10 h"), (86400 * 3, "about 3 days"),
    ],
)  # fmt: skip
def test_a_time_is_said_no_more_exactly_than_it_is_known(seconds, said):
    assert duration(seconds) == said


def test_the_same_time_never_sounds_longer_when_it_is_shorter():
    units = {"s": 1, "min": 60, "h": 3600, "days": 86400}
    before = 0.0
    for seconds in range(10, 4 * 86400, 61):
        words = duration(seconds).removeprefix("about ").split()
        now = sum(int(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))
        assert now >= before
        assert now == pytest.approx(seconds, rel=0.35)
        before = now
