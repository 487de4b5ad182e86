"""One process of a training with DistributedDataParallel over gloo, on this machine: ``python distributed.py RANK FOLDER``."""

import os
import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard

import bthcheck
from bthcheck.tests.watching import situations

WORLD = 2


def trained(rank: int, watch: bool, accumulate: bool):
    """Train on this process's half of every batch."""
    torch.manual_seed(1)
    network = situations.mlp().double()
    model = nn.parallel.DistributedDataParallel(network)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    w = bthcheck.watch(model, optimizer, probe=torch.ones(2, 12, dtype=torch.float64), probe_every=2) if watch else None
    for number, (x, y) in enumerate(situations.batches(6, 8, torch.float64)):
        own = slice(rank, None, WORLD)
        last = not accumulate or number % 2 == 1
        if number % 2 == 0 or not accumulate:
            optimizer.zero_grad()
        if last:
            loss = nn.functional.cross_entropy(model(x[own]), y[own])
            loss.backward()
        else:
            with model.no_sync():
                loss = nn.functional.cross_entropy(model(x[own]), y[own])
                loss.backward()
        if w is not None:
            w.mark(loss=loss)
        if last:
            optimizer.step()
    if w is not None:
        w.detach()
    return w, {**network.state_dict(), **{f"gradient {n}": p.grad for n, p in network.named_parameters()}}


def main(rank: int, folder: Path) -> None:
    """Compare with and without, and leave the records."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
    store = distributed.FileStore(str(folder / "store"), WORLD)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=WORLD)
    for accumulate in (False, True):
        _, plain = trained(rank, False, accumulate)
        w, watched = trained(rank, True, accumulate)
        assert w is not None
        assert all(torch.equal(value, watched[name]) for name, value in plain.items())
        w.dataset().to_netcdf(folder / f"{'accumulated' if accumulate else 'plain'}-{rank}.nc", engine="scipy")
        (folder / f"reading-{rank}").write_text(str(w.reading()), encoding="utf-8")
    said = []
    network = situations.mlp()
    for wrapped in (FullyShardedDataParallel(situations.mlp(), device_id=torch.device("cpu")), fully_shard(network)):
        try:
            bthcheck.watch(wrapped, torch.optim.SGD(wrapped.parameters(), 0.1))
        except TypeError as error:
            said.append(str(error))
    (folder / f"refused-{rank}").write_text("\n".join(said), encoding="utf-8")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
