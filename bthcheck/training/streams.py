"""Independent random streams of one seed: the same at every level, in every engine, on every machine."""

import numpy as np

from bthcheck.ambient import neutral

STREAMS = ("data", "weights", "order", "dropout", "fresh", "module", "perturbation")


def stream(seed: int, name: str) -> np.random.Generator:
    """Return the generator of one of `STREAMS`; streams of one seed are independent of each other."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS.index(name),)))


@neutral()
def weight_seed(seed: int) -> int:
    """Return the number that seeds PyTorch's initialisation."""
    return int(stream(seed, "weights").integers(2**63))


@neutral()
def module_seed(seed: int) -> int:
    """Return the number that seeds what a module of one's own draws while it trains."""
    return int(stream(seed, "module").integers(2**63))


@neutral()
def kept_neurons(seed: int, visits: int, neurons: int) -> np.ndarray:
    """Return which neurons 1/2-Dropout keeps at every visit to a point, each with probability 1/2, independently.

    (visits, ⌈neurons / 8⌉) uint8, bits packed as by ``np.packbits``. The first visits do not depend on how many follow.
    """
    return stream(seed, "dropout").integers(0, 256, size=(visits, -(-neurons // 8)), dtype=np.uint8)


@neutral()
def sampling_order(seed: int, epochs: int, points: int, sampling: str) -> np.ndarray:
    """Return which point is visited when, an (epochs, points) int32 array.

    "reshuffle": every row is a permutation. "replacement": every entry is drawn independently and uniformly.
    The first epochs do not depend on how many follow.
    """
    generator = stream(seed, "order")
    if sampling == "replacement":
        return generator.integers(points, size=(epochs, points), dtype=np.int32)
    return generator.permuted(np.tile(np.arange(points, dtype=np.int32), (epochs, 1)), axis=1)
