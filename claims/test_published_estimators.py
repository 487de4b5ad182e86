"""The estimators of the authors' released code beside the paper's definitions, on the same runs.

Each row of docs/explanation/published-estimators.md: what the code computes, what the paper defines, and whether a conclusion
survives.
The step-by-step rows of the sinusoids are measured on the 10 epochs that follow their training.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from bthcheck import claim, figures
from bthcheck import evidence as tests
from bthcheck.experiments import BATCH_SIZE, CORRUPTED_CIFAR_AS_RUN, MNIST_ARCHITECTURES_AS_RUN, REGIONS, SINUSOIDS
from bthcheck.geometry import regions
from bthcheck.geometry.regions import Status
from bthcheck.theory import published
from bthcheck.training.runs import Run
from bthcheck.training.streams import stream
from claims.test_architectures import shorter_trajectory
from claims.test_corrupted_labels import (
    bias_varies_more,
    longer_trajectory,
    slower_training,
    steeper_at_the_training_images,
    worse_generalisation,
)

EPOCHS = 10
STEPS = 4000  # of the CNN, counted in whole epochs from the start of its training
GRID = 200  # points of the region maps in each direction, as the authors' have
ROUNDING = 1e-5  # of the float32 in which runs are trained, over the sums compared here
PROGRAMS = 30  # regions whose program is solved anew by another method
ON_CIFAR = {
    "T1-CIFAR": longer_trajectory,
    "T2-CIFAR": steeper_at_the_training_images,
    "T3-CIFAR": slower_training,
    "T4-CIFAR": worse_generalisation,
    "T5-CIFAR": bias_varies_more,
}


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


def numbers(values):
    """One number a level, as "0.306"."""
    return [f"{value:.3g}" for value in values.values]


@claim(
    "AS-PUBLISHED",
    kind="exact",
    source="The authors' released code (not in the paper)",
    statement="What the authors' code computes is what the paper defines",
    scope="the same runs; sinusoids in the 10 epochs after training and the first 10, corrupted CIFAR and MNIST as printed and"
    " with half the loss, minibatches in their first 10 epochs, regions of one network",
)
def test_published_estimators_are_the_definitions(sinusoids, corrupted_cifar, mnist_architectures, train, evidence, kept):
    steps = kept(published.next_steps, sinusoids, EPOCHS)
    defined, lagged = steps.phi.mean("step"), published.lagged(steps).mean("step")
    everyone = steps.sizes["seed"]
    average = defined.mean("seed")
    averaged, combined = (of(steps, everyone).mean("step") for of in (published.averaged_first, published.combined))
    after, before = (steps[name].mean("step") for name in ("lipschitz_after", "phi"))  # W_1 = I: λ before the step is φ
    twice, once = published.last_twice(steps), steps.phi.sum("step")
    variances = published.variance_after(steps)
    variance = variances.mean("epoch")
    shifted, distance = kept(published.distance_from_first_step, sinusoids), sinusoids.distance_to_init.isel(epoch=-1)
    errors = published.absolute_error(beginning(train, SINUSOIDS, EPOCHS))
    running = published.running_mean(errors)

    as_run, mnist_as_run = train(CORRUPTED_CIFAR_AS_RUN), train(MNIST_ARCHITECTURES_AS_RUN)
    total, reciprocal = (corrupted_cifar[name].sum("epoch") for name in ("trajectory_length", "published_length"))
    total_as_run, reciprocal_as_run = (as_run[name].sum("epoch") for name in ("trajectory_length", "published_length"))
    cnn = beginning_of_the_cnn(train, corrupted_cifar)
    batches = kept(in_minibatches, sinusoids.seed.values[:3].tolist())
    first, mean = (np.array([one[name].mean() for one in batches]) for name in ("first", "phi"))
    windows = mnist_architectures.trajectory_length.sum("epoch")
    recorded = published.recorded(mnist_architectures).trajectory_length.sum("epoch")
    found, grid, points = kept(region_maps, train(REGIONS))
    solved = found.isel(region=np.flatnonzero(found.counted > 0))

    ordered = (  # those that seeds can tell the order of: estimate, definition, levels and the claim they are for
        ("ε the reciprocal of |∂ℓ/∂f|", reciprocal, total, "corruption", "T1-CIFAR"),
        ("the same, trained as run with half the loss", reciprocal_as_run, total_as_run, "corruption", "T1-CIFAR"),
        ("ε of the step before", lagged, defined, "frequency", "T1"),
        ("λ after the step", after, before, "frequency", "T2"),
        ("variance of the biases after the steps", variance.after, variance.before, "frequency", "T5"),
        ("last increment twice", twice, once, "frequency", "T1"),
        ("distance from the bias after the first step", shifted, distance, "frequency", "T6"),
        ("records of iterations 1–100 of each 200 (MNIST)", recorded, windows, "network", "T7"),
    )
    others = (
        (f"biases and ε averaged over {everyone} seeds, then norms", averaged, average),
        ("both: the update's average over the average ε of the step before (MLP)", combined, average),
        ("both: reciprocal ε of the step before, first steps left out (CNN)", cnn["jointly"], cnn["as defined"]),
        ("ε of a batch's first point", first, mean),
        (f"mean |f − y| of all epochs so far, after {errors.sizes['epoch']}", running[..., -1], errors[..., -1]),
        ("non-zeros counted without a tolerance", solved.counted, solved.nonzeros),
    )
    for name, estimate, definition in [row[:3] for row in ordered] + list(others):
        evidence.equals(estimate, definition, ROUNDING, quantity=name)
    hopeless = found.isel(region=np.flatnonzero(found.status == Status.INFEASIBLE))
    empty = int((found.status != Status.OCCUPIED).sum())
    evidence.table(
        "Estimate and definition on the same runs",
        ["what the code computes", "times the definition: median (range)", "for", "as defined", "as the code computes it"],
        [
            [name, times(estimate, definition), of, *(verdict(values, along, None) for values in (definition, estimate))]
            for name, estimate, definition, along, of in ordered
        ]
        + [[name, times(estimate, definition), "", "", ""] for name, estimate, definition in others]
        + [
            ["status of a program ignored", f"0 in {hopeless.sizes['region']} of {empty} regions without a point", "X7", "", ""]
        ],
    )
    both_settings(evidence, corrupted_cifar, as_run, mnist_architectures, mnist_as_run)
    evidence.table(
        f"The MLP's trajectory in epochs {sinusoids.sizes['epoch'] + 1} to {sinusoids.sizes['epoch'] + EPOCHS}: mean φ by"
        f" frequency, {everyone} seeds",
        ["", *(f"f = {level:g}" for level in average.frequency.values)],
        [
            ["as defined", *numbers(average)],
            ["ε of the step before alone", *numbers(lagged.mean("seed"))],
            ["averages over seeds first alone", *numbers(averaged)],
            ["both, as in the figure", *numbers(combined)],
        ],
    )
    evidence.table(
        f"The CNN's trajectory in its first {cnn['epochs']} epochs: Σφ an image by corruption, seed {cnn['seed']}",
        ["", *(f"c = {level:g}" for level in cnn["as defined"].corruption.values)],
        [[name, *numbers(cnn[name])] for name in ("as defined", "reciprocal ε alone", "jointly")],
    )
    by_seeds(evidence, ordered[:3], defined, distance, shifted)
    evidence.note(
        "Data drawn anew for every run leave no pairs: with runs of different seeds in each block T1 is"
        f" {verdict(published.independent_data(defined, 'frequency'), 'frequency', None)} in these epochs, and"
        f" {verdict(defined, 'frequency', None)} with the same data at every frequency."
        if everyone >= defined.sizes["frequency"]
        else "There are fewer seeds than frequencies, so that no block of different data can be made."
    )
    evidence.note(labels_of(corrupted_cifar))
    single = (steps.lipschitz_after / steps.phi).where(steps.phi > 0)
    evidence.note(
        f"λ after the step is {float((after / before).mean()) - 1:+.1%} of λ before it on average, and up to"
        f" {float(single.max()):.3g} times in a single step."
    )
    ratios = np.concatenate([one.phi / one["first"] for one in batches])  # which is ε of the first point over the mean
    evidence.note(
        f"The ε of a batch's first point is {np.quantile(ratios, 0.05):.2g} to {np.quantile(ratios, 0.95):.2g} times the batch"
        f" mean in nine steps of ten, and {ratios.min():.2g} to {ratios.max():.2g} times in all (batches of 16 and 32)."
    )
    more = (running / errors).isel(epoch=-1).median("seed") - 1
    evidence.note(
        f"The running mean of |f − y| after {errors.sizes['epoch']} epochs is"
        f" {', '.join(f'{value:.1%}' for value in more.values)} above the epoch's at frequencies"
        f" {', '.join(f'{level:g}' for level in more.frequency.values)} (median of the seeds)."
    )
    spread = (variances.after / variances.before).values - 1
    evidence.note(
        f"The variance over the biases after the steps is {spread.min():+.1%} to {spread.max():+.1%} off that over the biases"
        " before them in single epochs."
    )
    evidence.note(
        f"In {hopeless.sizes['region']} of the {empty} regions without a training point s(x) is no combination, and Theorem 2"
        " gives no bound (X7). Their programs came back with an objective of 0, which is drawn in the darkest colour: as if λ"
        f" were 0, where it is {float(hopeless.lipschitz.median()):.2g} (median) and above 0 in"
        f" {int((hopeless.lipschitz > 0).sum())} of them."
    )
    evidence.note(
        f"An interior-point method ends with {float(solved.counted.median()):.0f} coefficients that are not 0 (median of"
        f" {solved.sizes['region']} regions), of which {float(solved.above.median()):.0f} exceed 1e-7; a vertex of the same"
        f" cost has {float(solved.nonzeros.median()):.0f}."
    )
    maps_with_u_and_v_exchanged(evidence, grid, points)
    as_they_draw(evidence, sinusoids, steps, corrupted_cifar, as_run)
    evidence.figure(
        partial(
            figures.compared,
            {"as defined": defined, "ε of the step before": lagged, f"averaged over {everyone} seeds": averaged,
             "both": combined},
            "frequency", ylabel="mean φ after training",
        ),
        "Sinusoids: φ four ways. Lines are medians, points seeds.",
    )  # fmt: skip
    evidence.figure(
        partial(figures.compared, {"as defined": total, "reciprocal ε": reciprocal}, "corruption", ylabel="total φ"),
        "Corrupted CIFAR: φ as defined, and with the reciprocal of the cross-entropy's slope.",
    )


def both_settings(evidence, cifar, cifar_as_run, mnist, mnist_as_run):
    """Whether the claims on images come out alike as printed and as run; their own tests decide."""
    pairs = [(name, present, cifar, cifar_as_run) for name, present in ON_CIFAR.items()]
    rows = []
    for name, present, *settings in [*pairs, ("T7", shorter_trajectory, mnist, mnist_as_run)]:
        apart = [presented(evidence, present, runs) for runs in settings]
        verdicts = {one.verdict for one in apart}
        same = "no" if len(verdicts) > 1 else "neither concludes" if tests.Verdict.INCONCLUSIVE in verdicts else "yes"
        rows.append([name, *(conclusion(one) for one in apart), same])
    epochs = [f"{one.sizes['epoch'] // one.windows}" for one in (cifar, cifar_as_run, mnist, mnist_as_run)]
    evidence.table(
        "The conclusions on images as printed, with the full cross-entropy, and as run, with half of it at the same rate:"
        f" CIFAR in {epochs[0]} and {epochs[1]} epochs, MNIST in {epochs[2]} and {epochs[3]}",
        ["claim", "as printed", "as run", "the same"],
        rows,
    )
    totals = [one.trajectory_length.sum("epoch") for one in (mnist, mnist_as_run)]
    printed, run = (times(total.isel(network=0), total.isel(network=1)) for total in totals)
    evidence.note(f"The total φ of the CNN is {printed} times the MLP's as printed, and {run} times as run.")


def presented(evidence, present, runs):
    """What a claim's own tests find in other runs, apart from this claim's evidence."""
    apart = replace(
        evidence, claim=replace(evidence.claim, kind="trend"), findings=[], figures=[], notes=[], tables=[]
    )  # fmt: skip
    present(runs, apart)
    return apart


def conclusion(evidence):
    """A verdict with the effects of its tests, or with the condition that is not met."""
    effects = [f"{finding.effect:.2f}" for finding in evidence.findings if finding.effect is not None]
    unmet = [f.reason for f in evidence.findings if f.test == tests.CONDITION and f.verdict != tests.Verdict.SUPPORTED]
    return f"{evidence.verdict}, {unmet[0] if unmet else 'τ ' + ' and '.join(effects)}"


def beginning(train, experiment, epochs, seeds=None):
    """The first epochs of an experiment, step by step."""
    small = experiment.replace(
        name=f"{experiment.name}, steps", epochs=epochs, windows=experiment.task.train, lipschitz_every=epochs,
        seeds=experiment.seeds[:seeds],
    )  # fmt: skip
    return published.single_steps(train(small))


def beginning_of_the_cnn(train, cifar):
    """Σφ an image in the first epochs of one seed: as defined, with the reciprocal ε, and as in the figure; by corruption."""
    experiment = cifar.bthcheck.experiment
    steps = beginning(train, experiment, max(1, STEPS // experiment.task.train), seeds=1)
    images = steps.attrs["epoch_steps"]
    one = steps.isel(seed=0)
    return {
        "as defined": one.phi.sum("step") / images,
        "reciprocal ε alone": published.reciprocal(one).sum("step") / images,
        "jointly": published.combined_reciprocal(one).sum("step") / images,
        "epochs": steps.sizes["step"] // images,
        "seed": int(one.seed),
    }


def in_minibatches(seeds):
    """The steps of runs in batches of 16 and of 32."""
    runs = [
        Run(BATCH_SIZE.replace(batch_size=size, epochs=EPOCHS), level, seed)
        for size in (16, 32)
        for level in BATCH_SIZE.levels
        for seed in seeds
    ]
    return [published.first_of_batch(run, EPOCHS * run.setting.window_steps) for run in runs]


def labels_of(cifar):
    """What of the labels depends on what, in the code and here, for the corruptions of the experiment."""
    experiment = cifar.bthcheck.experiment
    low, high = (experiment.at(level).task for level in cifar.corruption.values[[1, -1]].tolist())
    seeds = cifar.seed.values.tolist()
    ours = [[task.labels(stream(seed, "data")) for seed in seeds[:2]] for task in (low, high)]
    theirs = [published.redrawn_labels(ours[0][0].clean, task.corruption, 0) for task in (low, high)]
    moved = [float((a.used != b.used)[a.redrawn].mean()) for a, b in (theirs, (ours[0][0], ours[1][0]))]
    shared = float((ours[1][0].redrawn & ours[1][1].redrawn).sum() / ours[1][0].redrawn.sum())
    return (
        f"Labels are redrawn where a uniform draw is at most c, with one seed for all repeats: at c = {high.corruption:g}"
        f" {int(theirs[1].redrawn.sum())} of {high.train} labels where {int(ours[1][0].redrawn.sum())} were asked for, the same"
        f" in every repeat (here two repeats share {shared:.0%} of them), and {moved[0]:.0%} of those redrawn at"
        f" c = {low.corruption:g} are others at c = {high.corruption:g} (here {moved[1]:.0%})."
    )


def by_seeds(evidence, estimates, defined, distance, shifted):
    """The verdicts with fewer seeds."""
    everything = max(values.sizes["seed"] for _, values, *_ in estimates)
    seeds = [count for count in (3, 5, 8, 10) if count <= everything]
    (_, _, total, along, of), (_, _, total_as_run, *_) = estimates[0], estimates[1]
    rows = [(f"{of}, as defined", total, along), (f"{of}, as run and as defined", total_as_run, along)]
    rows += [(f"{claimed}, {name}", values, levels) for name, values, _, levels, claimed in estimates]
    rows += [
        ("T1, as defined", defined, "frequency"),
        ("T6, as defined", distance, "frequency"),
        ("T6, from the bias after the first step", shifted, "frequency"),
    ]
    evidence.table(
        "The conclusions by number of seeds",
        ["", *(f"{count} seeds" for count in seeds)],
        [[name, *(verdict(values, levels, count) for count in seeds)] for name, values, levels in rows],
    )


def region_maps(runs):
    """Regions of the first network of X7, as by programs whose status is not looked at; its maps; (u, v) of its points."""
    level, seed = runs.frequency.values[0].item(), runs.seed.values[0].item()
    plane, x_train = REGIONS.task.plane(stream(seed, "data")), Run(REGIONS, level, seed).data().x_train
    network = runs.bthcheck.weights(level, seed).double()
    axis = np.linspace(-1, 1, GRID)
    grid = regions.plane_regions(network, x_train, plane, u=axis, v=axis)
    uv = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    first = np.unique(grid.region_number.values.ravel(), return_index=True)[1]  # a grid point of every region
    found = published.unchecked(network, x_train, plane.new_tensor(uv[first]) @ plane.T, PROGRAMS)
    grid["drawn"] = grid.lipschitz.copy(data=found.drawn.values[grid.region_number.values])
    return found, grid, (x_train @ plane / REGIONS.task.scale**2).numpy()


def maps_with_u_and_v_exchanged(evidence, grid, points):
    """What the maps show at the training points, drawn with u and v exchanged and as they are."""
    i, j = (np.abs(axis.values - column[:, None]).argmin(1) for axis, column in zip((grid.u, grid.v), points.T, strict=True))
    off = np.abs(published.exchanged(grid.output) - grid.output).values[i, j]
    steep = grid.lipschitz.values[i, j]
    drawn = published.exchanged(grid.lipschitz).values[i, j]
    some = steep > 0
    evidence.equals(drawn[some], steep[some], ROUNDING, quantity="maps with u and v exchanged: λ at the training points")
    elsewhere = (grid.region_number.values[i, j] != grid.region_number.values[j, i]).mean()
    evidence.note(
        f"Maps of f, λ and patterns are drawn with u and v exchanged, training points are not: at a training point the map of f"
        f" is {off.mean():.2f} off on average and {off.max():.2f} at most, and"
        f" {elsewhere:.0%} of the points lie on another region than their own. What is learned is symmetric in u and v, so that"
        " the map looks right."
    )
    evidence.figure(
        partial(
            figures.surfaces,
            {
                "f": grid.output,
                "f, u and v exchanged": published.exchanged(grid.output),
                "objective of each program": grid.drawn,
            },
            points,
        ),
        f"Regions on a grid of {GRID} × {GRID}, with the training points: the output, the output as it is drawn, and Theorem 2"
        " with 0 where a program has no solution.",
    )


def as_they_draw(evidence, sinusoids, steps, cifar, cifar_as_run):
    """The authors' kinds of figure, for who compares by eye."""
    phi = sinusoids.trajectory_length.cumsum("epoch")
    evidence.figure(
        partial(figures.means, phi, "frequency", ylabel="running total of φ"),
        "Running total of φ by epoch (compare Fig. 1b): mean ± standard deviation over seeds; dotted, our medians.",
    )
    evidence.figure(
        partial(figures.means, sinusoids.train_loss, "frequency", ylabel="training loss"),
        "Training loss on linear axes (compare Fig. 1a): mean ± standard deviation over seeds; dotted, our medians.",
    )
    for runs, name in ((cifar, "as printed"), (cifar_as_run, "as run, with half the loss")):
        evidence.figure(
            partial(
                figures.means, runs.trajectory_length.cumsum("epoch") / runs.steps_per_epoch, "corruption", ylabel="Σφ an image"
            ),
            f"Corrupted CIFAR {name}: running total of φ by epoch, mean ± standard deviation; dotted, our medians.",
        )
    seed = steps.seed.values[0]
    evidence.figure(
        partial(
            figures.smoothed, published.combined(steps, steps.sizes["seed"]), "frequency", ylabel="‖mean Δb₁‖ / (α mean ε)"
        ),
        "The MLP's trajectory after training as in the figure, lag and averages first: raw, and an exponential average of"
        " weight 0.95.",
    )
    evidence.figure(
        partial(figures.smoothed, steps.lipschitz_after.isel(seed=0), "frequency", ylabel="λ after the step"),
        f"λ of single steps after training, seed {seed}: raw, and an exponential average of weight 0.95.",
    )
