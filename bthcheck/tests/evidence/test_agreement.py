"""Whether new numbers could be those on record: what is noticed, what is not, and how often by chance."""

import math

import numpy as np
import pytest
from scipy import special, stats

from bthcheck.evidence.agreement import same_dispersion, same_looseness, same_numbers, same_rate
from bthcheck.evidence.exchange import any_of, beyond, two_samples
from bthcheck.evidence.shifts import MARGIN

LEVEL = 0.01 / 120
LEVELS = ("0.25", "0.5", "0.75", "1")


def table(values, columns=LEVELS, seeds=None):
    values = np.asarray(values, float)
    rows = [[x if math.isfinite(x) else None for x in row] for row in values.tolist()]
    return {"columns": list(columns), "rows": list(range(len(rows)) if seeds is None else seeds), "values": rows}


@pytest.fixture
def recorded():
    """Ten seeds at four levels, with means from 1 to 4 and a spread of about 0.5 between seeds."""
    generator = np.random.default_rng(5)
    return np.arange(1, 5) + 0.5 * generator.normal(size=(10, 1)) + 0.1 * generator.normal(size=(10, 4))


def chaos(size, scale=0.1, seed=6):
    return scale * np.random.default_rng(seed).normal(size=size)


def spread(old, new):
    return ((old + new) / 2).std(axis=0, ddof=1)


def test_a_shift_is_named_with_where_and_by_how_much(recorded):
    new = recorded.copy()
    new[:, 1] += 0.3
    found = same_numbers(table(recorded), table(new), level=0.02, quantity="mean φ", along="frequency")
    before, after = recorded[:, 1].mean(), new[:, 1].mean()
    share = 0.3 / spread(recorded, new)[1]
    p = 2 * special.gammaincc(4, -math.log(2 / 2**10))  # Fisher's method: χ² of 8 degrees, three p-values being 1
    assert found.differs is False
    assert found.p == pytest.approx(p)
    assert found.sentence == (
        f"mean φ at frequency 0.5 was {before:.4g} on average, now {after:.4g} ({30 / before:.2g} % more,"
        f" {share:.2g} of the spread between seeds); p = {p:.2g} at level 0.02"
    )
    assert found.effect == pytest.approx(share)
    assert found.interval == pytest.approx((share, share))
    assert same_numbers(table(recorded), table(new + 0.3), level=0.02).differs


def test_a_shift_is_noticed_at_the_level_of_a_session(recorded):
    new = recorded + chaos(recorded.shape) + 0.1
    found = same_numbers(table(recorded), table(new), level=LEVEL)
    assert found.differs
    cells = ((new - recorded) / spread(recorded, new)).ravel()
    columns = [beyond(column, np.full(10, MARGIN)) for column in ((new - recorded) / spread(recorded, new)).T]
    assert found.p == pytest.approx(2 * min(beyond(cells, np.full(40, MARGIN)), any_of(columns)), rel=1e-6)
    moved = (new - recorded) / spread(recorded, new)
    intervals = [tuple(stats.ttest_1samp(column, 0).confidence_interval(0.95)) for column in moved.T]
    shifts = moved.mean(axis=0).tolist()
    assert found.interval == pytest.approx(intervals[shifts.index(pytest.approx(found.effect))])
    assert not same_numbers(table(recorded), table(new - 0.1), level=LEVEL).differs
    less = same_numbers(table(recorded), table(new - 0.2), level=LEVEL)
    assert less.differs
    assert less.effect < 0
    assert " % less" in less.sentence


def test_levels_that_move_in_different_directions_are_noticed(recorded):
    new = recorded + chaos(recorded.shape, 0.05) + np.array([0.2, -0.2, 0.2, -0.2])
    found = same_numbers(table(recorded), table(new), level=LEVEL)
    assert found.differs
    assert found.p < 1e-6


def test_five_seeds_notice_what_all_levels_share_and_say_when_nothing_could_be(recorded):
    old = recorded[:5]
    assert same_numbers(table(old), table(old + 0.2), level=LEVEL).p == pytest.approx(2 * 2.0**-19)
    two = same_numbers(table(old[:, :2], LEVELS[:2]), table(old[:, :2] + 9, LEVELS[:2]), level=LEVEL)
    assert (two.differs, two.noticeable) == (False, False)
    assert two.sentence.endswith("with 5 seeds no difference could be noticed at this level")
    assert two.p == pytest.approx(2 * 2.0**-9)
    one = same_numbers(table(old[:1]), table(old[:1] + 9), level=LEVEL)
    assert (one.differs, one.noticeable, one.p) == (False, False, 1.0)


