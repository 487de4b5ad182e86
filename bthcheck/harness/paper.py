"""The paper's claims and the verdicts on record, in a checkout or in the package as it is installed, where they are
``bthcheck.paper`` and ``bthcheck.record``; and pytest on them, from whatever folder.
"""

import sys
from pathlib import Path
from types import ModuleType

PACKAGE = Path(__file__).parents[1]
PLUGIN = "bthcheck.harness.travelling"
"""What pytest loads to run the claims from elsewhere than a checkout."""
RECORD = Path("reports", "baseline.json")
typed: list[str] = []
"""What `verify` was called for, to be said in the report."""
replayed: list[Path] = []
"""Of a replay: the file of what its report found, which takes the place of the record, and that of the report."""


def claims_folder() -> Path:
    """Return the folder of the paper's claims.

    Raises
    ------
    ValueError
        If they are not there.
    """
    places = (PACKAGE / "paper", PACKAGE.parent / "claims")
    for folder in places:
        if any(folder.glob("test_*.py")):
            return folder
    raise ValueError(f"the paper's claims are neither in {places[0]} nor in {places[1]}: install bthcheck anew")


def place_of(file: str) -> Path:
    """Return where the file of a claim of the paper, or of one that goes beyond it, is or was, by its name in a checkout."""
    folder = claims_folder()
    return next(folder.rglob(Path(file).name), folder / Path(file).name)


def on_record(root: Path) -> Path:
    """Return the file of the verdicts on record for the paper's claims: that of `root`, or else the one that came with them."""
    came = PACKAGE / "record" / RECORD.name
    return next((path for path in (root / RECORD, came) if path.exists()), PACKAGE.parent / RECORD)


def call_by_name() -> None:
    """Let claims import each other by the name that their folder has in a checkout."""
    claims = ModuleType("claims")
    claims.__path__ = [str(claims_folder())]
    sys.modules.setdefault("claims", claims)


def verify(arguments: list[str], command: list[str]) -> int:
    """Run the paper's claims as pytest does, with everything that is written in the current folder; return its exit status.

    Parameters
    ----------
    arguments : pytest's; all claims are run unless some begin with the claims' folder
    command : what was typed for it

    Raises
    ------
    ValueError
        If the claims are not there.
    """
    import pytest

    typed[:] = command
    folder, here = claims_folder(), Path.cwd()
    chosen = [] if any(argument.startswith(str(folder)) for argument in arguments) else [str(folder)]
    where = ["--bth-results-dir=reports", "--bth-cache-dir=.bthcheck_cache", "-o", f"cache_dir={here / '.pytest_cache'}"]
    if folder.parent == PACKAGE:  # no settings that another project has for its own tests are for these
        where += ["-c", str(Path(__file__).with_name("travelling.ini")), "--rootdir", str(PACKAGE)]
    return int(pytest.main(["-p", PLUGIN, *where, *arguments, *chosen]))


def replay(arguments: list[str], command: list[str], record: Path, report: Path, *, of_paper: bool) -> int:
    """Run the tests of a report again, the paper's or those of another project; return pytest's exit status.

    Parameters
    ----------
    arguments : pytest's
    command : what was typed for it
    record : a baseline of what the report found, which the session is compared with
    report : the file that this is from
    of_paper : whether the tests are of the paper's claims
    """
    import pytest

    replayed[:] = [record, report]
    try:
        if of_paper:
            return verify(arguments, command)
        typed[:] = command
        return int(pytest.main(arguments))
    finally:
        replayed.clear()
