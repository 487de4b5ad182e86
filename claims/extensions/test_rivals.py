"""E1: rivals of φ. Which number of a training ranks networks by how much worse they do on points they have not seen?"""

from functools import partial

import xarray as xr

from bthcheck import claim, figures
from bthcheck.evidence import axis_taus, granulated_tau, on_axes, robust_sign_error, shuffled, sign_errors
from bthcheck.experiments.extensions import RIVAL_RATES, RIVALS, SHAPES
from bthcheck.theory import rivals
from bthcheck.training.streams import stream

COMMON = 0.1  # training loss that every run passes
FRESH = 2000  # points a gap is measured at
GAP = "error_gap"
PHI = "phi_below"
SUMS = {"loss_sum": "TSE", "loss_last": "TSE of the last epoch", "loss_from_common": "TSE from the common loss on"}


def measured(*runs):
    """All measures of runs at several learning rates, (width, depth, rate, seed), and the gap they are to rank."""
    start = rivals.common_epoch(*(one.train_loss for one in runs), threshold=COMMON)
    tables = [rivals.measures(one, COMMON, start=start, fresh=FRESH) for one in runs]
    together = xr.concat(tables, xr.DataArray(list(RIVAL_RATES), dims="rate", name="rate"), combine_attrs="drop_conflicts")
    return on_axes(together.drop_vars("diverged", errors="ignore"), "network", SHAPES)


def ranked(table):
    """Name → Ψ a seed, of all measures, and of φ in a random order: a placebo."""
    names = [name for name in table.data_vars if name not in rivals.GAPS]
    placebo = shuffled(table[PHI], stream(0, "perturbation"))
    return {**{name: granulated_tau(table[name], table[GAP]) for name in names}, "placebo": granulated_tau(placebo, table[GAP])}


@claim(
    "E1",
    family="extensions",
    source="Section 1 against its rivals (not in the paper)",
    statement="φ ranks networks by their generalisation gap better than a coin, and no worse than sums of training losses do",
    scope="chessboard of f = 0.5, 27 MLPs of three widths, depths and learning rates, 12 seeds; mean φ below a loss of 0.1",
)
def test_phi_ranks_no_worse_than_its_rivals(train, evidence, kept):
    runs = [train(RIVALS.replace(name=f"rivals, α = {rate:g}", learning_rate=rate)) for rate in RIVAL_RATES]
    for rate, one in zip(RIVAL_RATES, runs, strict=True):
        evidence.passed(one.train_loss, COMMON, of=f"α = {rate:g}")
    table = kept(measured, *runs)
    gap, phi = table[GAP], table[PHI]
    evidence.distinguishable(gap)
    psi = ranked(table)
    evidence.exceeds(psi[PHI], xr.zeros_like(psi[PHI]), quantity="granulated Kendall Ψ of mean φ with the gap, against 0")
    evidence.no_worse(phi, {text: table[name] for name, text in SUMS.items()}, gap)
    rows = []
    for name, values in psi.items():
        if name == "placebo":
            rows.append(["mean φ in a random order (placebo)", f"{float(values.mean()):.2f}", "", "", "", ""])
            continue
        taus = axis_taus(table[name], gap).mean("seed")
        worst = robust_sign_error(sign_errors(table[name], gap, FRESH))
        along = [f"{float(taus.sel(axis=axis)):.2f}" for axis in ("width", "depth", "rate")]
        rows.append([table[name].attrs["long_name"], f"{float(values.mean()):.2f}", *along, f"{worst:.2f}"])
    evidence.table(
        "Kendall's τ with the gap, mean over seeds: Ψ, along each axis, and the sign error in the worst environment (a coin: ½)",
        ["measure", "Ψ", "width", "depth", "learning rate", "worst sign error"],
        rows,
    )
    evidence.figure(
        partial(figures.compared, {name: values.expand_dims(measure=[""]) for name, values in psi.items()}, "measure",
                ylabel="Ψ with the generalisation gap", log=False),
        "Granulated Kendall Ψ of every measure with the gap, a point a seed.",
    )  # fmt: skip
