"""The estimators of the authors' released code beside the paper's definitions, on the same runs.

Each row of docs/published-estimators.md: what the code computes, what the paper defines, and whether a conclusion survives.
The step-by-step rows are measured on the 100 epochs that follow the training of the sinusoids.
"""

import numpy as np

from bthcheck import claim, figures
from bthcheck import evidence as tests
from bthcheck.experiments import REGIONS
from bthcheck.geometry import regions
from bthcheck.geometry.regions import Status
from bthcheck.theory import published
from bthcheck.training.runs import Run
from bthcheck.training.streams import stream

EPOCHS = 100
ROUNDING = 1e-5  # of the float32 in which runs are trained, over the sums compared here
PROGRAMS = 30  # regions whose program is solved anew by another method


def verdict(values, along, count):
    """A trend's verdict with the first seeds or all, as "supported, τ 0.97"; a dash where there are not so many."""
    if count is not None and count > values.sizes["seed"]:
        return "–"
    some = values.isel(seed=slice(count))
    one, lost = tests.trend(some, along), int((~np.isfinite(some)).sum())
    return f"{one.verdict}, {f'{lost} runs infinite' if lost else f'τ {one.effect:.2f}'}"


def times(estimate, definition):
    """How many times the definition an estimate is, where it is finite: "4.89 (1.2 to 400)"."""
    ratio = np.asarray(estimate) / np.asarray(definition)
    finite = ratio[np.isfinite(ratio)]
    return f"{np.median(finite):.6g} ({finite.min():.6g} to {finite.max():.6g})"


