"""E1: rivals of φ. Which number of a training ranks networks by how much worse they do on points they have not seen?

"E1" is about multilayer perceptrons and a regression, whose gap is one of losses; the two on images are about convolutions and
labels of different qualities, which make the task itself harder, and their gap is one of errors.
"""

from functools import partial

import numpy as np
import xarray as xr

from bthcheck import claim, figures
from bthcheck.evidence import ENOUGH, axis_taus, granulated_tau, on_axes, robust_sign_error, shuffled, sign_errors
from bthcheck.experiments.extensions import RATES_ON_IMAGES, RIVAL_RATES, RIVALS, RIVALS_ON_IMAGES, SHAPES
from bthcheck.theory import rivals
from bthcheck.training.streams import stream

COMMON = 0.025  # training loss that every run passes, a fifth of that of answering 0
FRESH = 2000  # points a gap is measured at
DRAWS = 8  # of noise, for sharpness, which is left out on images
COMMON_ON_IMAGES = 0.05  # training loss that every CNN passes
GAP, GAP_ON_IMAGES = "loss_gap", "error_gap"
PHI = "phi_below"
WITHIN = ("channels", "rate")  # axes that leave the task as it is
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
    return on_axes(along("rate", RIVAL_RATES, tables), "network", SHAPES)


def measured_on_images(*runs):
    """The same of CNNs, (channels, rate, corruption, seed); runs are in the order of channels, and of rates within."""
    start = rivals.common_epoch(*(one.train_loss for one in runs), threshold=COMMON_ON_IMAGES)
    tables = [rivals.measures(one, COMMON_ON_IMAGES, start=start, draws=None) for one in runs]
    count = len(RATES_ON_IMAGES)
    rows = [along("rate", RATES_ON_IMAGES, tables[i : i + count]) for i in range(0, len(tables), count)]
    return along("channels", list(RIVALS_ON_IMAGES), rows)


def along(name, values, tables):
    """Tables of measures, one beside the other."""
    together = xr.concat(tables, xr.DataArray(list(values), dims=name, name=name), combine_attrs="drop_conflicts")
    return together.drop_vars("diverged", errors="ignore")


def ranked(table, gap, axes=None):
    """Name → Ψ a seed, of all measures, and of φ in a random order: a placebo."""
    names = [name for name in table.data_vars if name not in rivals.GAPS]
    placebo = shuffled(table[PHI], stream(0, "perturbation"))
    return {**{name: granulated_tau(table[name], gap, axes) for name in names}, "placebo": granulated_tau(placebo, gap, axes)}


def compared(evidence, table, gap, psi):
    """Put every measure's Ψ, and its τ along each axis, into a table and a figure."""
    names = [name for name in psi if name != "placebo"]
    taus = {name: axis_taus(table[name], gap).mean("seed") for name in names}
    axes = taus[names[0]].axis.values.tolist()
    evidence.table(
        "Kendall's τ with the gap, mean over seeds: Ψ, and along each axis",
        ["measure", "Ψ", *axes],
        [
            [table[name].attrs["long_name"], f"{float(psi[name].mean()):.2f}", *(f"{tau:.2f}" for tau in taus[name].values)]
            for name in names
        ],
    )
    named = {LABELS[name]: psi[name] for name in names} | {"placebo: φ in a random order": psi["placebo"]}
    evidence.figure(
        partial(figures.strips, named, xlabel="granulated Kendall Ψ with the generalisation gap"),
        "How well every measure ranks the networks: a point a seed, a bar their mean; 0 is a coin.",
    )


@claim(
    "E1",
    family="extensions",
    source="Section 1 against its rivals (not in the paper)",
    statement="φ ranks networks by their generalisation gap better than a coin, and no worse than sums of training losses do",
    scope="sinusoid of f = 0.5, 27 MLPs of three widths, depths and rates, 12 seeds; mean φ below a loss of 0.025",
)
def test_phi_ranks_no_worse_than_its_rivals(train, evidence, kept):
    runs = [train(RIVALS.replace(name=f"rivals, α = {rate:g}", learning_rate=rate)) for rate in RIVAL_RATES]
    rates = xr.DataArray(list(RIVAL_RATES), dims="rate", name="rate")
    evidence.passed(xr.concat([one.train_loss for one in runs], rates), COMMON, of="at any rate")
    table = kept(measured, *runs)
    gap, phi = table[GAP], table[PHI]
    evidence.distinguishable(np.log(gap).assign_attrs(long_name="logarithm of the gap"))
    psi = ranked(table, gap)
    evidence.exceeds(psi[PHI], xr.zeros_like(psi[PHI]), quantity="granulated Kendall Ψ of mean φ with the gap, against 0")
    evidence.no_worse(phi, {text: table[name] for name, text in SUMS.items()}, gap)
    compared(evidence, table, gap, psi)


