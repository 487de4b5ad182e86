"""Phase diagrams against single runs, and what a cell says against intervals that are known."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import bthcheck
from bthcheck.evidence.phases import AXES, STATES, Grid, boundary, counted, fit_pairs, phase_diagram, phases
from bthcheck.experiments import SINUSOIDS
from bthcheck.figures.phases import phase_diagram as drawn
from bthcheck.networks import MLP
from bthcheck.tasks import Sinusoid

SMALL = Grid(widths=(3, 5), points=(6, 8), learning_rates=(0.002, 0.004), epochs=(4, 30))


def test_a_cell_is_what_its_runs_are_after_so_many_epochs():
    cells = phase_diagram((0, 3), SMALL)
    assert dict(cells.sizes) == {"width": 2, "points": 2, "learning_rate": 2, "epochs": 2, "frequency": 2, "seed": 2}
    experiment = SINUSOIDS.replace(
        task=Sinusoid(train=8, test=1),
        levels=(0.75,),
        network=MLP((10, 10, 3, 3, 1)),
        seeds=(3,),
        epochs=30,
        learning_rate=0.004,
    )
    one = bthcheck.run(experiment, progress=False).isel(seed=0, frequency=0)
    cell = cells.sel(width=3, points=8, learning_rate=0.004, frequency=0.75, seed=3)
    last, first = slice(27, 30), slice(3, 4)
    for epochs, window in ((30, last), (4, first)):
        found = cell.sel(epochs=epochs)
        assert float(found.phi) == pytest.approx(float(one.trajectory_length[window].mean()) / 8, rel=1e-6)
        assert float(found.loss) == pytest.approx(float(one.train_loss[window].mean()), rel=1e-6)


def cells_of(orders, loss):
    """Cells along one axis; each has seeds whose φ grows by `orders`, and a loss."""
    orders = np.array(orders, float)
    phi = np.stack([np.ones_like(orders), 1 + orders], axis=1)[:, None, None, None]
    losses = np.broadcast_to(np.array(loss, float)[:, None, None, None, None, None], phi.shape)
    dims = (*AXES, "frequency", "seed")
    return xr.Dataset({"phi": (dims, phi), "loss": (dims, losses.copy())})


def test_states_are_the_sides_of_0_that_intervals_lie_on():
    up, down = [1.0] * 10, [-1.0] * 10
    mixed, tied, nine = [1.0, -1.0] * 5, [0.0] * 10, [1.0] * 9 + [-1.0]
    cells = cells_of([up, down, mixed, tied, nine, up], [0.01, 0.01, 0.01, 0.01, 0.01, 0.02])
    cells.loss[0, 0, 0, 0, 1, 4] = 0.0126  # of one seed of ten
    found = phases(cells)
    names = [STATES[int(number)] for number in found.state.values.ravel()]
    assert names == ["supported", "reversed", "undecided", "undecided", "supported", "not fit"]
    assert counted(found) == {"not fit": 1, "reversed": 1, "undecided": 2, "supported": 2}
    np.testing.assert_allclose(found.tau.values.ravel(), [1, -1, 0, 0, 0.8, 1])
    for cell, count in ((0, 10), (1, 0), (2, 5), (4, 9)):
        interval = stats.binomtest(count, 10).proportion_ci(0.95, method="exact")
        expected = (2 * interval.low - 1, 2 * interval.high - 1)
        assert (found.low.values.ravel()[cell], found.high.values.ravel()[cell]) == pytest.approx(expected)
    assert (found.low.values.ravel()[3], found.high.values.ravel()[3]) == (-1, 1)
    np.testing.assert_array_equal(fit_pairs(cells)[0].values.ravel(), np.arange(10) != 4)
    cells.loss[0, 0, 0, 0, 0, :4] = np.inf  # with the one, five of ten: half is enough
    assert STATES[phases(cells).state.values.ravel()[0]] == "supported"
    cells.loss[0, 0, 0, 0, 1, 9] = 0.0126
    assert STATES[phases(cells).state.values.ravel()[0]] == "not fit"


def test_every_cell_is_drawn_and_the_boundary_where_fit_ends():
    found = phases(phase_diagram((0, 1), SMALL))
    found["fit"][:] = True
    found["fit"][0, 0, 0, 0] = False
    figure = drawn(found)
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 4
    assert sum(len(axes.lines) for axes in panels) == 1 + 2  # a dot, and a line to either neighbour
    assert {axes.get_title() for axes in panels} == {f"{m} points, α = {a:g}" for m in (6, 8) for a in (0.002, 0.004)}


@pytest.mark.parametrize("fields", [{"widths": ()}, {"epochs": ()}, {"frequencies": (0.5, 0.5)}])
def test_an_empty_grid_is_refused(fields):
    with pytest.raises(ValueError, match="at least one value on every axis and two frequencies"):
        Grid(**fields)


def test_the_boundary_is_where_cells_are_fit_from_there_on():
    fit = [[False, True, False, True, True], [True] * 5, [False] * 5, [True, True, True, True, False]]
    tau = [[0.0, 0.2, 0.4, 0.8, 1.0]] * 4
    coords = {"width": [1, 2, 3, 4], "points": [20], "learning_rate": [0.1], "epochs": [1, 2, 4, 8, 16]}
    shape = (4, 1, 1, 5)
    found = xr.Dataset({"fit": (AXES, np.reshape(fit, shape)), "tau": (AXES, np.reshape(tau, shape))}, coords)
    edge = boundary(found).squeeze()
    np.testing.assert_array_equal(edge.epochs, [8, 1, np.nan, np.nan])
    np.testing.assert_allclose(edge.before, [0.2, np.nan, 0.48, 0.48])
    np.testing.assert_allclose(edge.after, [0.9, 0.48, np.nan, np.nan])
