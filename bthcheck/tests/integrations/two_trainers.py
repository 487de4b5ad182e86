"""What each process of a distributed Trainer does: ``torchrun -m bthcheck.tests.integrations.two_trainers FOLDER``."""

import sys
from pathlib import Path

from bthcheck.tests.integrations.hugging import bert, fit, regression
from bthcheck.tests.integrations.networks import assert_same_bits
from bthcheck.watching.transformers import Watch

CASES = {"regression": regression, "BERT": bert}


def main(folder):
    """Train every case, with the callback and without."""
    for case, make in CASES.items():
        alone, watched, callback = make(), make(), Watch()
        fit(alone, make, count=18, max_grad_norm=0.0)
        trainer = fit(watched, make, callback, count=18, max_grad_norm=0.0)
        assert_same_bits(alone.state_dict(), watched.state_dict())
        callback.dataset().to_netcdf(folder / f"{case}-{trainer.args.process_index}.nc", engine="scipy")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
