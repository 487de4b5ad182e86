"""The benchmark of a GPU, at a size that needs none."""

from bthcheck.benchmark import gpu
from bthcheck.networks import CNN


def test_the_benchmark_runs_at_a_tiny_size(capsys, place):
    gpu.report(place, network=CNN(channels=(2, 3), hidden=4), runs=2, steps=4, size=64)
    out = capsys.readouterr().out
    for word in ("a step", "1 000 000 steps", "bytes/s", "FLOP/s", "copying", "matrix product"):
        assert word in out


def test_the_work_of_a_step_is_counted_from_its_layers():
    work = gpu.work(CNN(), runs=1)
    products = 21 * 21 * 96 * 75 + 3 * 3 * 384 * 2400 + 384 * 384 + 384  # of 28 × 28 and 5 × 5, what pools look at
    parameters = sum(p.numel() for p in CNN().build().parameters())
    assert work.operations == 6 * products
    assert work.parameters == parameters == 1_080_577
    assert gpu.work(CNN(), runs=32).operations == 32 * work.operations
    assert work.bytes > 4 * 4 * parameters
