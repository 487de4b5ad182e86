"""E1: rivals of φ. Which number of a training ranks networks by how much worse they do on points they have not seen?"""

from functools import partial

import numpy as np
import xarray as xr

from bthcheck import claim, figures
from bthcheck.evidence import axis_taus, granulated_tau, on_axes, shuffled
from bthcheck.experiments.extensions import RIVAL_RATES, RIVALS, SHAPES
from bthcheck.theory import rivals
from bthcheck.training.streams import stream

COMMON = 0.025  # training loss that every run passes, a fifth of that of answering 0
FRESH = 2000  # points a gap is measured at
DRAWS = 8  # of noise, for sharpness
GAP = "loss_gap"
PHI = "phi_below"
SUMS = {"loss_sum": "TSE", "loss_last": "TSE of the last epoch", "loss_from_common": "TSE from the common loss on"}

LABELS = {
    "loss_sum": "TSE", "loss_last": "TSE, last epoch", "loss_from_common": "TSE from the common loss", "update_sum": "Σ‖Δb₁‖",
    "phi_sum": "Σφ", "phi_below": "mean φ below the common loss", "lipschitz_mean": "mean λ", "lipschitz_max": "largest λ",
    "log_spectral": "Σ log ‖W‖₂", "path_norm": "path norm", "weight_distance": "distance from initialisation",
    "sharpness": "PAC-Bayes sharpness", "initial_rate": "learning rate", "parameter_count": "number of parameters",
}  # fmt: skip


def measured(*runs):
    """All measures of runs at several learning rates, (width, depth, rate, seed), and the gap they are to rank."""
    start = rivals.common_epoch(*(one.train_loss for one in runs), threshold=COMMON)
    tables = [rivals.measures(one, COMMON, start=start, draws=DRAWS, fresh=FRESH) for one in runs]
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
    scope="sinusoid of f = 0.5, 18 MLPs of two widths, three depths and three rates, 12 seeds; mean φ below a loss of 0.025",
)
def test_phi_ranks_no_worse_than_its_rivals(train, evidence, kept):
    runs = [train(RIVALS.replace(name=f"rivals, α = {rate:g}", learning_rate=rate)) for rate in RIVAL_RATES]
    rates = xr.DataArray(list(RIVAL_RATES), dims="rate", name="rate")
    evidence.passed(xr.concat([one.train_loss for one in runs], rates), COMMON, of="at any rate")
    table = kept(measured, *runs)
    gap, phi = table[GAP], table[PHI]
    evidence.distinguishable(np.log(gap).assign_attrs(long_name="logarithm of the gap"))
    psi = ranked(table)
    evidence.exceeds(psi[PHI], xr.zeros_like(psi[PHI]), quantity="granulated Kendall Ψ of mean φ with the gap, against 0")
    evidence.no_worse(phi, {text: table[name] for name, text in SUMS.items()}, gap)
    named, rows = {}, []
    for name, values in psi.items():
        if name == "placebo":
            named["placebo: φ in a random order"] = values
            continue
        named[LABELS.get(name, name)] = values
        taus = axis_taus(table[name], gap).mean("seed")
        along = [f"{float(taus.sel(axis=axis)):.2f}" for axis in ("width", "depth", "rate")]
        rows.append([table[name].attrs["long_name"], f"{float(values.mean()):.2f}", *along])
    evidence.table(
        "Kendall's τ with the gap, mean over seeds: Ψ, and along each axis",
        ["measure", "Ψ", "width", "depth", "learning rate"],
        rows,
    )
    evidence.figure(
        partial(figures.strips, named, xlabel="granulated Kendall Ψ with the generalisation gap"),
        "How well every measure ranks the networks: a point a seed, a bar their mean; 0 is a coin.",
    )
