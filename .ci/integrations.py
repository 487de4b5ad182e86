"""Run the tests with the tools that training is done and logged with: ``python .ci/integrations.py FOLDER``.

FOLDER becomes a virtual environment with these tools in the versions of constraints-integrations.txt, and nothing else; the
rest, PyTorch above all, comes from the environment that runs this. There a tool that is missing is an error.
"""

import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from versions import ROOT, environment, pins

PINNED = ROOT / "constraints.txt"
OWN = ROOT / "constraints-integrations.txt"
TESTS = "bthcheck/tests/integrations"
INSTALLER = ("pip", "setuptools", "bthcheck")
"""What is in every environment, or is this project."""


def unpinned(folder: Path) -> list[str]:
    """Return what a folder of packages has that no file pins, as lines for `OWN`."""
    there = {one.name.lower().replace("_", "-"): f"{one.name}=={one.version}" for one in distributions(path=[str(folder)])}
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in (*pins(PINNED), *pins(OWN))}
    return sorted(line for name, line in there.items() if name not in pinned and name not in INSTALLER)


def main(folder: Path, *arguments: str) -> int:
    """Make the environment, or bring it up to date, and run the tests; return the exit status."""
    python, own = environment(folder)
    how = ["--constraint", str(PINNED), "--constraint", str(OWN)]
    subprocess.run([python, "-m", "pip", "install", "-q", *how, "--editable", f"{ROOT}[integrations]"], check=True)
    if missing := unpinned(own):
        print("not pinned in {}:\n{}".format(OWN.name, "\n".join(missing)))
        return 1
    variables = {**os.environ, "BTHCHECK_REQUIRE_INTEGRATIONS": "1", "OMP_NUM_THREADS": "1"}
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile", TESTS, *arguments]
    return subprocess.run(command, cwd=ROOT, env=variables).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
