"""T8: T1 with minibatches (appendix of the paper). Levels are the frequencies 0.25 and 0.75, blocks are seeds.

The φ of a batch is the norm of a mean of gradients, each weighted by its share of ε and signed: a lower bound on their norms.
docs/explanation/minibatches.md says what that leaves of Theorem 1.
"""

from functools import partial

from bthcheck import claim, figures

FREQUENCY = "frequency"
NEAR_CONVERGENCE = slice(-100, None)
# A tenth of E[y²]/2 = 1/8, the loss of answering 0, as in T3.
FIT = 0.0125


def ordering(batch_sizes, evidence):
    """Present T1 for every batch size."""
    for size, sinusoids in batch_sizes.items():
        evidence.fitted(sinusoids.train_loss, FIT, of=f"batches of {size}")
        phi = sinusoids.trajectory_length / sinusoids.steps_per_epoch
        late = phi.isel(epoch=NEAR_CONVERGENCE).mean("epoch")
        evidence.increases(late, FREQUENCY, quantity=f"mean φ over the last 100 epochs, batches of {size}")
        steep = sinusoids.lipschitz_mean.isel(epoch=NEAR_CONVERGENCE).mean("epoch")  # W_1 = I: λ is ‖g‖
        shares = (late / steep).median("seed")
        evidence.note(
            f"With batches of {size} the mean φ of these epochs is"
            f" {' and '.join(f'{share:.2f}' for share in shares.values)} times the mean ‖g(x)‖ over the training points at"
            f" frequencies {' and '.join(f'{level:g}' for level in shares[FREQUENCY].values)} (median of the seeds)."
        )
        loss = float(sinusoids.train_loss.isel(epoch=NEAR_CONVERGENCE).max())
        evidence.note(
            f"With batches of {size} the training loss of these epochs is up to {loss:.4f}; below {FIT} counts as fit."
        )
        epochs = phi.sizes["epoch"]
        evidence.figure(
            partial(figures.curves, phi, FREQUENCY, ylabel="mean φ of the epoch", windows={"T8": (epochs - 100, epochs)}),
            f"Trajectory an epoch with batches of {size}: median over seeds, band from the smallest to the largest.",
        )
        evidence.figure(
            partial(figures.curves, sinusoids.train_loss, FREQUENCY, ylabel="training loss"),
            f"Training loss with batches of {size}.",
        )


@claim(
    "T8",
    source="Appendix, batch size",
    statement="With minibatches of 16 and of 32, a higher frequency makes a longer normalised bias trajectory near convergence",
    scope="mean φ over the last 100 of 3000 epochs, both frequencies fit at the end; learning rate 0.001 as without batches",
)
def test_ordering_survives_minibatches(batch_sizes, evidence):
    ordering(batch_sizes, evidence)
    evidence.note(
        "A batch of 16 makes a sixteenth of the steps of an epoch, of the same size on average. At the paper's number of epochs"
        " the higher frequency is then still being fit, and T1 says nothing of networks that are. T8-scaled raises the learning"
        " rate with the batch size, which fits both in the same number of epochs."
    )


@claim(
    "T8-scaled",
    source="Appendix, batch size (not in the paper: the learning rate)",
    statement="With minibatches and a learning rate that grows with them, T1's ordering near convergence survives",
    scope="mean φ over the last 100 of 3000 epochs, both frequencies fit at the end; learning rate 0.001 times the batch size",
)
def test_ordering_survives_minibatches_once_the_data_are_fit(scaled_batch_sizes, evidence):
    ordering(scaled_batch_sizes, evidence)