def images(train, evidence, kept):
    """Train the CNNs; return their measures and the gap."""
    runs = [
        train(experiment.replace(name=f"{experiment.name}, α = {rate:g}", learning_rate=rate))
        for experiment in RIVALS_ON_IMAGES.values()
        for rate in RATES_ON_IMAGES
    ]
    losses = xr.concat(
        [one.train_loss for one in runs], xr.DataArray(np.arange(len(runs)), dims="experiment", name="experiment")
    )
    evidence.passed(losses, COMMON_ON_IMAGES, of="of any CNN")
    table = kept(measured_on_images, *runs)
    return table, table[GAP_ON_IMAGES]


@claim(
    "E1-images",
    family="extensions",
    source="Section 1 against its rivals (not in the paper)",
    statement="φ ranks CNNs and qualities of labels by their generalisation gap better than a coin, and no worse than TSE does",
    scope="MNIST 3/6, 100 images; 12 settings of channels, rate and corruption, ten seeds; mean φ below a loss of 0.05",
)
def test_phi_ranks_cnns_no_worse_than_the_sum_of_losses(train, evidence, kept):
    table, gap = images(train, evidence, kept)
    evidence.distinguishable(gap)
    psi = ranked(table, gap)
    evidence.exceeds(psi[PHI], xr.zeros_like(psi[PHI]), quantity="granulated Kendall Ψ of mean φ with the gap, against 0")
    evidence.no_worse(table[PHI], {SUMS["loss_sum"]: table["loss_sum"]}, gap)
    compared(evidence, table, gap, psi)
    points = next(iter(RIVALS_ON_IMAGES.values())).task.test
    finite = [name for name in psi if name != "placebo" and np.isfinite(table[name]).all()]  # not of a run that passes no loss
    if not finite or not np.isfinite(gap).all():
        return
    environments = {name: sign_errors(table[name], gap, points) for name in finite}
    some = environments[finite[0]]
    counted = some.effective.values >= ENOUGH
    pairs = [
        f"{axis} {low} to {high}" for axis, low, high in zip(some.axis.values, some.low.values, some.high.values, strict=True)
    ]
    evidence.table(
        f"Share of pairs in the wrong order (a coin has ½), in the worst environment and in each of {ENOUGH:g} effective pairs",
        ["measure", "worst", *(pair for pair, enough in zip(pairs, counted, strict=True) if enough)],
        [
            [LABELS[name], f"{robust_sign_error(one):.2f}", *(f"{error:.2f}" for error in one.sign_error.values[counted])]
            for name, one in environments.items()
        ],
    )


@claim(
    "E1-images-within",
    family="extensions",
    source="Section 1 against its rivals (not in the paper)",
    statement="φ ranks CNNs that learn labels of the same quality by their gap better than a coin, and no worse than TSE does",
    scope="the same runs, without the axis that makes the task harder: pairs differ in channels or learning rate",
)
def test_phi_ranks_cnns_on_the_same_labels_no_worse(train, evidence, kept):
    table, gap = images(train, evidence, kept)
    evidence.distinguishable(gap.mean("corruption").assign_attrs(gap.attrs))
    psi = ranked(table, gap, WITHIN)
    evidence.exceeds(psi[PHI], xr.zeros_like(psi[PHI]), quantity="granulated Kendall Ψ of mean φ within labels, against 0")
    evidence.no_worse(table[PHI], {SUMS["loss_sum"]: table["loss_sum"]}, gap, axes=WITHIN)
    names = [name for name in psi if name != "placebo"]
    evidence.table(
        "Granulated Ψ over channels and learning rate, mean over seeds",
        ["measure", "Ψ"],
        [[LABELS[name], f"{float(psi[name].mean()):.2f}"] for name in names],
    )
