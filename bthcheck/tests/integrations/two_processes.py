"""What each process of a training with DistributedDataParallel does: ``torchrun -m bthcheck.tests.integrations.two_processes``.

Writes the records of every case, and says whether training was the same to the bit as without the callback.
"""

import os
import sys
from pathlib import Path

import torch
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from bthcheck.tests.integrations.lit import CallsItsNet, Lit, Manual, fit
from bthcheck.tests.integrations.networks import assert_same_bits, points
from bthcheck.watching.lightning import Watch

CASES = {
    "itself": (Lit, None, {}),
    "inside": (CallsItsNet, "net", {}),
    "accumulated": (Lit, None, {"accumulate_grad_batches": 3}),
    "manual": (lambda: Manual(passes=(1,)), None, {}),
}


def main(folder):
    """Train every case, with the callback and without."""
    data = TensorDataset(*points(18))
    sampler = DistributedSampler(data, num_replicas=2, rank=int(os.environ["RANK"]), shuffle=False)
    own = {"data": DataLoader(data, batch_size=3, sampler=sampler), "use_distributed_sampler": False}
    for case, (make, name, options) in CASES.items():
        alone, watched = make(), make()
        callback = Watch(model=name, probe=points(2, seed=5)[0], probe_every=2, points=1)
        together = {"strategy": "ddp", "devices": 2, **own, **options}
        fit(alone, **together)
        trainer = fit(watched, callback, **together)
        assert_same_bits(alone.state_dict(), watched.state_dict())
        assert not trainer.model._forward_hooks
        assert not any(module._forward_hooks for module in watched.modules())
        callback.dataset().to_netcdf(folder / f"{case}-{trainer.global_rank}.nc", engine="scipy")
    try:
        fit(CallsItsNet(), Watch(), **together)
    except ValueError as error:
        (folder / f"refused-{torch.distributed.get_rank()}").write_text(str(error), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