@pytest.mark.parametrize("factor", [1 + 3e-9, 1 - 3e-9, 1])
def test_nine_digits_are_the_same_numbers(recorded, factor):
    found = same_numbers(table(recorded), table(recorded * factor), level=LEVEL)
    assert (found.differs, found.p, found.sentence) == (False, 1.0, "the same numbers for 10 seeds")


@pytest.mark.parametrize("share", [1e-6, 0.9 * MARGIN])
def test_a_shift_below_the_margin_is_no_difference_however_regular(recorded, share):
    moved = recorded + share * recorded.std(axis=0, ddof=1)
    assert same_numbers(table(recorded), table(moved), level=LEVEL).p == 1
    beyond_it = recorded + 1.2 * MARGIN * recorded.std(axis=0, ddof=1)
    assert same_numbers(table(recorded), table(beyond_it), level=LEVEL).differs


def test_numbers_that_all_seeds_share(recorded):
    old, new = np.full((10, 2), 7.0), np.full((10, 2), 8.0)
    found = same_numbers(table(old, LEVELS[:2]), table(new, LEVELS[:2]), level=LEVEL)
    assert found.differs
    assert (found.effect, found.interval) == (None, None)
    assert found.sentence.startswith("the number at 0.25 was 7 on average, now 8 (14 % more); p = ")
    zeros = np.zeros((10, 2))
    assert same_numbers(table(zeros, LEVELS[:2]), table(new, LEVELS[:2]), level=LEVEL).differs
    assert not same_numbers(table(zeros, LEVELS[:2]), table(zeros, LEVELS[:2]), level=LEVEL).differs


def test_several_quantities_of_the_same_runs_are_not_more_runs(recorded):
    new = recorded + chaos(recorded.shape) + 0.05
    names = [f"{name} at {level}" for name in ("length", "loss") for level in LEVELS]
    twice = [table(np.concatenate([values, values], axis=1), names) for values in (recorded, new)]
    once = same_numbers(table(recorded), table(new), level=LEVEL)
    both = same_numbers(*twice, level=LEVEL)
    assert both.p == pytest.approx(2 * once.p)
    assert both.sentence.startswith("length at ")


def test_only_seeds_in_common_are_compared_in_any_order(recorded):
    new = recorded + chaos(recorded.shape) + 0.05
    direct = same_numbers(table(recorded[3:]), table(new[3:]), level=LEVEL)
    shuffled = np.random.default_rng(0).permutation(np.arange(3, 10))
    more = np.concatenate([new[shuffled], new[:2] + 100])
    found = same_numbers(table(recorded), table(more, seeds=[*shuffled.tolist(), 50, 51]), level=LEVEL)
    assert found.p == pytest.approx(direct.p)


def test_other_seeds_are_dealt_anew(recorded):
    others = recorded[::-1] + chaos(recorded.shape, 0.3)
    seeds = list(range(20, 30))
    found = same_numbers(table(recorded), table(others, seeds=seeds), level=LEVEL)
    assert found.p == pytest.approx(two_samples(recorded, others))
    assert (found.differs, found.noticeable) == (False, True)
    apart = same_numbers(table(recorded), table(others + 2, seeds=seeds), level=LEVEL)
    assert apart.differs
    pooled = np.sqrt((recorded.var(axis=0, ddof=1) + others.var(axis=0, ddof=1)) / 2)
    shifts = (others + 2 - recorded).mean(axis=0) / pooled
    largest = int(np.argmax(shifts))
    student = stats.ttest_ind(others[:, largest] + 2, recorded[:, largest]).confidence_interval(0.95)
    assert apart.effect == pytest.approx(shifts[largest])
    assert apart.interval == pytest.approx((student.low / pooled[largest], student.high / pooled[largest]))
    assert apart.sentence.startswith(f"the number at {LEVELS[largest]} was ")
    few = same_numbers(table(recorded[:8]), table(others[:8] + 9, seeds=seeds[:8]), level=LEVEL)
    assert (few.differs, few.noticeable) == (False, False)
    assert few.sentence.endswith("with 8 seeds on record and 8 others now no difference could be noticed at this level")
    assert same_numbers(table(recorded[:1]), table(others, seeds=seeds), level=LEVEL).noticeable is False


