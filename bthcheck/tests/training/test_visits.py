"""What visits saw, by machine code, by autograd, and against traces and whole runs."""

import numpy as np
import pytest

import bthcheck
from bthcheck.experiments import CORRUPTED_CIFAR_SMALL, SINUSOIDS
from bthcheck.experiments.extensions import ActivatedMLP
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import CorruptedImages, SinusoidSign
from bthcheck.training.runs import Run
from bthcheck.training.statistics import VISIT

IMAGES = CORRUPTED_CIFAR_SMALL.replace(
    task=CorruptedImages(train=8, test=4), network=CNN(channels=(2, 3), hidden=4), levels=(0.4,), seeds=(1,), epochs=2,
    dtype="float64", loss_factor=0.5,
)  # fmt: skip
POINTS = SINUSOIDS.replace(
    task=SinusoidSign(train=9, test=3), levels=(0.5,), network=MLP((10, 7, 5, 1), "trained", "sigmoid"), epochs=3,
    seeds=(2,), dtype="float64", learning_rate=0.05,
)  # fmt: skip
REGRESSION = SINUSOIDS.replace(levels=(0.5,), seeds=(0,), epochs=2, dtype="float64", network=MLP((10, 10, 6, 1)))


@pytest.mark.parametrize("experiment", [IMAGES, POINTS, REGRESSION], ids=["images", "labels", "regression"])
def test_engines_see_the_same_at_every_visit(experiment):
    mine, theirs = (
        bthcheck.visits(experiment, experiment.levels[0], experiment.seeds[0], engine=engine)
        for engine in ("fused", "reference")
    )
    assert (mine.attrs["engine"], theirs.attrs["engine"]) == ("fused", "reference")
    for name in VISIT:
        assert mine[name].dims == ("epoch", "point")
        np.testing.assert_allclose(mine[name], theirs[name], rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("experiment", [IMAGES, POINTS, REGRESSION], ids=["images", "labels", "regression"])
def test_visits_are_the_steps_of_a_run(experiment):
    level, seed = experiment.levels[0], experiment.seeds[0]
    visits, run = bthcheck.visits(experiment, level, seed), Run(experiment, level, seed)
    order, count = run.order(), visits.sizes["point"]
    trace = bthcheck.trace(experiment, level, seed, order.size)
    in_order = {name: np.take_along_axis(visits[name].values, order, axis=1) for name in VISIT}
    np.testing.assert_allclose(in_order["phi"].ravel(), trace.phi, rtol=1e-12)
    np.testing.assert_allclose(in_order["epsilon"].ravel(), trace.epsilon, rtol=1e-12)
    whole = bthcheck.run(experiment, progress=False).isel(seed=0).squeeze()
    np.testing.assert_allclose(visits.loss.sum("point") / count, whole.train_loss, rtol=1e-12)
    np.testing.assert_allclose(visits.phi.sum("point"), whole.trajectory_length, rtol=1e-12)
    np.testing.assert_array_equal(visits.target, run.data().y_train)


def test_losses_follow_from_logits():
    visits = bthcheck.visits(POINTS, 0.5, 2)
    y, s = visits.target.values, visits.logit.values
    loss = np.logaddexp(0, -(2 * y - 1) * s)
    np.testing.assert_allclose(visits.loss, loss, rtol=1e-9)
    np.testing.assert_allclose(visits.epsilon, np.exp(loss), rtol=1e-9)  # 1/|1 − y − f|
    half = bthcheck.visits(POINTS.replace(loss_factor=0.5), 0.5, 2).isel(epoch=0)
    first = Run(POINTS, 0.5, 2).order()[0, 0]
    assert float(half.loss[first]) == pytest.approx(0.5 * float(visits.loss[0, first]))


def test_what_is_not_fused_is_followed_by_the_reference_engine():
    own = REGRESSION.replace(network=ActivatedMLP((10, 4, 1), "tanh"), epochs=1)
    assert bthcheck.visits(own, 0.5, 0).attrs["engine"] == "reference"
    adam = bthcheck.visits(REGRESSION.replace(optimizer="adam", epochs=1), 0.5, 0)
    assert adam.attrs["engine"] == "reference"
    assert np.isfinite(adam.phi).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"batch_size": 2}, "got batch_size=2"),
        ({"sampling": "replacement"}, "got sampling='replacement'"),
        ({"windows": 5, "batch_size": 4}, "got batch_size=4, windows=5"),
        ({"dropout": 0.5}, "got dropout=0.5"),
    ],
)
def test_what_has_no_visit_of_each_point_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        bthcheck.visits(REGRESSION.replace(**changes), 0.5, 0)
