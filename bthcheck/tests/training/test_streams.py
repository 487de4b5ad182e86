import numpy as np
import pytest
from scipy import stats

from bthcheck.training.streams import STREAMS, sampling_order, stream, weight_seed


def test_reshuffled_epochs_are_permutations_that_differ():
    order = sampling_order(0, epochs=50, points=20, sampling="reshuffle")
    assert (np.sort(order, axis=1) == np.arange(20)).all()
    assert len(np.unique(order, axis=0)) == 50


def test_sampling_with_replacement_is_uniform_and_repeats_points():
    order = sampling_order(0, epochs=500, points=20, sampling="replacement")
    assert stats.chisquare(np.bincount(order.ravel(), minlength=20)).pvalue > 1e-3
    distinct = np.array([len(np.unique(row)) for row in order])
    assert abs(distinct.mean() - 20 * (1 - 0.95**20)) < 0.3  # E of the number of points an epoch visits


@pytest.mark.parametrize("sampling", ["reshuffle", "replacement"])
def test_a_shorter_training_is_the_beginning_of_a_longer_one(sampling):
    short, long = (sampling_order(3, epochs, 20, sampling) for epochs in (5, 9))
    assert (long[:5] == short).all()


def test_streams_of_a_seed_and_of_other_seeds_differ():
    draws = {stream(seed, name).integers(2**63) for seed in range(20) for name in STREAMS}
    assert len(draws) == 20 * len(STREAMS)
    assert weight_seed(4) == weight_seed(4) != weight_seed(5)
