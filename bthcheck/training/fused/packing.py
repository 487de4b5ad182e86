"""A network as the kernels see it: all parameters in one vector, and work arrays of its sizes."""

import math

import numpy as np
import torch

from bthcheck.networks import CNN, MLP, Architecture, Network
from bthcheck.training.fused import convolutions
from bthcheck.training.fused.affine import Program
from bthcheck.training.fused.compiling import aligned_zeros, padded, rounded
from bthcheck.training.fused.convolutions import Convolutions
from bthcheck.training.fused.vectors import LANES
from bthcheck.training.runs import flat_parameters


def rows_of(points: np.ndarray) -> np.ndarray:
    """Return (m, n) points one after another as the kernels read them, padded with zeros to whole registers each."""
    inputs = points.shape[1]
    if inputs % LANES:
        points = np.pad(points, ((0, 0), (0, rounded(inputs, LANES) - inputs)))
    return points.ravel()


def _stored(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape that a parameter takes in the vector: an affine weight transposed, and padded."""
    if len(shape) != 2:
        return shape
    outputs, inputs = shape
    return rounded(inputs, 4), rounded(outputs, LANES)


class Packed:
    """A network's parameters in one vector, `views` of them in the order and shapes of ``Network.parameters()``."""

    def __init__(self, network: Network, architecture: Architecture, loss_factor: float = 1.0) -> None:
        self.network = network
        cnn = architecture if isinstance(architecture, CNN) else None
        dtype = flat_parameters(network).dtype
        shapes = [tuple(parameter.shape) for parameter in network.parameters()]
        stored = [_stored(shape) for shape in shapes]
        stored[-2] = (rounded(shapes[-2][1], LANES), 1)  # the last weight is one row
        if cnn is not None:
            stored[1], stored[3] = convolutions.kernel_shapes(cnn)
        sizes = [math.prod(shape) for shape in stored]
        starts = [int(start) for start in np.cumsum([0, *map(padded, sizes)])]
        theta = aligned_zeros(starts[-1], dtype)
        blocks = [theta[a : a + size].reshape(shape) for a, size, shape in zip(starts, sizes, stored, strict=False)]
        self.views = [
            block[: shape[-1], : shape[0]].T if len(shape) == 2 else block[: shape[0]]
            for block, shape in zip(blocks, shapes, strict=True)
        ]
        if cnn is not None:  # what pads a kernel is left out
            self.views[1], self.views[3] = convolutions.kernel_views(cnn, blocks[1], blocks[3])
        for view, parameter in zip(self.views, network.parameters(), strict=True):
            view[...] = parameter.detach().numpy().reshape(view.shape)

        identity = network.layers()[0][0] is None
        self.convolutions: Convolutions | None = None
        if isinstance(architecture, MLP):
            widths = list(architecture.widths)
            layers = starts[:-1] if not identity else [0, *starts[:-1]]
        else:
            self.convolutions = convolutions.describe(architecture, starts[1:5], dtype)
            widths = [architecture.inputs, shapes[5][1], architecture.hidden, 1]
            layers = [0, starts[0], *starts[5:-1]]
        hidden = np.cumsum([0, *map(padded, widths[1:-1])])
        columns = [rounded(width, LANES) for width in widths]
        rows = [rounded(width, 4) for width in widths[:-1]]
        lists = np.cumsum([0, *(count + 4 for count in rows)])
        active = np.concatenate([[*range(count), 0, 0, 0, 0] for count in rows])
        self.program = Program(
            identity=identity,
            sigmoid=network.sigmoid,
            factor=loss_factor,
            inputs=widths[0],
            first=len(network.layers()[0][1]),
            pitch=columns[0],
            columns=np.array(columns[1:], np.uintp),
            lists=lists[:-1].astype(np.uintp),
            widths=np.array(widths, np.uintp),
            weights=np.array(layers[::2], np.uintp),
            biases=np.array(layers[1::2], np.uintp),
            hidden=hidden.astype(np.uintp),
            theta=theta,
            activation=aligned_zeros(int(hidden[-1]), dtype),
            delta=aligned_zeros(int(hidden[-1]), dtype),
            active=active.astype(np.uintp),
            counts=np.array(rows, np.uintp),
        )

    def unpack(self) -> None:
        """Write the vector back into the network."""
        with torch.no_grad():
            for view, parameter in zip(self.views, self.network.parameters(), strict=True):
                parameter.copy_(torch.from_numpy(view.reshape(parameter.shape)))
