"""X9: Theorem 3, what steady training with 1/2-Dropout says of the whole function and of its errors on new points.

The theorem speaks of the steps after some τ during which activation patterns and slopes at the training points stay put
(Assumption 1). Here these are the steps of one more epoch after the training, at a learning rate of 1e-7, at which they do.
The same epoch at the rate of the training is shown beside it. Its o(1) terms are not known and left out.
"""

import math
from functools import partial

import numpy as np
import xarray as xr

from bthcheck import claim, figures
from bthcheck.evidence.search import Search
from bthcheck.experiments import DROPOUT, DROPOUT_DEPTH, DROPOUT_WIDTH, TWO_CLUSTERS
from bthcheck.geometry import lipschitz, regions
from bthcheck.geometry.covering import cover_box, cover_separate_balls
from bthcheck.theory import dropout
from bthcheck.training.runs import Run
from bthcheck.training.streams import kept_neurons, stream

FREQUENCY, DISTANCE = 0.5, 20.0
EPOCHS = (10, 100, 500)
STILL = 1e-7  # a learning rate at which patterns and slopes stay put
DELTA = 0.05
FRESH = 2_000
ACCURACY = math.sqrt(math.log(2 / 1e-6) / (2 * FRESH))  # of an error over fresh points, missed once in a million (Hoeffding)
ROUNDING = 1e-12  # of two norms in float64, relative


def next_epoch(experiment, runs, level, seed, rate):
    """The epoch after training, watched, and what Theorem 3 makes of it."""
    epochs = runs.sizes["epoch"]
    run = Run(experiment.replace(epochs=epochs + 1), level, seed)
    x, y, _, _ = run.data()
    steady = dropout.watch(runs.bthcheck.weights(level, seed), x, y, run.order()[epochs], rate, run.kept()[epochs])
    return steady, dropout.bound(steady, x), x, y


def slopes_on_the_plane(network, seed):
    """λ and activation patterns on the 100 × 100 grid over the plane of the data."""
    return regions.plane_grid(network, DROPOUT.task.plane(stream(seed, "data")))


def in_the_plane(seed):
    """The training points as (u, v), (m, 2)."""
    x_train = Run(DROPOUT, FREQUENCY, seed).data().x_train
    return (x_train @ DROPOUT.task.plane(stream(seed, "data")) / DROPOUT.task.scale**2).numpy()


def errors(network, x, y, task, seed):
    """The empirical error, and the expected error from fresh points."""
    return dropout.error(network, x, y), dropout.error(network, *task.fresh(stream(seed, "data"), stream(seed, "fresh"), FRESH))


def condition(runs, seed):
    """The grid, and where on it the condition of Theorem 3 holds, (points,)."""
    network, x = runs.bthcheck.weights(FREQUENCY, seed), Run(DROPOUT, FREQUENCY, seed).data().x_train
    grid = slopes_on_the_plane(network, seed)
    return grid._asdict(), dropout.covered(network, x, grid.patterns)[grid.region]


def as_theorem_3_says(runs, seed):
    """What Theorem 3 makes of the epoch after training, the largest λ on the grid, and that epoch at the training's rate."""
    steady, bound, x, _ = next_epoch(DROPOUT, runs, FREQUENCY, seed, STILL)
    grid = slopes_on_the_plane(steady.network, seed)
    held = dropout.covered(steady.network, x, grid.patterns)[grid.region]
    as_trained, printed, _, _ = next_epoch(DROPOUT, runs, FREQUENCY, seed, DROPOUT.training.learning_rate)
    steepest = (
        float(grid.lipschitz[held].max(initial=0.0)),
        float(grid.lipschitz.max()),
        lipschitz.product_bound(steady.network),
    )
    moving = (as_trained.gamma, float(as_trained.changed.mean()), printed.lipschitz)
    return watched(steady), bound._asdict(), steepest, moving


def watched(steady):
    """What was watched of the steps, without the network after them."""
    return {name: value for name, value in steady._asdict().items() if name != "network"}


