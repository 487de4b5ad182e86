"""E2: do trajectories find mislabelled images? Scores of the first epochs against the labels that really flipped."""

from functools import partial

import numpy as np
import xarray as xr

import bthcheck
from bthcheck import claim, figures
from bthcheck.experiments import CORRUPTED_CIFAR_SMALL
from bthcheck.figures.images import ranked
from bthcheck.theory.gradients import sample_gradient_norms
from bthcheck.theory.mislabelled import SCORES, area, scores
from bthcheck.training.runs import Run
from bthcheck.training.streams import stream

CORRUPTION = (0.2, 0.4, 0.6)
WINDOWS = (5, 10, 20, 40, 60)
EARLY, LATE = 5, 40
SEEDS = range(10)


def flipped(level, seed):
    """Which training images have another label than in the data set, (point,)."""
    labels = CORRUPTED_CIFAR_SMALL.at(level).task.labels(stream(seed, "data"))
    return labels.used != labels.clean


def of_visits(seed):
    """Areas under the ROC curve (corruption, window, score), and mean Σφ of the images that flip, here and at c = 0, of a seed.

    The latter, (corruption, 2), compares the same image with the same seed: once with the wrong label, once with its own.
    """
    experiment = CORRUPTED_CIFAR_SMALL.replace(epochs=max(WINDOWS))
    clean = bthcheck.visits(experiment.replace(epochs=LATE), 0.0, seed)
    areas, pairs = [], []
    for level in CORRUPTION:
        wrong, visits = flipped(level, seed), bthcheck.visits(experiment, level, seed)
        areas.append([[area(score.values, wrong) for score in scores(visits, end).values()] for end in WINDOWS])
        pairs.append([float(one.phi[:LATE].sum("epoch")[wrong].mean()) for one in (visits, clean)])
    return np.array(areas), np.array(pairs)


def of_norms(seed):
    """Areas of ‖x‖, which no training has a part in, (corruption,)."""
    norms = [Run(CORRUPTED_CIFAR_SMALL, level, seed).data().x_train.flatten(1).norm(dim=1).numpy() for level in CORRUPTION]
    return np.array([area(norm, flipped(level, seed)) for norm, level in zip(norms, CORRUPTION, strict=True)])


def of_gradients(seed):
    """Areas of GraNd after `EARLY` epochs, (corruption,); it needs the weights, and no visit."""
    early = CORRUPTED_CIFAR_SMALL.replace(epochs=EARLY, lipschitz_every=EARLY, test_every=EARLY)
    areas = []
    for level in CORRUPTION:
        runs = bthcheck.run(early.replace(levels=(level,), seeds=(seed,)), progress=False)
        data = Run(early, level, seed).data()
        norms = sample_gradient_norms(runs.bthcheck.weights(level, seed), data.x_train, data.y_train)
        areas.append(area(norms, flipped(level, seed)))
    return np.array(areas)


def found_in(kept, seeds):
    """The areas and pairs of all seeds as labelled arrays, kept beside the runs."""
    areas, pairs = zip(*(kept(of_visits, seed) for seed in seeds), strict=True)
    coords = {"seed": list(seeds), "corruption": list(CORRUPTION)}
    return (
        xr.DataArray(np.array(areas), {**coords, "window": list(WINDOWS), "score": list(SCORES)}),
        xr.DataArray(np.array(pairs), {**coords, "label": ["wrong", "own"]}),
    )


def half(like):
    """What a coin has."""
    return xr.full_like(like, 0.5)


@claim(
    "E2-phi",
    family="extensions",
    source="Labels and trajectories (not in the paper)",
    statement="After 40 epochs Σφ of an image, which looks at no label, tells mislabelled images from others",
    scope="corrupted CIFAR at 400 images, c = 0.2, 0.4 and 0.6, ten seeds; area under the ROC curve against a coin",
)
def test_phi_finds_mislabelled_images(chosen_seeds, evidence, kept):
    seeds = chosen_seeds or SEEDS
    areas, _ = found_in(kept, seeds)
    late = areas.sel(window=LATE, score="phi", drop=True)
    for level in CORRUPTION:
        one = late.sel(corruption=level, drop=True)
        evidence.exceeds(one, half(one), quantity=f"area of Σφ after {LATE} epochs, c = {level}, against ½")
    mean = areas.mean("seed")
    sizes, gradients = (np.array([kept(of, seed) for seed in seeds]).mean(0) for of in (of_norms, of_gradients))
    rows = [
        [
            f"c = {level:g}, {end} epochs",
            *(f"{float(mean.sel(corruption=level, window=end, score=name)):.2f}" for name in SCORES),
            f"{gradient:.2f}" if end == EARLY else "",
            f"{size:.2f}",
        ]
        for level, size, gradient in zip(CORRUPTION, sizes, gradients, strict=True)
        for end in WINDOWS
    ]
    evidence.table(
        "Area under the ROC curve, mean over seeds",
        ["labels, window", *(text for _, text in SCORES.values()), f"GraNd after {EARLY} epochs", "‖x‖, a control"],
        rows,
    )
    evidence.figure(
        partial(figures.compared, {name: areas.sel(score=name, window=LATE, drop=True) for name in SCORES}, "corruption",
                ylabel=f"area after {LATE} epochs", log=False),
        "How well scores of the first 40 epochs find mislabelled images.",
    )  # fmt: skip
    task = CORRUPTED_CIFAR_SMALL.at(0.4).task
    score = kept(score_of, "phi", 0.4, seeds[0])
    evidence.figure(
        partial(ranked, task, seeds[0], score, flipped(0.4, seeds[0])),
        "The 24 images with the largest Σφ of one seed at c = 0.4; a red frame is around those whose label is wrong.",
    )


def score_of(name, level, seed):
    """One score of every image after `LATE` epochs, (point,)."""
    visits = bthcheck.visits(CORRUPTED_CIFAR_SMALL.replace(epochs=LATE), level, seed)
    return scores(visits, LATE)[name].values


@claim(
    "E2-counterfactual",
    family="extensions",
    source="Labels and trajectories (not in the paper)",
    statement="A wrong label makes the trajectory of the very same image longer",
    scope="mean Σφ over 40 epochs of the images that flip at c, against the same images, seed and order at c = 0",
)
def test_a_wrong_label_makes_the_trajectory_longer(chosen_seeds, evidence, kept):
    _, pairs = found_in(kept, (chosen_seeds or SEEDS)[::-1])  # so that two workers share the work
    for level in CORRUPTION:
        one = pairs.sel(corruption=level, drop=True)
        wrong, own = (one.sel(label=name, drop=True) for name in ("wrong", "own"))
        evidence.exceeds(
            wrong, own, quantity=f"mean Σφ of the images that flip at c = {level}, with a wrong label and with their own"
        )


@claim(
    "E2-loss",
    family="extensions",
    source="Labels and trajectories (not in the paper)",
    statement="The plain summed loss finds mislabelled images better than Σεφ does, early and late",
    scope="the same runs, after 5 and 40 epochs; area under the ROC curve, paired by seed",
)
def test_the_loss_finds_them_better(chosen_seeds, evidence, kept):
    areas, _ = found_in(kept, chosen_seeds or SEEDS)
    for end in (EARLY, LATE):
        for level in CORRUPTION:
            one = areas.sel(window=end, corruption=level, drop=True)
            loss, slopes = (one.sel(score=name, drop=True) for name in ("loss", "input_gradient"))
            evidence.exceeds(loss, slopes, quantity=f"area of Σℓ against Σεφ after {end} epochs, c = {level}")
