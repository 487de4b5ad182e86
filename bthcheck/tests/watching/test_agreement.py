"""What is watched of a training is what this package's own engines measure of it, and what per-sample autograd says."""

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck
from bthcheck.experiments import CORRUPTED_CIFAR_SMALL, SINUSOIDS
from bthcheck.networks import CNN, MLP
from bthcheck.tasks import CorruptedImages
from bthcheck.training.runs import Run
from bthcheck.watching import by_epoch

MLP_RUN = SINUSOIDS.replace(
    levels=(0.5,), seeds=(0,), epochs=2, network=MLP((10, 10, 16, 1)), dtype="float64", lipschitz_every=1
)
CNN_RUN = CORRUPTED_CIFAR_SMALL.replace(
    task=CorruptedImages(train=20, test=4), network=CNN(channels=(2, 3), hidden=4), levels=(0.4,), seeds=(0,), epochs=2,
    dtype="float64", lipschitz_every=1,
)  # fmt: skip


def points(experiment):
    run = Run(experiment, experiment.levels[0], 0)
    return tuple(tensor.to(run.dtype) for tensor in run.data()[:2])


def trained(experiment, **options):
    """Train a run in a plain loop that is watched."""
    run = Run(experiment, experiment.levels[0], 0)
    training, network = run.setting.training, run.network()
    x, y = points(experiment)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    with bthcheck.watch(network, optimizer, **options) as w:
        for epoch, (rate, order) in enumerate(zip(training.learning_rates(), run.order(), strict=True)):
            w.mark(epoch=epoch + 1)
            optimizer.param_groups[0]["lr"] = rate
            for first in range(0, len(order), training.batch_size):
                batch = torch.from_numpy(order[first : first + training.batch_size]).long()
                optimizer.zero_grad()
                f = network(x[batch])
                squared = ((f - y[batch]) ** 2).mean() / 2
                loss = nn.functional.binary_cross_entropy(f, y[batch]) if network.sigmoid else squared
                loss.backward()
                w.mark(loss=loss)
                optimizer.step()
    return w


@pytest.mark.parametrize("experiment", [MLP_RUN, CNN_RUN], ids=["MLP", "CNN"])
def test_every_step_is_that_of_the_trace(experiment):
    x, _ = points(experiment)
    w = trained(experiment, probe=x, probe_every=1, points=len(x))
    records = w.dataset()
    trace = bthcheck.trace(experiment, experiment.levels[0], 0, steps=records.sizes["step"], engine="reference")
    assert records.sizes["step"] == trace.sizes["step"] > 20
    np.testing.assert_allclose(records.phi, trace.phi, rtol=1e-12)
    np.testing.assert_allclose(records.gradient_norm_mean, trace.phi, rtol=1e-12)
    np.testing.assert_allclose(records.gradient_norm_max, trace.phi, rtol=1e-12)
    np.testing.assert_allclose(records["update"], np.linalg.norm(np.diff(trace.bias, axis=0), axis=1), rtol=1e-9)
    # The probe looks after a step, the trace before it.
    np.testing.assert_allclose(records.lipschitz[:-1], trace.point_lipschitz[1:], rtol=1e-12)
    np.testing.assert_allclose(records.lipschitz_mean[:-1], trace.point_lipschitz.mean("point")[1:], rtol=1e-12)
    np.testing.assert_allclose(records.lipschitz_max[:-1], trace.point_lipschitz.max("point")[1:], rtol=1e-12)
    assert records.attrs["lipschitz_mean_at_start"] == pytest.approx(float(trace.point_lipschitz[0].mean()), rel=1e-12)


@pytest.mark.parametrize("experiment", [MLP_RUN, CNN_RUN], ids=["MLP", "CNN"])
@pytest.mark.parametrize("batch", [1, 16])
def test_every_epoch_is_that_of_the_reference_engine(experiment, batch):
    experiment = experiment.replace(batch_size=batch)
    w = trained(experiment, probe=points(experiment)[0], probe_every="epoch")
    found = by_epoch(w.dataset())
    run = bthcheck.run(experiment, engine="reference", progress=False).isel(seed=0, drop=True).squeeze(drop=True)
    assert found.epoch.values.tolist() == [1, 2]
    for name in ("trajectory_length", "trajectory_max", "bias_variance", "distance_to_init", "update_sum", "lipschitz_mean"):
        np.testing.assert_allclose(found[name], run[name], rtol=1e-9, err_msg=name)
        assert found[name].attrs == run[name].attrs, name
    np.testing.assert_allclose(found.learning_rate, run.learning_rate, rtol=1e-12)
    if batch == 1:  # otherwise the last batch of an epoch is smaller
        np.testing.assert_allclose(found.train_loss, run.train_loss, rtol=1e-9)