@claim(
    "AS-PUBLISHED",
    kind="exact",
    source="The authors' released code (not in the paper)",
    statement="What the authors' code computes is what the paper defines",
    scope="the same runs; sinusoids in the 100 epochs after training, corrupted CIFAR in all of it, regions of one network",
)
def test_published_estimators_are_the_definitions(sinusoids, corrupted_cifar, train, evidence):
    steps = published.next_steps(sinusoids, EPOCHS)
    defined, lagged = steps.phi.mean("step"), published.lagged(steps).mean("step")
    total, reciprocal = (corrupted_cifar[name].sum("epoch") for name in ("trajectory_length", "published_length"))
    counts = [count for count in (1, 2, 3, 5, 10) if count <= steps.sizes["seed"]]
    averaged = {count: published.averaged_first(steps, count).mean("step") for count in counts}
    averages = {count: defined.isel(seed=slice(count)).mean("seed") for count in counts}
    most = counts[-1]
    after, before = (steps[name].mean("step") for name in ("lipschitz_after", "phi"))  # W_1 = I: λ before the step is φ
    twice, once = published.last_twice(steps), steps.phi.sum("step")
    shifted, distance = published.distance_from_first_step(sinusoids), sinusoids.distance_to_init.isel(epoch=-1)
    found = unchecked(train(REGIONS))
    solved, hopeless = (found.isel(region=np.flatnonzero(of)) for of in (found.counted > 0, np.isfinite(found.drawn)))

    ordered = (  # those that seeds can tell the order of: estimate, definition, levels and the claim they are for
        ("ε the reciprocal of |∂ℓ/∂f|", reciprocal, total, "corruption", "T1-CIFAR"),
        ("the same of a loss that is halved", published.halved(reciprocal), total, "corruption", "T1-CIFAR"),
        ("ε of the step before", lagged, defined, "frequency", "T1"),
        ("λ after the step", after, before, "frequency", "T2"),
        ("last increment twice", twice, once, "frequency", "T1"),
        ("distance from the bias after the first step", shifted, distance, "frequency", "T6"),
    )
    others = (
        (f"biases averaged over {most} seeds before norms are taken", averaged[most], averages[most]),
        ("non-zeros counted without a tolerance", solved.counted, solved.nonzeros),
    )
    for name, estimate, definition in [row[:3] for row in ordered] + list(others):
        evidence.equals(estimate, definition, ROUNDING, quantity=name)
    everything = max(steps.sizes["seed"], total.sizes["seed"])
    evidence.table(
        "Every estimator beside its definition on the same runs, and the conclusion drawn from either with all seeds",
        ["as published", "times the definition: median (range)", "claim", "as defined", "as published"],
        [
            [name, times(estimate, definition), of, *(verdict(values, along, None) for values in (definition, estimate))]
            for name, estimate, definition, along, of in ordered
        ]
        + [[name, times(estimate, definition), "", "", ""] for name, estimate, definition in others]
        + [["status of a program ignored", f"{hopeless.sizes['region']} of {empty(found)} have no bound", "X7", "", ""]],
    )
    seeds = [count for count in (3, 5, 8, 10) if count <= everything]
    evidence.table(
        "The conclusions by number of seeds",
        ["", *(f"{count} seeds" for count in seeds)],
        [
            [f"{of}, {name}", *(verdict(values, along, count) for count in seeds)]
            for name, values, along, of in (
                ("as defined", total, "corruption", "T1-CIFAR"),
                *((name, estimate, along, of) for name, estimate, _, along, of in ordered[:2]),
                ("as defined", defined, "frequency", "T1"),
                (ordered[2][0], lagged, "frequency", "T1"),
                ("as defined", distance, "frequency", "T6"),
                ("from the bias after the first step", shifted, "frequency", "T6"),
            )
        ],
    )
    evidence.table(
        "Mean φ by frequency, norms before or after the average over seeds; no seeds are left to test an order with",
        ["seeds averaged", *(f"f = {level:g}" for level in defined.frequency.values)],
        [
            [f"{count}: {name}", *(f"{value:.3g}" for value in values[count].values)]
            for count in counts
            for name, values in (("norms first", averages), ("biases first", averaged))
        ],
    )
    lost = int((~np.isfinite(lagged)).sum())
    ratio = (lagged / defined).where(np.isfinite(lagged))
    evidence.note(
        f"Dividing by the ε of another step multiplies the mean by {float(ratio.median()):.2g} (median of the runs), because a"
        f" small ε meets the update of an ordinary step; in {lost} of {lagged.size} runs some ε is 0 to rounding and the mean"
        " infinite, which makes a test of them inconclusive."
    )
    single = (steps.lipschitz_after / steps.phi).where(steps.phi > 0)
    evidence.note(
        f"λ after the step is {float((after / before).mean()) - 1:+.1%} of λ before it on average, and up to"
        f" {float(single.max()):.3g} times in a single step."
    )
    value, bound = hopeless.drawn / hopeless.lipschitz, found.bound / found.lipschitz
    known = bound.values[(found.status == Status.BOUNDED).values & (found.lipschitz > 0).values]
    evidence.note(
        f"In {hopeless.sizes['region']} of the {empty(found)} regions without a training point s(x) is no combination, and"
        " Theorem 2 gives no bound (X7). SciPy's solver then returns nothing. One that stops at the combinations nearest to"
        f" s(x), and whose status is not looked at, draws {float(value.median()):.1f} times λ there (median; a bound is"
        f" {np.median(known):.1f} times where there is one) and less than λ in {int((value < 1).sum())} of them."
    )
    evidence.note(
        f"An interior-point method ends with {float(solved.counted.median()):.0f} coefficients that are not 0 (median of"
        f" {solved.sizes['region']} regions), of which {float(solved.above.median()):.0f} exceed 1e-7; a vertex of the same"
        f" cost has {float(solved.nonzeros.median()):.0f}."
    )
    evidence.figure(
        figures.compared(
            {"as defined": defined, "ε of the step before": lagged, f"averaged over {most} seeds first": averaged[most]},
            "frequency", ylabel="mean φ after training",
        ),
        "Sinusoids: φ three ways. Lines are medians, points seeds.",
    )  # fmt: skip
    evidence.figure(
        figures.compared({"as defined": total, "reciprocal ε": reciprocal}, "corruption", ylabel="total φ"),
        "Corrupted CIFAR: φ as defined, and with the reciprocal of the cross-entropy's slope.",
    )
    evidence.figure(
        figures.looseness({"bound, where there is one": known, "drawn, where there is none": value.values}, xlabel="value / λ"),
        "Regions without a training point: Theorem 2, and what is drawn where a program's status is ignored.",
    )


def unchecked(runs):
    """Regions of the first network of X7, as by programs whose answers are not looked at; few of those that have a bound."""
    level, seed = runs.frequency.values[0].item(), runs.seed.values[0].item()
    plane, x_train = REGIONS.task.plane(stream(seed, "data")), Run(REGIONS, level, seed).data().x_train
    network = runs.bthcheck.weights(level, seed).double()
    grid = regions.plane_regions(network, x_train, plane)
    uv = np.stack(np.meshgrid(grid.u, grid.v, indexing="ij"), axis=-1).reshape(-1, 2)
    first = np.unique(grid.region_number.values.ravel(), return_index=True)[1]  # a grid point of every region
    return published.unchecked(network, x_train, plane.new_tensor(uv[first]) @ plane.T, PROGRAMS)


def empty(found):
    """How many regions hold no training point."""
    return int((found.status != Status.OCCUPIED).sum())
