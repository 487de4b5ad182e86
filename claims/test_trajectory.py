"""T1–T6 on the sinusoids: what fitting a higher frequency does to training (section 6 of the paper).

Each claim states its window here, before the numbers are seen. Levels are the frequencies 0.25, 0.5, 0.75 and 1; blocks are
seeds, which fix the points, the initial weights and the sampling order of all four.
"""

from functools import partial

from bthcheck import claim, figures
from bthcheck.theory.trajectory import epochs_until

FREQUENCY = "frequency"
NEAR_CONVERGENCE = slice(-100, None)
LAST_EPOCHS = slice(-10, None)
# A tenth of E[y²]/2 = 1/8, the loss of answering 0, which is the same at every frequency.
FIT = 0.0125


def mean_phi(sinusoids, window=slice(None)):
    """Mean φ over a window of epochs."""
    length = sinusoids.trajectory_length.isel(epoch=window)
    return length.mean("epoch") / sinusoids.steps_per_epoch


@claim(
    "T1",
    source="Theorem 1, Fig. 1b",
    statement="A higher frequency makes a longer normalised bias trajectory near convergence",
    scope="mean φ over the last 100 epochs; batch size 1, learning rate 0.001",
)
def test_longer_trajectory_near_convergence(sinusoids, evidence):
    evidence.increases(mean_phi(sinusoids, NEAR_CONVERGENCE), FREQUENCY, quantity="mean φ over the last 100 epochs")
    phi = sinusoids.trajectory_length / sinusoids.steps_per_epoch
    epochs = phi.sizes["epoch"]
    evidence.figure(
        partial(figures.curves, phi, FREQUENCY, ylabel="mean φ of the epoch", windows={"T1": (epochs - 100, epochs)}),
        "Trajectory an epoch (Fig. 1b). Median over seeds, band from the smallest to the largest.",
    )
    total = sinusoids.trajectory_length.sum("epoch")
    evidence.figure(
        partial(figures.violins, total, FREQUENCY, ylabel="total φ"),
        "Total trajectory over all epochs: every seed is a line.",
    )


@claim(
    "T1-scope",
    source="Scope of Theorem 1 (not in the paper)",
    statement="Before it is learned, the highest frequency has the shortest trajectory of all: the ordering of T1 is reversed",
    scope="mean φ over the 100 epochs around one sixth of training (epoch 500 of 3000), highest against each other frequency",
)
def test_ordering_is_reversed_before_the_data_are_fit(sinusoids, evidence):
    sixth = sinusoids.sizes["epoch"] // 6
    early = mean_phi(sinusoids, slice(sixth - 50, sixth + 50))
    for lower in range(early.sizes[FREQUENCY] - 1):
        pair = early.isel({FREQUENCY: [lower, -1]})
        low, high = pair[FREQUENCY].values
        evidence.decreases(pair, FREQUENCY, quantity=f"early mean φ from frequency {low:g} to {high:g}")
    shortest = int((early.argmin(FREQUENCY) == early.sizes[FREQUENCY] - 1).sum())
    evidence.note(
        f"The ordering of T1 holds near convergence only: here the highest frequency has the shortest trajectory in {shortest}"
        f" of {early.sizes['seed']} seeds, where T1 has the longest. A test of T1 must state its window."
    )
    phi = (sinusoids.trajectory_length / sinusoids.steps_per_epoch).isel(epoch=slice(0, 3 * sixth))
    evidence.figure(
        partial(figures.curves, phi, FREQUENCY, ylabel="mean φ of the epoch", windows={"reversed": (sixth - 50, sixth + 50)}),
        "The first half of training: the curves cross as each frequency is learned.",
    )


@claim(
    "T2",
    source="Theorem 1",
    statement="The local Lipschitz constant at the training points grows with the frequency",
    scope="mean over the training points after the last epoch",
)
def test_steeper_at_the_training_points(sinusoids, evidence):
    final = sinusoids.lipschitz_mean.isel(epoch=-1)
    evidence.increases(final, FREQUENCY, quantity="mean λ(x) over the training points at the end")
    evidence.figure(
        partial(figures.curves, sinusoids.lipschitz_mean, FREQUENCY, ylabel="mean λ(x), x in X"),
        "Local Lipschitz constant at the training points: median over seeds, band from the smallest to the largest.",
    )


@claim(
    "T3",
    source="Fig. 1a",
    statement="Training slows as the frequency grows",
    scope="training loss at 10 % of the epochs, and epochs until it is below a tenth of the loss of answering 0",
)
def test_slower_training(sinusoids, evidence):
    loss = sinusoids.train_loss
    tenth = loss.isel(epoch=loss.sizes["epoch"] // 10 - 1)
    evidence.increases(tenth, FREQUENCY, quantity="training loss at 10 % of the epochs")
    evidence.increases(epochs_until(loss, FIT), FREQUENCY, quantity=f"epochs until the training loss is below {FIT}")
    evidence.figure(
        partial(figures.curves, loss, FREQUENCY, ylabel="training loss", windows={"10 %": (0.1 * len(loss.epoch),) * 2}),
        "Training loss (Fig. 1a): median over seeds, band from the smallest to the largest.",
    )


@claim(
    "T4",
    source="Fig. 1c",
    statement="Longer trajectories go with a higher held-out loss",
    scope="mean test loss and mean φ over the last 100 epochs",
)
def test_longer_trajectories_generalise_worse(sinusoids, evidence):
    loss = sinusoids.test_loss.isel(epoch=NEAR_CONVERGENCE).mean("epoch")
    length = mean_phi(sinusoids, NEAR_CONVERGENCE)
    evidence.increases(loss, FREQUENCY, quantity="mean test loss over the last 100 epochs")
    evidence.correlates(length, loss, FREQUENCY, quantity="test loss, with levels in the order of mean φ")
    evidence.figure(
        partial(figures.curves, sinusoids.test_loss, FREQUENCY, ylabel="test loss"),
        "Test loss (Fig. 1c): median over seeds, band from the smallest to the largest.",
    )
    evidence.figure(
        partial(
            figures.scatter, length, loss, FREQUENCY, xlabel="mean φ near convergence", ylabel="test loss near convergence"
        ),
        "Test loss against trajectory near convergence; a line joins the levels of one seed.",
    )


@claim(
    "T5",
    source="Corollary 2, Fig. 2a",
    statement="Near convergence the bias of a network that fits a higher frequency varies more",
    scope="variance of b_1 within an epoch divided by α², mean over the last 10 epochs",
)
def test_bias_varies_more(sinusoids, evidence):
    variance = sinusoids.bias_variance.isel(epoch=LAST_EPOCHS).mean("epoch")
    evidence.increases(variance, FREQUENCY, quantity="bias variance over the last 10 epochs")
    evidence.figure(
        partial(figures.violins, variance, FREQUENCY, ylabel="variance of b₁ / α²", log=True),
        "Bias variance near convergence (Fig. 2a): every seed is a line.",
    )


@claim(
    "T6",
    source="Corollary 3, Fig. 2b",
    statement="With the squared loss, a network that fits a higher frequency ends further from its initialisation",
    scope="‖b_1 − its initial value‖ after the last epoch; the paper makes no such claim for the cross-entropy",
)
def test_ends_further_from_initialisation(sinusoids, evidence):
    distance = sinusoids.distance_to_init.isel(epoch=-1)
    evidence.increases(distance, FREQUENCY, quantity="distance of b₁ to its initial value")
    evidence.figure(
        partial(figures.violins, distance, FREQUENCY, ylabel="‖b₁ − b₁⁰‖"),
        "Distance to initialisation (Fig. 2b): every seed is a line.",
    )