def test_other_runs_diverge(recorded):
    new = recorded.copy()
    new[:, 2:] = math.nan
    found = same_numbers(table(recorded), table(new), level=LEVEL, quantity="φ")
    assert found.differs
    assert found.p == pytest.approx(2 * 2 * 2.0**-20)
    assert found.sentence.startswith(
        "φ: 20 of 40 numbers are not finite, as those of diverged runs are, on record 0 of 40; p = "
    )
    assert same_numbers(table(new), table(recorded), level=LEVEL).p == found.p
    assert same_numbers(table(new), table(new), level=LEVEL).p == 1
    one = recorded.copy()
    one[3, 3] = math.inf
    assert same_numbers(table(recorded), table(one), level=LEVEL).p == 1
    both = same_numbers(table(one), table(one + 0.3), level=LEVEL)
    assert both.differs  # of those that are finite
    assert both.sentence.startswith("the number at ")
    none = np.full((10, 4), math.nan)
    assert same_numbers(table(none), table(recorded), level=LEVEL).differs
    assert not same_numbers(table(none), table(none), level=LEVEL).differs
    elsewhere = same_numbers(table(recorded), table(none, seeds=range(20, 30)), level=LEVEL)
    assert elsewhere.differs
    assert elsewhere.p == pytest.approx(2 * 2 / math.comb(20, 10))


@pytest.mark.parametrize("size", [1e308, 1e-308])
@pytest.mark.filterwarnings("error")
def test_numbers_of_any_size(recorded, size):
    old, new = recorded / 4 * size, (recorded + chaos(recorded.shape) + 0.1) / 4 * size
    expected = same_numbers(table(recorded), table(recorded + chaos(recorded.shape) + 0.1), level=LEVEL)
    for seeds in (None, range(20, 30)):
        found = same_numbers(table(old), table(new, seeds=seeds), level=LEVEL)
        assert math.isfinite(found.p)
        assert "nan" not in found.sentence
        if seeds is None:
            assert found.p == pytest.approx(expected.p)


def test_another_test_has_no_p(recorded):
    found = same_numbers(table(recorded), table(recorded[:, :3], LEVELS[:3]), level=LEVEL)
    assert (found.differs, found.p) == (True, None)
    assert found.sentence == "the columns are 0.25, 0.5, 0.75, on record 0.25, 0.5, 0.75, 1: the test itself has changed"
    nothing = same_numbers(table(np.zeros((0, 4))), table(recorded), level=LEVEL)
    assert (nothing.differs, nothing.p, nothing.noticeable) == (False, None, False)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"columns": ["1"], "rows": [0, 1], "values": [[1.0]]}, "recorded numbers must be a table"),
        ({"columns": ["1"], "rows": [0, 0], "values": [[1.0], [2.0]]}, "recorded numbers must be a table"),
        ({"columns": ["1"], "rows": [0], "values": [["a"]]}, "recorded numbers must be a table"),
        ({"columns": ["1"], "rows": [[0]], "values": [[1.0]]}, "recorded numbers must be a table"),
        ({"rows": [0], "values": [[1.0]]}, "recorded numbers must be a table"),
        (None, "recorded numbers must be a table"),
    ],
)
def test_what_is_no_table_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        same_numbers(wrong, table([[1.0]], ["1"]), level=LEVEL)


@pytest.mark.parametrize("level", [0, 1, math.nan])
def test_a_level_is_between_0_and_1(recorded, level):
    with pytest.raises(ValueError, match="level must be a number between 0 and 1"):
        same_numbers(table(recorded), table(recorded), level=level)


TESTS, FAMILIES = 10, 60


def paired(generator):
    """Runs that only chaos tells apart: skewed over seeds, heavy-tailed from run to run."""
    values = generator.exponential(size=(8, 1)) + generator.exponential(size=(8, 4))
    scale = generator.exponential(size=(8, 4))
    return table(values + scale * generator.standard_t(2, (8, 4))), table(values + scale * generator.standard_t(2, (8, 4)))


def other_seeds(generator):
    """Runs of other seeds, whose levels go together within a seed."""
    tables = [np.exp(generator.normal(size=(6, 1)) + 0.3 * generator.normal(size=(6, 3))) for _ in range(2)]
    return table(tables[0], LEVELS[:3]), table(tables[1], LEVELS[:3], range(20, 26))


def diverging(generator):
    """Runs of which a quarter diverges, by chance."""
    values = generator.normal(size=(8, 1)) + np.zeros((8, 4))
    tables = [np.where(generator.random((8, 4)) < 0.25, math.nan, values + generator.normal(size=(8, 4))) for _ in range(2)]
    return table(tables[0]), table(tables[1])


