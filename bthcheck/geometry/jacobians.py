"""Local Lipschitz constants of any differentiable function of several outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bthcheck import faces
from bthcheck.ambient import neutral

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = faces.Later("torch")

MOST_OUTPUTS = 64
"""Outputs a point for which a Jacobian is taken: it costs a backward pass each."""
_CHUNK = 256


@neutral()
def local_constants(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """λ(x_i) = ‖∂f(x_i)/∂x_i‖₂, the spectral norm of the Jacobian at every point, shape (m,).

    For one output that is the norm of the gradient, the paper's λ (section 3). The constants hold for the Euclidean norm on
    both sides, if f(x_i) depends on x_i alone.

    Parameters
    ----------
    function : maps (m, …) to (m, …)
    x : (m, …) floating-point inputs, all dimensions but the first together being one point

    Raises
    ------
    ValueError
        If the function returns another number of points, more than `MOST_OUTPUTS` numbers for each, or what does not depend on
        x by differentiable operations.
    """
    return torch.cat([_constants(function, part) for part in x.detach().split(_CHUNK)])


def _constants(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = (x.clone() if x.is_inference() else x).requires_grad_()
    f = function(x)
    if f.ndim == 0 or len(f) != len(x):
        raise ValueError(f"f must be one row a point: for {len(x)} points its shape is {tuple(f.shape)}")
    f = f.reshape(len(x), -1)
    count = f.shape[1]
    if count > MOST_OUTPUTS:
        raise ValueError(
            f"f has {count} outputs a point, and Lipschitz constants are computed for at most {MOST_OUTPUTS};"
            " let output= pick those that you ask about"
        )
    unreached = ValueError("f does not depend on the points by differentiable operations, so that it has no slope")
    if not f.requires_grad:
        raise unreached
    rows = []
    for k in range(count):
        (row,) = torch.autograd.grad(f[:, k].sum(), x, retain_graph=k < count - 1, allow_unused=True)
        rows.append(row)
    if all(row is None for row in rows):
        raise unreached
    jacobian = torch.stack([torch.zeros_like(x) if row is None else row for row in rows], 1).flatten(2)
    return jacobian[:, 0].norm(dim=1) if count == 1 else torch.linalg.svdvals(jacobian)[:, 0]