def far_wider(k):
    """λ at the query of the counterexample of width k, λ_steady, whether the condition holds there, and the steps."""
    made = dropout.counterexample(k)
    visits = np.minimum(stream(0, "order").integers(0, 2 * k, 40), k)  # from point k on they differ in their labels alone
    x, y = made.x_train[: k + 1], made.y_train[: k + 1]
    steady = dropout.watch(made.network, x, y, visits, STILL, kept_neurons(0, 40, k + 1))
    bound = dropout.bound(steady, made.x_train)
    steep = float(lipschitz.local_lipschitz(steady.network, made.query))
    held = dropout.covered(steady.network, made.x_train, regions.activation_patterns(steady.network, made.query))
    return steep, bound.lipschitz, held, watched(steady)


def generalisation(runs, seed):
    """r(X) and the empirical and expected error after one more epoch, and the number of training points."""
    steady, bound, x, y = next_epoch(DROPOUT, runs, FREQUENCY, seed, STILL)
    return bound.radius, *errors(steady.network, x, y, DROPOUT.task, seed), len(x)


def of_clusters(runs):
    """In how many networks patterns change at the training's rate; and r(X), empirical and expected error, and the number of
    training points of each of which the theorem speaks."""
    task = TWO_CLUSTERS.task
    moving, found = 0, []
    for seed in runs.seed.values.tolist():
        as_trained, *_ = next_epoch(TWO_CLUSTERS, runs, DISTANCE, seed, TWO_CLUSTERS.training.learning_rate)
        moving += bool(as_trained.changed.any())
        steady, bound, x, y = next_epoch(TWO_CLUSTERS, runs, DISTANCE, seed, STILL)
        fresh, _ = task.fresh(stream(seed, "data"), stream(seed, "fresh"), FRESH)
        held = dropout.covered(steady.network, x, regions.activation_patterns(steady.network, fresh))
        if not steady.changed.any() and held.all():
            found.append((bound.radius, *errors(steady.network, x, y, task, seed), len(x)))
    return moving, found


def by_neurons(k):
    """How the factor grows by which λ exceeds λ_steady, if single neurons are counted."""
    return np.sqrt(k) / (2 * np.log(k + 1))


@claim(
    "X9-condition",
    kind="exact",
    source="Theorem 3, its condition",
    statement="After training with Dropout s(x) ≤ Σ s(x_i) at every point of the domain",
    scope="MLP 10-10-32-1, 200 training points of a chessboard, 100 × 100 grid over the domain",
)
def test_every_combination_of_neurons_is_on_at_some_training_point(train, evidence, kept, max_networks):
    for asked in EPOCHS:
        runs = train(DROPOUT.replace(epochs=asked))
        epochs, shares = runs.sizes["epoch"], []
        for seed in runs.seed.values[:max_networks].tolist():
            grid, held = kept(condition, runs, seed)
            shares.append(float(held.mean()))
            if seed == runs.seed.values[0]:
                first, grid_of_first, held_of_first = seed, regions.PlaneGrid(**grid), held
        evidence.at_most(
            1 - np.array(shares), 0, 0, quantity=f"share of the domain where it does not hold, after {epochs} epochs"
        )
        evidence.note(
            f"After {epochs} epochs it holds on {min(shares):.1%} to {max(shares):.1%} of the domain ({len(shares)} networks)."
        )
    points = kept(in_the_plane, first)
    evidence.figure(
        partial(figures.condition, grid_of_first, held_of_first, points),
        f"Seed {first} after {epochs} epochs: λ, and where some combination of neurons is on that is on at no training point.",
    )


