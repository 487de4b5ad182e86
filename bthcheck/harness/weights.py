"""How long claims take, as far as that is known before they run: what their fixtures train."""

from collections.abc import Iterable

FIXTURES = {
    "corrupted_cifar": 150, "mnist_architectures": 80, "sinusoids": 40, "batch_sizes": 40, "scaled_batch_sizes": 40,
    "train": 45, "kept": 10,
}  # fmt: skip
"""Fixtures that train or compute → about how many seconds of a core that takes at laptop scale, if nothing is trained yet."""


def weight(fixtures: Iterable[str]) -> int:
    """Return about how many seconds of a core a claim with these fixtures takes if it is the first."""
    return sum(FIXTURES.get(name, 0) for name in set(fixtures))