@pytest.mark.parametrize("setup", [paired, other_seeds, diverging])
def test_a_session_of_honest_reruns_seldom_alarms(setup):
    generator = np.random.default_rng(11)
    ps = [same_numbers(*setup(generator), level=0.01 / TESTS).p for _ in range(TESTS * FAMILIES)]
    alarms = (np.reshape(ps, (FAMILIES, TESTS)).min(axis=1) <= 0.01 / TESTS).sum()
    assert stats.binomtest(int(alarms), FAMILIES, 0.01, alternative="greater").pvalue > 1e-4
    for level in (0.01, 0.05, 0.2):
        below = int((np.array(ps) <= level).sum())
        assert stats.binomtest(below, len(ps), level, alternative="greater").pvalue > 1e-4
    assert min(ps) < 0.05  # something is tested


def test_rates():
    def tables(total, violations):  # of 12 recorded and 8 new cases
        return {
            x: math.comb(12, x) * math.comb(8, violations - x) / math.comb(total, violations) for x in range(violations + 1)
        }

    chances = tables(20, 6)
    expected = sum(chance for chance in chances.values() if chance <= chances[1] * (1 + 1e-9))
    found = same_rate(1, 12, 5, 8, level=LEVEL, quantity="deviations")
    assert found.p == pytest.approx(expected)
    assert found.sentence == (
        f"deviations: 5 of 8 cases are violated, on record 1 of 12 (p = {expected:.2g} at level {LEVEL:.2g})"
    )
    assert found.effect == pytest.approx(5 / 8 - 1 / 12)
    assert found.noticeable
    assert not same_rate(0, 3, 4, 4, level=LEVEL).noticeable
    assert same_rate(0, 200, 0, 200, level=LEVEL).p == 1
    assert same_rate(0, 200, 30, 200, level=LEVEL).differs
    with pytest.raises(ValueError, match="violations must be from 0 to the number of cases"):
        same_rate(3, 2, 0, 2, level=LEVEL)
    with pytest.raises(ValueError, match="violations must be from 0 to the number of cases"):
        same_rate(0, 2, 0, 0, level=LEVEL)


def test_dispersions():
    found = same_dispersion(1.0, 21, 1.5, 31, level=LEVEL, quantity="scores")
    ratio = 1.5**2
    above = special.betainc(20 / 2, 30 / 2, 20 / (20 + 30 * ratio))  # of F with 30 and 20 degrees of freedom
    assert found.p == pytest.approx(2 * above)
    assert found.effect == pytest.approx(1.5)
    assert found.sentence.startswith("scores: the standard deviation is 1.5 of 31 cases, on record 1 of 21 (p = ")
    assert same_dispersion(1.0, 21, 1.5 / found.interval[0], 31, level=LEVEL).p == pytest.approx(
        0.05
    )  # the interval is the test's
    assert same_dispersion(1.0, 21, 1.5 / found.interval[1], 31, level=LEVEL).p == pytest.approx(0.05)
    assert same_dispersion(1.0, 200, 0.6, 200, level=LEVEL).differs
    assert same_dispersion(0.0, 9, 0.0, 9, level=LEVEL).p == 1
    assert same_dispersion(0.0, 9, 1.0, 9, level=LEVEL).p == 0
    for deviation, cases in ((math.nan, 9), (-1.0, 9), (1.0, 1)):
        with pytest.raises(ValueError, match="a deviation must be a finite number from 0, of 2 cases or more"):
            same_dispersion(1.0, 9, deviation, cases, level=LEVEL)


def test_looseness_lies_in_the_recorded_spread():
    inside, outside = (3.0, 5.0, 7.0, 7.0006, 2.9998), (2.999, 7.001, math.nan, math.inf)
    assert not any(same_looseness((3.0, 7.0), median).differs for median in inside)
    assert all(same_looseness((3.0, 7.0), median).differs for median in (*outside, None))
    found = same_looseness((3.0, 7.0), 9.0, quantity="λ ≤ σ₁ φ")
    assert found.sentence == "λ ≤ σ₁ φ: the median of bound / value is 9, on record 3 to 7, with 0.01% for rounding"
    assert found.p is None
    assert not same_looseness((None, None), math.nan).differs
    assert same_looseness((None, None), 2.0).differs
    with pytest.raises(ValueError, match="a spread must be two numbers in order"):
        same_looseness((7.0, 3.0), 5.0)
