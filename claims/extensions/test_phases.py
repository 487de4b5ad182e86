"""E11: where T1 holds, over width, training points, learning rate and epochs: what counts is whether the data are fit."""

from functools import partial

from bthcheck import claim
from bthcheck.evidence.phases import STATES, boundary, counted, fit_pairs, phase_diagram, phases
from bthcheck.figures.phases import phase_diagram as drawn


def said(cell):
    """Where the boundary is for one width, number of points and learning rate."""
    epochs, before, after = (cell[name].item() for name in ("epochs", "before", "after"))
    return f"never ({before:.2f})" if epochs != epochs else f"{epochs:.0f} ({before:.2f} | {after:.2f})"


@claim(
    "E11",
    family="extensions",
    source="Theorem 1 over the plane of settings (not in the paper)",
    statement="Where both frequencies are fit, the higher has the longer normalised trajectory in more settings than not",
    scope="324 cells: widths 6 to 48, 20 to 80 points, learning rates 0.004 to 0.016, 25 to 1200 epochs; f = 0.25 against 0.75",
)
def test_order_holds_where_the_data_are_fit(sinusoids, evidence, kept):
    cells = kept(phase_diagram, sinusoids.seed.values.tolist())
    found = phases(cells)
    difference = (cells.phi.isel(frequency=1, drop=True) - cells.phi.isel(frequency=0, drop=True)).where(fit_pairs(cells))
    axes = found.tau.dims
    evidence.exceeds(
        (difference > 0).mean(axes),
        (difference < 0).mean(axes),
        quantity="share of settings in which both are fit and the order holds, against those in which it is reversed",
    )
    counts = counted(found)
    unfit = found.tau.where(~found.fit)
    evidence.table("Cells by what their seeds say", ["state", "cells"], [[name, counts[name]] for name in STATES])
    edge = boundary(found)
    evidence.table(
        "Epochs from which on the data are fit, and mean τ before | after",
        ["points, learning rate", *(f"width {width}" for width in edge.width.values.tolist())],
        [
            [f"{points}, {rate:g}", *(said(edge.sel(width=width, points=points, learning_rate=rate)) for width in edge.width)]
            for points in edge.points.values.tolist()
            for rate in edge.learning_rate.values.tolist()
        ],
    )
    evidence.note(
        f"Of {found.tau.size} cells {int(found.fit.sum())} are fit by both runs of at least half of the seeds: there mean τ is"
        f" {float(found.tau.where(found.fit).mean()):.2f}, elsewhere {float(unfit.mean()):.2f}."
    )
    evidence.figure(
        partial(drawn, found),
        "Where T1 holds: a cell's colour is mean τ over seeds, and the line separates what is fit from what is not (dotted).",
    )
