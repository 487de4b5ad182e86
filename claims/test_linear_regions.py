"""X7: Theorem 2, what the slopes at training points say of linear regions that hold none.

At fixed weights the bound is exact, because ∇f is linear in the Kronecker activations s(x). With φ of the last epoch in place
of the slopes it needs Assumption 1, which is measured along the epoch that follows a training, at several learning rates.
"""

from functools import partial

import numpy as np
import xarray as xr

from bthcheck import claim, figures
from bthcheck.evidence import measures
from bthcheck.evidence.search import Example, Search, assume, examples, falsify
from bthcheck.experiments import REGIONS
from bthcheck.geometry import regions
from bthcheck.geometry.regions import Status
from bthcheck.theory.assumption import epoch_after
from bthcheck.training.runs import Run
from bthcheck.training.streams import stream

FREQUENCY = 0.5
EPOCHS = (10, 100, 1000)
RATES = (1e-3, 1e-5, 1e-7)
SMALL = 0.01  # γ at most, for slopes to count as staying put


def plane_of(seed):
    """The embedding of (u, v) that a seed draws, (n, 2)."""
    return REGIONS.task.plane(stream(seed, "data"))


def survey(runs, seed):
    """Regions and bounds on the 100 × 100 grid of one trained network."""
    x_train = Run(REGIONS, FREQUENCY, seed).data().x_train
    return regions.plane_regions(runs.bthcheck.weights(FREQUENCY, seed), x_train, plane_of(seed))


def in_the_plane(seed):
    """The training points as (u, v), (m, 2)."""
    x_train = Run(REGIONS, FREQUENCY, seed).data().x_train
    return (x_train @ plane_of(seed) / REGIONS.task.scale**2).numpy()


def next_epochs(runs, seed, rates):
    """The epoch that follows the training of a seed, in the order it would have had, at each learning rate."""
    epochs = runs.sizes["epoch"]
    run = Run(REGIONS.replace(epochs=epochs + 1), FREQUENCY, seed)
    data, network = run.data(), runs.bthcheck.weights(FREQUENCY, seed)
    return [epoch_after(network, data.x_train, data.y_train, run.order()[epochs], rate) for rate in rates]


def changes(runs, seed, rate):
    """Which training points change their pattern in the epoch that follows the training of a seed, (m,)."""
    return next_epochs(runs, seed, [rate])[0].changed


def survey_by_phi(runs, seed):
    """Of every learning rate: which points change pattern, γ, and regions and bounds with σ₁φ_i for the slopes."""
    x_train = Run(REGIONS, FREQUENCY, seed).data().x_train
    return [
        (
            epoch.changed,
            epoch.gamma,
            regions.plane_regions(epoch.network, x_train, plane_of(seed), slopes=epoch.sigma * epoch.phi),
        )
        for epoch in next_epochs(runs, seed, RATES)
    ]


def search(max_examples) -> Search:
    """What a search finds among generated networks."""
    return falsify(examples(), above_combination, max_examples)


def above_combination(example):
    """λ by autograd and the bound of Theorem 2, at points whose pattern no training point has."""
    network, x = example
    generator = np.random.default_rng(0)
    x_train, cloud = (x.new_tensor(3 * generator.standard_normal((size, x.shape[1]))) for size in (20, 20))
    x = x.new_tensor(np.concatenate([x, cloud]))
    found = measures.above_combination(Example(network, x), x_train)
    assume(found.smaller.size > 0)
    return found


@claim(
    "X7",
    kind="exact",
    source="Theorem 2 at fixed weights, Fig. 6",
    statement="If s(x) = Σ k_i s(x_i) over training points then λ(x) ≤ ξ Σ|k_i| λ(x_i), for the cheapest such k",
    scope="regions without a training point whose s(x) is such a combination; MLP 10-10-32-1, f = 0.5, 200 points",
)
def test_slopes_between_training_points(train, evidence, kept, max_examples, max_networks):
    evidence.withstands(kept(search, max_examples), "λ ≤ ξ Σ|k_i| λ(x_i) in generated networks")
    ratios = {}
    for asked in EPOCHS:
        runs = train(REGIONS.replace(epochs=asked))
        epochs = runs.sizes["epoch"]
        surveys = [kept(survey, runs, seed) for seed in runs.seed.values[:max_networks]]
        bounded = [one.isel(region=np.flatnonzero(one.status == Status.BOUNDED)) for one in surveys]
        value, bound, tolerance = (
            np.concatenate([one[name].values for one in bounded]) for name in ("region_lipschitz", "bound", "tolerance")
        )
        norms = np.concatenate([np.full(one.sizes["region"], one.attrs["product_bound"]) for one in bounded])
        evidence.at_most(
            value, bound, tolerance, quantity=f"λ ≤ Σ|k_i| λ(x_i) on the grids of {len(surveys)} networks, {epochs} epochs"
        )
        steep = value > 0
        loose, product = bound[steep] / value[steep], norms[steep] / value[steep]
        ratios[f"Theorem 2, {epochs} epochs"] = loose
        count = {kind: sum(one.attrs[f"regions_{kind.name.lower()}"] for one in surveys) for kind in Status}
        empty = sum(count.values()) - count[Status.OCCUPIED]
        area = np.mean([float(one.points[one.status != Status.OCCUPIED].sum() / one.points.sum()) for one in surveys])
        evidence.note(
            f"After {epochs} epochs {empty / sum(count.values()):.0%} of the regions hold no training point ({area:.0%} of the"
            f" grid); for {count[Status.BOUNDED] / empty:.0%} of these s(x) is a combination, of"
            f" {max(int(one.nonzeros.max()) for one in surveys)} patterns at most; {count[Status.UNDECIDED]} are not decided."
            f" The bound is {np.median(loose):.1f} times λ (median; nine in ten below {np.quantile(loose, 0.9):.0f}),"
            f" the product of norms {np.median(product):.0f} times; Theorem 2 is the lower of the two in"
            f" {np.mean(bound < norms):.0%}."
        )
    ratios[f"product of norms, {epochs} epochs"] = product
    first = surveys[0]
    seed = int(runs.seed[0])
    uv = np.stack(np.meshgrid(first.u, first.v, indexing="ij"), axis=-1)
    target = xr.DataArray(REGIONS.task.target(uv), dims=("u", "v"))
    points = kept(in_the_plane, seed)
    evidence.figure(
        partial(figures.maps, first, target, points),
        f"Seed {seed} after {epochs} epochs: {first.sizes['region']} regions on the grid. Where a region holds a training point"
        " one pattern is combined and the bound is λ.",
    )
    evidence.figure(
        partial(figures.looseness, ratios, xlabel="bound / λ"),
        "How loose the bounds are in regions without a training point that have one.",
    )


