"""The estimators of the authors' released code beside the paper's definitions, on the same runs.

Each row of docs/published-estimators.md: what the code computes, what the paper defines, and whether the conclusion of T1
survives. The step-by-step rows are measured on the 100 epochs that follow the training of the sinusoids.
"""

import numpy as np

from bthcheck import claim, plotting, published, regions
from bthcheck import evidence as tests
from bthcheck.experiments import REGIONS
from bthcheck.regions import Status
from bthcheck.training.runs import Run
from bthcheck.training.streams import stream

EPOCHS = 100
ROUNDING = 1e-5  # of the float32 in which runs are trained, over the sums compared here


def verdicts(values, along, counts):
    """T1's verdict with the first seeds only: "supported, τ 0.97"."""
    found = []
    for count in counts:
        some = values.isel(seed=slice(count))
        one = tests.trend(some, along)
        lost = int((~np.isfinite(some)).sum())
        found.append(f"{one.verdict}, {f'{lost} runs infinite' if lost else f'τ {one.effect:.2f}'}")
    return found


@claim(
    "AS-PUBLISHED",
    kind="exact",
    source="The authors' released code (not in the paper)",
    statement="What the authors' code computes is what the paper defines",
    scope="the same runs; sinusoids in the 100 epochs after training, corrupted CIFAR in all of it",
)
def test_published_estimators_are_the_definitions(sinusoids, corrupted_cifar, train, evidence):
    steps = published.next_steps(sinusoids, EPOCHS)
    defined = steps.phi.mean("step")
    lagged = published.lagged(steps).mean("step")
    total, reciprocal = (corrupted_cifar[name].sum("epoch") for name in ("trajectory_length", "published_length"))
    counts = [count for count in (1, 2, 3, 5, 10) if count <= steps.sizes["seed"]]
    averaged = {count: published.averaged_first(steps, count).mean("step") for count in counts}
    averages = {count: defined.isel(seed=slice(count)).mean("seed") for count in counts}
    most = counts[-1]
    after, before = (steps[name].mean("step") for name in ("lipschitz_after", "phi"))  # W_1 = I: λ before the step is φ
    distance, shifted = sinusoids.distance_to_init.isel(epoch=-1), published.distance_from_first_step(sinusoids)

    for quantity, estimate, definition in (
        ("φ with the reciprocal of the cross-entropy's ε", reciprocal, total),
        ("φ with ε of the step before", lagged, defined),
        (f"φ of biases averaged over {most} seeds before norms are taken", averaged[most], averages[most]),
        ("λ after the step", after, before),
        ("distance from the bias after the first step", shifted, distance),
    ):
        ratio = (estimate / definition).values
        finite = ratio[np.isfinite(ratio)]
        evidence.at_most(
            np.abs(finite - 1), 0, ROUNDING,
            quantity=f"{quantity}: {np.median(finite):.3g} times the definition (median), deviation from it",
        )  # fmt: skip

    seeds = [count for count in (3, 5, 8, 10) if count <= max(steps.sizes["seed"], total.sizes["seed"])]
    rows = [
        ["sinusoids: as defined", *verdicts(defined, "frequency", seeds)],
        ["sinusoids: ε of the step before", *verdicts(lagged, "frequency", seeds)],
        ["CIFAR: as defined", *verdicts(total, "corruption", seeds)],
        ["CIFAR: reciprocal ε", *verdicts(reciprocal, "corruption", seeds)],
    ]
    evidence.table(
        "The conclusion of T1, by estimator and number of seeds", ["φ", *(f"{count} seeds" for count in seeds)], rows
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
    found = plane_survey(train(REGIONS))
    empty, hopeless = (int(of.sum()) for of in (found.status != Status.OCCUPIED, found.status == Status.INFEASIBLE))
    evidence.note(
        f"Of the {empty} regions without a training point on the grid of one network, {hopeless}"
        " have no bound at all (X7): s(x) is no combination. A program whose status is not looked at draws one there."
    )
    evidence.figure(
        plotting.compared(
            {"as defined": defined, "ε of the step before": lagged, f"averaged over {most} seeds first": averaged[most]},
            "frequency", ylabel="mean φ after training",
        ),
        "Sinusoids: φ three ways. Lines are medians, points seeds.",
    )  # fmt: skip
    evidence.figure(
        plotting.compared({"as defined": total, "reciprocal ε": reciprocal}, "corruption", ylabel="total φ"),
        "Corrupted CIFAR: φ as defined, and with the reciprocal of the cross-entropy's slope.",
    )


def plane_survey(runs):
    """Regions of the first network of X7."""
    level, seed = runs.frequency.values[0].item(), runs.seed.values[0].item()
    plane = REGIONS.task.plane(stream(seed, "data"))
    return regions.plane_regions(runs.bthcheck.weights(level, seed), Run(REGIONS, level, seed).data().x_train, plane)