@claim(
    "X9",
    kind="exact",
    source="Theorem 3",
    statement="In networks trained with Dropout λ(x) ≤ λ_steady = (φc/4) log Σ n_l",
    scope="points with s(x) ≤ Σ s(x_i), on a 100 × 100 grid; steps along which slopes and patterns at training points stay put",
)
def test_the_whole_function_is_no_steeper_than_steady_training_says(train, evidence, kept, max_networks):
    parts, results, ratios, moving, certain = [], [], {}, {}, {}
    for asked in EPOCHS:
        runs = train(DROPOUT.replace(epochs=asked))
        epochs = runs.sizes["epoch"]
        steepest, bounds, products, still = [], [], [], []
        for seed in runs.seed.values[:max_networks].tolist():
            steady, bound, (covered, anywhere, product), as_trained = kept(as_theorem_3_says, runs, seed)
            steepest.append(covered)
            bounds.append(bound["lipschitz"])
            still.append(steady["gamma"] if not steady["changed"].any() else np.inf)
            moving.setdefault(epochs, []).append(as_trained)
            products.append(product)
            certain.setdefault(epochs, []).append(0.25 / (steady["mu"] * (1 - steady["mu"])))
            found = [
                *(steady[name] for name in ("phi", "beta", "mu", "gamma")),
                *(bound[name] for name in ("p_min", "never", "c")),
            ]
            parts.append([f"{epochs}", f"{seed}", *(f"{value:.3g}" for value in found)])
            found = (covered, anywhere, bound["lipschitz"], product, bound["margin"], bound["radius"])
            results.append([f"{epochs}", f"{seed}", *(f"{value:.3g}" for value in found)])
        steepest, bounds = np.array(steepest), np.array(bounds)
        evidence.at_most(steepest, bounds, ROUNDING * steepest, quantity=f"largest λ on the grid ≤ λ_steady, {epochs} epochs")
        evidence.at_most(still, 0.01, 0, quantity=f"γ ≤ 1 % and no pattern changes in the epoch after {epochs}")
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios[f"λ_steady, {epochs} epochs"] = bounds / steepest
            ratios[f"product of norms, {epochs} epochs"] = products / steepest
    evidence.table(
        "What Theorem 3 is made of, in the epoch after training; neurons that are never on do not count in p_min",
        ["epochs", "seed", "φ", "β", "μ", "γ", "p_min", "never on", "c"],
        parts,
    )
    evidence.table(
        "What it says: the largest λ on the grid where s(x) ≤ Σ s(x_i), and anywhere, and the bounds; margin and r(X)",
        ["epochs", "seed", "largest λ, covered", "anywhere", "λ_steady", "Π‖W_l‖/4", "margin", "r(X)"],
        results,
    )
    evidence.figure(
        partial(figures.looseness, ratios, xlabel="bound / largest λ on the grid"),
        "How loose λ_steady is, a curve over networks.",
    )
    for epochs, shares in certain.items():
        evidence.note(
            f"After {epochs} epochs 1/(4μ(1 − μ)) is {np.median(shares):.2g} (median): by so much the most certain answer at a"
            " visited point raises λ_steady."
        )
    for epochs, found in moving.items():
        gamma, changed, bounds = map(np.array, zip(*found, strict=True))
        evidence.note(
            f"Assumption 1 lets no pattern change. At the learning rate of the training, {DROPOUT.training.learning_rate:g},"
            f" {changed.min():.0%} to {changed.max():.0%} of the training points change theirs in the epoch after {epochs},"
            f" γ is {gamma.min():.2g} to {gamma.max():.2g} and λ_steady {bounds.min():.2g} to {bounds.max():.2g}."
        )


@claim(
    "X9-counterexample",
    kind="exact",
    source="Theorem 3 as printed",
    statement="From two hidden layers on λ can exceed λ_steady by any factor, although all conditions of Theorem 3 hold",
    scope="p_min is of single neurons, and combinations of neurons must be covered; W_1 = I, k inputs, k = 400 and 2500",
)
def test_the_constant_counts_neurons_where_it_must_count_combinations(evidence, kept):
    ratios = {}
    for k in (10, 30, 100, 400, 2500):
        steep, bound, held, steady = kept(far_wider, k)
        ratios[k] = steep / bound
        if k >= 400:
            example = f"k = {k}: λ = {steep:.3g} > {bound:.3g} = λ_steady, {ratios[k]:.2f} times"
            found = Search(examples=1, counterexample=example if steep > bound else None)
            evidence.fails_outside(found, f"λ ≤ λ_steady in a network with two hidden layers, k = {k}")
            evidence.at_most(~held, 0, 0, quantity=f"s(x) ≤ Σ s(x_i) fails at the query, k = {k}")
            still = steady["gamma"] if not steady["changed"].any() else np.inf
            evidence.at_most(still, 1e-4, 0, quantity=f"γ, with no pattern changed, k = {k}")
    evidence.at_most(ratios[400], ratios[2500], 0, quantity="λ / λ_steady grows from k = 400 to 2500")
    evidence.figure(
        partial(
            figures.growth, {"measured": ratios}, {"√k / (2 log(k + 1))": by_neurons}, xlabel="k", ylabel="λ / λ_steady",
            level=1.0,
        ),
        "How far λ exceeds λ_steady, against the width k of the first layer; above the dotted line Theorem 3 is violated.",
    )  # fmt: skip


