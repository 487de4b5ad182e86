"""T1–T5 on CIFAR-10, airplane against dog, a fraction c of the training labels redrawn (section 6 and Figures 1d–f, 2c).

Levels are c = 0, 0.2, 0.4 and 0.6; blocks are seeds. The ordering that is claimed is one of networks that have fit their
labels. Every claim rests on the condition that all runs have: throughout the last ten epochs where that is its window, and
otherwise after the last epoch.
"""

from functools import partial

import numpy as np

from bthcheck import claim, figures
from bthcheck import evidence as tests
from bthcheck.theory.trajectory import epochs_until

CORRUPTION = "corruption"
LAST = 10
LAST_EPOCHS = slice(-LAST, None)


def fit(cifar):
    """A tenth of the loss of answering 1/2, which is log 2, as a tenth of that of answering 0 is for the sinusoids."""
    return 0.1 * float(np.log(2)) * cifar.bthcheck.experiment.training.loss_factor


def mean_phi(cifar):
    """Mean φ of every epoch."""
    return cifar.trajectory_length / cifar.steps_per_epoch


def total_phi(cifar, length="trajectory_length"):
    """Total φ an image: Σ_t φ_t / m."""
    return cifar[length].sum("epoch") / cifar.steps_per_epoch


def fit_window(cifar):
    """From the first epoch after which some run is fit to the first after which all are."""
    epochs = epochs_until(cifar.train_loss, fit(cifar))
    return float(epochs.min()), float(epochs.max())


def longer_trajectory(cifar, evidence):
    """The tests of T1-CIFAR."""
    evidence.fitted(cifar.train_loss, fit(cifar), epochs=LAST)
    late = mean_phi(cifar).isel(epoch=LAST_EPOCHS).mean("epoch")
    evidence.increases(total_phi(cifar), CORRUPTION, quantity="total φ an image")
    evidence.increases(late, CORRUPTION, quantity="mean φ over the last 10 epochs")