@claim(
    "X7-phi",
    kind="exact",
    source="Theorem 2 with φ and Assumption 1",
    statement="After an epoch without a change of pattern at training points, σ₁φ_i may stand for λ(x_i), up to γ ≤ 1 %",
    scope="one more epoch after training, where no pattern changed; γ as measured at the training points",
)
def test_phi_for_slopes(train, evidence, kept, max_networks):
    runs = train(REGIONS)
    seeds = runs.seed.values[:max_networks]
    cases, stable_gamma = [], []
    changed, gamma = (
        xr.DataArray(
            np.empty((len(RATES), len(seeds))), {"learning_rate": list(RATES), "seed": seeds}, ("learning_rate", "seed")
        )
        for _ in range(2)
    )
    exceeded = {kind: dict.fromkeys(RATES, (0, 0)) for kind in (Status.OCCUPIED, Status.BOUNDED)}
    for j, seed in enumerate(seeds):
        for i, (rate, (moved, most, found)) in enumerate(zip(RATES, kept(survey_by_phi, runs, seed), strict=True)):
            changed[i, j], gamma[i, j] = moved.mean(), most
            value, bound, tolerance = (found[name].values for name in ("region_lipschitz", "bound", "tolerance"))
            known = np.isfinite(bound)
            if not moved.any():
                stable_gamma.append(most)
                cases.append(np.stack([value, (1 + most) * bound, tolerance])[:, known])
            for kind, counts in exceeded.items():
                of = found.status.values == kind
                counts[rate] = (
                    counts[rate][0] + int((value > bound + tolerance)[of].sum()),
                    counts[rate][1] + int(of.sum()),
                )
    evidence.at_most(
        *(np.concatenate(cases, axis=1) if cases else np.full((3, 1), np.nan)),
        quantity="λ ≤ (1 + γ) Σ|k_i| σ₁φ_i after epochs without a change of pattern",
    )
    evidence.note(f"There are {len(cases)} epochs without a change of pattern, of {changed.size}.")
    evidence.at_most(stable_gamma or np.nan, SMALL, 0, quantity="γ ≤ 1 % in these epochs")
    for rate in RATES:
        one = {"learning_rate": rate}
        evidence.note(
            f"At learning rate {rate:g}, {float(changed.sel(one).min()):.1%} to {float(changed.sel(one).max()):.1%} of the"
            f" training points change pattern within the epoch and γ is {float(gamma.sel(one).min()):.1g} to"
            f" {float(gamma.sel(one).max()):.1g}. Without γ, λ exceeds Σ|k_i| σ₁φ_i in"
            f" {exceeded[Status.BOUNDED][rate][0]} of {exceeded[Status.BOUNDED][rate][1]} regions without a training point"
            f" and in {exceeded[Status.OCCUPIED][rate][0]} of {exceeded[Status.OCCUPIED][rate][1]} with one."
        )
    evidence.note(
        "With γ as measured the inequality follows from X7 and Lemma 1 at any learning rate; what needs"
        " Assumption 1 is that γ is small. In a region with a training point nothing but γ covers the change of its slope"
        " since its visit."
    )
    evidence.figure(
        partial(figures.stability, changed, gamma),
        f"Assumption 1 along the epoch after {runs.sizes['epoch']}, seeds {', '.join(map(str, seeds))}, with their median.",
    )


@claim(
    "X7-assumption",
    kind="exact",
    source="Scope of Theorem 2 (not in the paper)",
    statement="Assumption 1 fails at the paper's learning rate: training points change pattern within an epoch",
    scope="the epoch that follows the training, learning rate 0.001",
)
def test_patterns_do_not_stay_put(train, evidence, kept, max_networks):
    runs = train(REGIONS)
    rate = REGIONS.training.learning_rate
    epochs = {seed: kept(changes, runs, seed, rate) for seed in runs.seed.values[:max_networks]}
    found = [f"seed {seed} with {moved.sum()} of {len(moved)} points" for seed, moved in epochs.items() if moved.any()]
    moving = Search(examples=len(epochs), counterexample=", ".join(found) or None)
    evidence.fails_outside(moving, "activation patterns at training points stay put")