@claim(
    "X9-generalisation",
    kind="exact",
    source="Theorem 3",
    statement="|empirical − expected error| ≤ sqrt((4 log 2 · N(X; ℓ₂, r) + 2 log(1/δ)) / N)",
    scope=f"δ = {DELTA}; N(X; ℓ₂, r) from above, for a square of side 20; expected error from {FRESH} fresh points",
)
def test_errors_on_new_points_are_as_far_off_as_allowed(train, evidence, kept, max_networks):
    rows, gaps, bounds, lowest = [], [], [], []
    for asked in EPOCHS:
        runs = train(DROPOUT.replace(epochs=asked))
        for seed in runs.seed.values[:max_networks].tolist():
            radius, empirical, expected, points = kept(generalisation, runs, seed)
            balls = cover_box((2 * DROPOUT.task.scale,) * 2, radius)
            gaps.append(abs(empirical - expected))
            bounds.append(dropout.error_bound(balls.upper, points, DELTA))
            lower = dropout.error_bound(balls.lower, points, DELTA)
            lowest.append(lower)
            rows.append([f"{runs.sizes['epoch']}", f"{seed}", f"{empirical:.3f}", f"{expected:.3f}", f"{radius:.2g}",
                         f"{balls.lower:.2g}", f"{balls.upper:.2g}", f"{lower:.2g}", f"{bounds[-1]:.2g}"])  # fmt: skip
    evidence.at_most(
        gaps, np.array(bounds) + ACCURACY, 0, trivial=1 + ACCURACY,
        quantity=f"|empirical − expected error|, where the latter is known to {ACCURACY:.2f}",
    )  # fmt: skip
    evidence.table(
        "Errors and what Theorem 3 allows",
        ["epochs", "seed", "empirical", "expected", "r(X)", "N(X; ℓ₂, r) from", "to", "bound from", "to"],
        rows,
    )
    evidence.note(
        "Two errors never differ by more than 1, so a bound of 1 or more says nothing. With the smallest covering number that"
        f" the area of the square allows the bound would still be at least {min(lowest):.2g}. X9-condition says where the"
        " condition of the theorem fails."
    )


@claim(
    "X9-clusters",
    kind="probabilistic",
    source="Theorem 3",
    statement="For two tight clusters far apart the bound on the generalisation error says something, and holds",
    scope=f"discs of radius 0.001 at distance 20, 100 training points, δ = {DELTA}; networks in which Assumption 1 holds,"
    " and the condition at all fresh points; steps at a learning rate of 1e-7",
)
def test_the_bound_says_something_of_two_clusters(train, evidence, kept):
    runs, task = train(TWO_CLUSTERS), TWO_CLUSTERS.task
    gaps, bounds, radii = [], [], []
    moving, found = kept(of_clusters, runs)
    for radius, empirical, expected, points in found:
        balls = cover_separate_balls(2, task.radius, task.distance, task.inputs, radius)
        gaps.append(abs(empirical - expected))
        bounds.append(dropout.error_bound(balls.upper, points, DELTA))
        radii.append(radius)
    gaps, bounds, radii = map(np.array, (gaps, bounds, radii))
    evidence.at_most(bounds, np.nextafter(1.0, 0.0), 0, quantity="the bound is below 1")
    evidence.rarely(int((gaps > bounds + ACCURACY).sum()), len(gaps), DELTA, quantity="generalisation errors beyond the bound")
    evidence.figure(
        partial(figures.looseness, {"r(X)": radii / task.radius}, xlabel="r(X) / radius of a cluster"),
        "Where r(X) is at least the radius of a cluster, two balls cover the data, and 100 points are enough.",
    )
    evidence.note(
        f"The theorem speaks of {len(bounds)} of {runs.sizes['seed']} networks. The bound is {bounds.min():.2f} to"
        f" {bounds.max():.2f}, the largest difference of empirical and expected error {gaps.max():.4f}; r(X) is"
        f" {radii.min():.2g} to {radii.max():.2g}. At the learning rate of the training some pattern at a training point"
        f" changes within the epoch in {moving} of all, and Assumption 1 fails."
    )


