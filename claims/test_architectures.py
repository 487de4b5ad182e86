"""T7: which of two architectures generalises better shows in its trajectory (appendix of the paper), on MNIST 3 against 6."""

from functools import partial

import numpy as np

from bthcheck import claim, figures

LAST_EPOCHS = slice(-10, None)


def after_each_epoch(mnist):
    """The test loss, without the windows within an epoch, after which there is none."""
    return mnist.test_loss.dropna("epoch", how="all")


def shorter_trajectory(mnist, evidence):
    """The tests of T7."""
    fit = 0.1 * float(np.log(2)) * mnist.bthcheck.experiment.training.loss_factor  # a tenth of the loss of answering 1/2
    evidence.fitted(mnist.train_loss, fit)
    late = after_each_epoch(mnist).isel(epoch=LAST_EPOCHS).mean("epoch")
    evidence.increases(late, "network", quantity="mean test loss over the last 10 epochs, CNN to MLP")
    evidence.increases(mnist.trajectory_length.sum("epoch"), "network", quantity="total φ, CNN to MLP")


@claim(
    "T7",
    source="Appendix, MNIST architectures",
    statement="On 200 images the CNN generalises better than the MLP, and its bias trajectory is shorter",
    scope="mean test loss over the last 10 epochs and total φ of 100 epochs, both fit; batch size 1, learning rate 0.002",
)
def test_the_architecture_that_generalises_better_has_the_shorter_trajectory(mnist_architectures, evidence):
    shorter_trajectory(mnist_architectures, evidence)
    per_window = mnist_architectures.steps_per_epoch // mnist_architectures.windows
    length, test_loss = mnist_architectures.trajectory_length, after_each_epoch(mnist_architectures)
    total = length.sum("epoch")
    evidence.figure(
        partial(figures.curves, length, "network", ylabel=f"φ summed over {per_window} iterations"),
        f"Trajectory every {per_window} iterations: median over seeds, band from the smallest to the largest.",
    )
    evidence.figure(partial(figures.violins, total, "network", ylabel="total φ"), "Total trajectory: every seed is a line.")
    evidence.figure(
        partial(figures.curves, mnist_architectures.train_loss, "network", ylabel="training loss"), "Training loss."
    )
    evidence.figure(partial(figures.curves, test_loss, "network", ylabel="test loss"), "Test loss.")