@claim(
    "T1-CIFAR",
    source="Theorem 1, Fig. 1e",
    statement="Fitting more corrupted labels makes a longer normalised bias trajectory, in all and near convergence",
    scope="total φ of a training that ends with every level fit, and mean φ over its last 10 epochs, fit throughout;"
    " batch size 1",
)
def test_longer_trajectory(corrupted_cifar, evidence):
    longer_trajectory(corrupted_cifar, evidence)
    phi, total = mean_phi(corrupted_cifar), total_phi(corrupted_cifar)
    tenth = phi.isel(epoch=phi.sizes["epoch"] // 10 - 1)
    early = tests.mean_tau(tenth.transpose("seed", CORRUPTION).values).mean()
    first, last = fit_window(corrupted_cifar)
    evidence.note(
        f"The first run is fit after epoch {first:.0f} and the last after epoch {last:.0f};"
        f" the last {LAST} epochs begin with {phi.sizes['epoch'] - LAST + 1}."
    )
    evidence.note(
        f"The ordering belongs to networks that have fit their labels: at 10 % of the epochs, before any has, the mean τ of φ"
        f" with the corruption is {early:.2f}. In the figure the curves cross while the levels are being fit."
    )
    evidence.figure(
        partial(figures.curves, phi, CORRUPTION, ylabel="mean φ of the epoch", windows={"being fit": (first, last)}),
        "Trajectory an epoch (Fig. 1e). Median over seeds, band from the smallest to the largest.",
    )
    evidence.figure(
        partial(figures.violins, total, CORRUPTION, ylabel="total φ an image"), "Total trajectory: every seed is a line."
    )
    as_published(total, total_phi(corrupted_cifar, "published_length"), evidence)
    task = corrupted_cifar.bthcheck.task(corrupted_cifar[CORRUPTION].values[-1].item())
    seed = corrupted_cifar.seed.values[0].item()
    evidence.figure(
        partial(figures.contact_sheet, task, seed),
        f"The first training images with their labels at corruption {task.corruption:g}, seed {seed}.",
    )


def as_published(total, published, evidence):
    """Show the trajectory normalised as in the authors' code: ε = |1 − y − f|, the reciprocal of |∂ℓ/∂f|."""
    finding = tests.trend(published, CORRUPTION, quantity="as published")
    defined = tests.trend(total, CORRUPTION, quantity="as defined")
    medians = [" / ".join(f"{value:.3g}" for value in values.median("seed").values) for values in (total, published)]
    changes = "does not change" if finding.verdict == defined.verdict else f"changes to {finding.verdict}"
    evidence.note(
        f"The authors' code divides by |1 − y − f|, the reciprocal of ε = |∂ℓ/∂f|. So normalised, the medians of"
        f" the total are {medians[1]} instead of {medians[0]}, and the mean τ with the corruption is {finding.effect or 0:.2f}"
        f" instead of {defined.effect or 0:.2f}: at this scale the conclusion {changes}."
    )
    evidence.figure(
        partial(figures.violins, published, CORRUPTION, ylabel="total ‖Δb₁‖ε/α an image", log=True),
        "The same runs with the reciprocal ε of the authors' code.",
    )


def steeper_at_the_training_images(cifar, evidence):
    """The test of T2-CIFAR."""
    evidence.fitted(cifar.train_loss, fit(cifar))
    steep = cifar.lipschitz_mean.isel(epoch=-1)
    evidence.increases(steep, CORRUPTION, quantity="mean λ(x) over the training images at the end")


@claim(
    "T2-CIFAR",
    source="Theorem 1",
    statement="The local Lipschitz constant at the training images grows with the corruption of their labels",
    scope="mean over the training images after the last epoch, every level fit",
)
def test_steeper_at_the_training_images(corrupted_cifar, evidence):
    steeper_at_the_training_images(corrupted_cifar, evidence)
    evidence.figure(
        partial(figures.curves, corrupted_cifar.lipschitz_mean, CORRUPTION, ylabel="mean λ(x), x in X"),
        "Local Lipschitz constant at the training images: median over seeds, band from the smallest to the largest.",
    )


def slower_training(cifar, evidence):
    """The tests of T3-CIFAR."""
    loss, threshold = cifar.train_loss, fit(cifar)
    evidence.fitted(loss, threshold)
    tenth = loss.isel(epoch=loss.sizes["epoch"] // 10 - 1)
    evidence.increases(tenth, CORRUPTION, quantity="training loss at 10 % of the epochs")
    until = epochs_until(loss, threshold)
    evidence.increases(until, CORRUPTION, quantity=f"epochs until the training loss is below {threshold:.3f}")


@claim(
    "T3-CIFAR",
    source="Fig. 1d",
    statement="Training slows as more labels are corrupted",
    scope="training loss at 10 % of the epochs, and epochs until it is a tenth of the loss of answering 1/2, every level fit",
)
def test_slower_training(corrupted_cifar, evidence):
    slower_training(corrupted_cifar, evidence)
    loss = corrupted_cifar.train_loss
    evidence.figure(
        partial(figures.curves, loss, CORRUPTION, ylabel="training loss", windows={"10 %": (0.1 * len(loss.epoch),) * 2}),
        "Training loss (Fig. 1d): median over seeds, band from the smallest to the largest.",
    )


def late_test_loss(cifar):
    """Mean test loss over the last 10 epochs."""
    return cifar.test_loss.isel(epoch=LAST_EPOCHS).mean("epoch")


def worse_generalisation(cifar, evidence):
    """The tests of T4-CIFAR."""
    evidence.fitted(cifar.train_loss, fit(cifar), epochs=LAST)
    loss, total = late_test_loss(cifar), total_phi(cifar)
    evidence.increases(loss, CORRUPTION, quantity="mean test loss over the last 10 epochs")
    evidence.correlates(total, loss, CORRUPTION, quantity="test loss, with levels in the order of total φ")


@claim(
    "T4-CIFAR",
    source="Fig. 1f",
    statement="Longer trajectories go with a higher held-out loss",
    scope="mean test loss over the last 10 epochs, every level fit throughout, and total φ; test labels are not corrupted",
)
def test_longer_trajectories_generalise_worse(corrupted_cifar, evidence):
    worse_generalisation(corrupted_cifar, evidence)
    loss, total = late_test_loss(corrupted_cifar), total_phi(corrupted_cifar)
    evidence.figure(
        partial(figures.curves, corrupted_cifar.test_loss, CORRUPTION, ylabel="test loss"),
        "Test loss (Fig. 1f): median over seeds, band from the smallest to the largest.",
    )
    evidence.figure(
        partial(figures.scatter, total, loss, CORRUPTION, xlabel="total φ an image", ylabel="test loss near convergence"),
        "Test loss against trajectory; a line joins the levels of one seed.",
    )


def bias_varies_more(cifar, evidence):
    """The test of T5-CIFAR."""
    evidence.fitted(cifar.train_loss, fit(cifar), epochs=LAST)
    variance = cifar.bias_variance.isel(epoch=LAST_EPOCHS).mean("epoch")
    evidence.increases(variance, CORRUPTION, quantity="bias variance / α², mean over the last 10 epochs")


@claim(
    "T5-CIFAR",
    source="Corollary 2, Fig. 2c",
    statement="Near convergence the bias of a network that fits more corrupted labels varies more",
    scope="variance of b_1 within an epoch divided by α², mean over the last 10 epochs, every level fit throughout",
)
def test_bias_varies_more(corrupted_cifar, evidence):
    bias_varies_more(corrupted_cifar, evidence)
    evidence.figure(
        partial(figures.curves, corrupted_cifar.bias_variance, CORRUPTION, ylabel="variance of b₁ / α²"),
        "Bias variance (Fig. 2c): median over seeds, band from the smallest to the largest.",
    )
    evidence.figure(
        partial(figures.curves, corrupted_cifar.distance_to_init, CORRUPTION, ylabel="‖b₁ − initial b₁‖", log=False),
        "Distance to initialisation. Corollary 3 is about the squared error: for the cross-entropy nothing is claimed here.",
    )
