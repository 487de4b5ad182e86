"""E3: can one stop by the bias? Σεφ an epoch grows while wrong labels are about to be fit and falls once they are."""

from functools import partial

from bthcheck import claim, figures
from bthcheck.experiments import CORRUPTED_CIFAR_SMALL
from bthcheck.theory.stopping import best_fixed, bias_gradient_sum, peak, regret

CORRUPTION = "corruption"
WIDTHS = (1, 3, 5)  # epochs that are averaged
PATIENCE = 5
CHOOSING = 3  # a third of the seeds, the first, are there to choose a rule


@claim(
    "E3",
    family="extensions",
    source="Stopping by trajectories (not in the paper)",
    statement="Stopping where Σεφ an epoch peaks costs less test error than the best fixed epoch, and than training to the end",
    scope="400 images of corrupted CIFAR, c = 0.2, 0.4 and 0.6; rules chosen on four seeds, mean regret over c on ten others",
)
def test_stopping_at_the_peak(train, evidence):
    runs = train(CORRUPTED_CIFAR_SMALL.replace(name="stopping", levels=(0.2, 0.4, 0.6), seeds=range(14)))
    error, slopes = runs.test_error, bias_gradient_sum(runs)
    count = max(1, runs.sizes["seed"] // CHOOSING)
    choosing = {"seed": slice(None, count)}
    costs = [float(regret(error, peak(slopes, width, PATIENCE)).isel(choosing).mean()) for width in WIDTHS]
    width = WIDTHS[costs.index(min(costs))]
    epoch = best_fixed(error.isel(choosing))
    rules = {
        f"peak of Σεφ, averaged over {width} epochs": peak(slopes, width, PATIENCE),
        f"epoch {epoch}": error.epoch.sel(epoch=epoch),
        "last epoch": error.epoch.isel(epoch=-1),
    }
    cost = {name: regret(error, kept).isel(seed=slice(count, None)) for name, kept in rules.items()}
    first, *others = (one.mean(CORRUPTION) for one in cost.values())
    for other, name in zip(others, list(cost)[1:], strict=True):
        evidence.exceeds(other, first, quantity=f"mean regret of stopping at the {name}, against the peak of Σεφ")
    levels = runs[CORRUPTION].values.tolist()
    evidence.table(
        "Mean regret in test error over the seeds that no rule was chosen on",
        ["rule", *(f"c = {level:g}" for level in levels)],
        [[name, *(f"{float(one.sel({CORRUPTION: level}).mean()):.3f}" for level in levels)] for name, one in cost.items()],
    )
    evidence.figure(
        partial(figures.curves, slopes, CORRUPTION, ylabel="Σεφ an epoch"),
        "Sum of ‖∂ℓ/∂b₁‖ an epoch. Median over seeds, band from the smallest to the largest.",
    )
    evidence.figure(
        partial(figures.curves, error, CORRUPTION, ylabel="test error", log=False),
        "Test error after every epoch of the same runs.",
    )
