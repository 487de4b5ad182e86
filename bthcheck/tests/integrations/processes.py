"""Two processes that train together."""

import os
import subprocess
import sys
from pathlib import Path

import bthcheck


def run_two(module, folder):
    """Run a module in two processes of torchrun, with a folder as its argument."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", module, folder]
    root = str(Path(bthcheck.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=300)
    assert done.returncode == 0, done.stderr
