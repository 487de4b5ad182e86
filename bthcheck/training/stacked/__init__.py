"""Engine "stacked": many runs of one architecture as one batched PyTorch program, on a CPU or a CUDA device."""

from bthcheck.training.stacked.engine import DEVICES, NAME, shape, shard_size, train, unsupported

__all__ = ["DEVICES", "NAME", "shape", "shard_size", "train", "unsupported"]
