"""φ of minibatches with the ε of one point."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from bthcheck import faces
from bthcheck.ambient import neutral
from bthcheck.training.runs import Run

if TYPE_CHECKING:
    import torch
else:
    torch = faces.Later("torch")


@neutral()
def first_of_batch(run: Run, steps: int) -> xr.Dataset:
    """Train for `steps` steps and return φ as defined, and with the ε of the batch's first point for the batch mean.

    Written in plain autograd, because no engine keeps what one point of a batch says.

    Returns
    -------
    xarray.Dataset
        Over "step": `phi`, ‖Δb_1‖/(α mean |∂ℓ/∂f|), and `first`, ‖Δb_1‖/(α |∂ℓ/∂f|) at the first point of the batch.

    Raises
    ------
    ValueError
        If the run is no regression, was to be trained with Dropout or by another optimizer than plain SGD, or has fewer steps.
    """
    setting, training, network, data = run.setting, run.setting.training, run.network(), run.data()
    if network.sigmoid or training.dropout or not training.plain:
        raise ValueError("minibatches are looked at in regression without dropout, by plain SGD")
    if steps > setting.steps:
        raise ValueError(f"steps must be at most the {setting.steps} steps of the experiment, got {steps}")
    x, y = data.x_train.to(run.dtype), data.y_train.to(run.dtype)
    batches = [
        (rate, batch)
        for rate, row in zip(training.learning_rates(), torch.from_numpy(run.order()).long(), strict=True)
        for batch in row.split(training.batch_size)
    ]
    phi, first = np.empty((2, steps))
    parameters = list(network.parameters())
    bias = next(number for number, parameter in enumerate(parameters) if parameter is network.first.bias)
    for step, (rate, batch) in enumerate(batches[:steps]):
        residual = network(x[batch]) - y[batch]
        gradients = torch.autograd.grad(training.loss_factor * residual.square().mean() / 2, parameters)
        slopes = training.loss_factor * residual.detach().abs().double()
        moved = float(gradients[bias].double().norm())
        phi[step], first[step] = moved / float(slopes.mean()), moved / float(slopes[0])
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(rate * gradient)
    return xr.Dataset({"phi": ("step", phi), "first": ("step", first)})
