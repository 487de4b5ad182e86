"""Run a quick part of the tests with other versions than the pinned ones: ``python .ci/versions.py lowest|newest FOLDER``.

FOLDER becomes a virtual environment that has the lowest versions that pyproject.toml allows, or the newest there are. PyTorch
alone, which takes minutes and gigabytes to install, may come from the environment that runs this, unless there is a newer one.
"""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOWEST = ROOT / "constraints-lowest.txt"
TESTS = (
    "bthcheck/tests/evidence/test_trends.py",
    "bthcheck/tests/evidence/test_agreement.py",
    "bthcheck/tests/evidence/test_exchange.py",
    "bthcheck/tests/evidence/test_inequalities.py",
    "bthcheck/tests/report",
    "bthcheck/tests/figures",
    "bthcheck/tests/training/test_cache.py",
    "bthcheck/tests/training/test_runs.py",
    "bthcheck/tests/training/test_agreement.py::test_engines_agree_over_hundreds_of_steps",
    "bthcheck/tests/cli/test_command.py",
    "bthcheck/tests/cli/test_spelling.py",
    "bthcheck/tests/cli/test_experiment.py",
    "bthcheck/tests/harness/test_plugin.py::test_verdicts_decide_what_passes",
    "bthcheck/tests/harness/test_plugin.py::test_trouble_is_shown_as_such",
    "bthcheck/tests/harness/test_options.py::test_options_of_other_plugins_are_theirs",
    "bthcheck/tests/harness/test_options.py::test_claims_are_refused_in_a_sentence_before_the_first_runs",
)
"""What dependencies are asked for: statistics, arrays, figures, files, kernels, flags, and pytest's and xdist's hooks."""
SLOW = "false_support or placebo_is_null or convolutions"
"""Left out: simulations of statistics that a version does not change, and kernels that take minutes to compile."""
CHECK = """
import sys
from importlib.metadata import version
from packaging.requirements import Requirement
wrong = [pin for pin in map(Requirement, sys.argv[1:]) if version(pin.name) not in pin.specifier]
sys.exit(f"not installed as asked: {[str(pin) for pin in wrong]}" if wrong else 0)
"""


def pins(path: Path) -> list[str]:
    """Return the lines of a constraints file that are not comments."""
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]


def environment(folder: Path) -> tuple[Path, Path]:
    """Make a virtual environment that sees what is installed where this runs; return its Python and its packages' folder."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True, text=True
    ).stdout.strip()
    # What is installed here comes before what is there: a .pth file appends to the search path.
    (Path(own) / "torch.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python, Path(own)


def main(which: str, folder: Path, *arguments: str) -> int:
    """Make the environment, or bring it up to date, and run the tests; return the exit status."""
    python, _ = environment(folder)
    how = ["--constraint", str(LOWEST)] if which == "lowest" else ["--upgrade", "--upgrade-strategy", "eager"]
    subprocess.run([python, "-m", "pip", "install", "-q", *how, "--editable", str(ROOT)], check=True)
    if which == "lowest":
        subprocess.run([python, "-c", CHECK, *pins(LOWEST)], check=True)
    options = ["-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-n", "2"]
    command = [python, "-m", "pytest", *options, "-k", f"not ({SLOW})", *TESTS, *arguments]
    return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