@claim(
    "X9-growth",
    source="Discussion of Theorem 3",
    statement="The product of norms grows faster with the depth than the largest λ, and than λ_steady",
    scope="2 to 6 hidden layers, of 10 and 32 neurons, after 1000 epochs; 100 × 100 grid; steps at a learning rate of 1e-7",
)
def test_growth_with_depth(train, evidence, kept):
    depth, width = (kept(growth, train(experiment), experiment) for experiment in (DROPOUT_DEPTH, DROPOUT_WIDTH))
    evidence.increases(depth.product / depth.steepest, "network", quantity="product of norms / largest λ, by hidden layers")
    evidence.increases(depth.product / depth.steady, "network", quantity="product of norms / λ_steady, by hidden layers")
    for one, name in ((depth, "hidden layers"), (width, "neurons in the second hidden layer")):
        medians = {
            key: {int(level): float(one[key].sel(network=level).median()) for level in one.network.values} for key in one
        }
        curves = {"product of norms": medians["product"], "largest λ": medians["steepest"]}
        evidence.figure(
            partial(
                figures.growth,
                {"λ_steady": medians["steady"], **curves},
                {},
                xlabel=name,
                ylabel="median over seeds",
                linear=one is depth,
            ),
            f"Both bounds and the largest λ on the grid, by {name}.",
        )
        curves = {"log Σ n_l, as in λ_steady": medians["logarithm"], **curves}
        relative = {
            label: {size: value / curve[min(curve)] for size, value in curve.items()} for label, curve in curves.items()
        }
        evidence.figure(
            partial(figures.growth, relative, {}, xlabel=name, ylabel="relative to the smallest", linear=one is depth),
            f"How much they grow with the number of {name}, the first of λ_steady's factors alone.",
        )
    share = [float((one.steady / one.product > 1).mean()) for one in (depth, width)]
    factor = depth.steady / depth.logarithm  # φ c / 4
    spread = (factor.max("seed") / factor.min("seed")).values
    evidence.note(
        f"What is poly-logarithmic in λ_steady is log Σ n_l. Its other factor, φc/4, differs by {spread.min():.2g} to"
        f" {spread.max():.2g} times between the seeds of one depth. λ_steady is the larger of the two bounds in {share[0]:.0%}"
        f" of the networks by depth and in {share[1]:.0%} by width."
    )


def growth(runs, experiment):
    """λ_steady, the product of norms and the largest λ on the grid, for every network."""
    names = ("steady", "product", "steepest", "logarithm")
    table = {name: xr.zeros_like(runs.distance_to_init.isel(epoch=-1, drop=True)) for name in names}
    for level in runs.network.values.tolist():
        for seed in runs.seed.values.tolist():
            found = [np.inf] * len(names)
            if not runs.diverged.sel(network=level, seed=seed):
                steady, bound, _, _ = next_epoch(experiment, runs, level, seed, STILL)
                steepest = slopes_on_the_plane(steady.network, seed).lipschitz.max()
                found = [bound.lipschitz, lipschitz.product_bound(steady.network), steepest, math.log(bound.neurons)]
            for name, value in zip(names, found, strict=True):
                table[name].loc[{"network": level, "seed": seed}] = value
    return xr.Dataset(table)
