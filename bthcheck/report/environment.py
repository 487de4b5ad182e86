"""Where and with what a session ran."""

import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

from bthcheck.choices import available_threads

_PACKAGES = ("bthcheck", "torch", "numpy", "scipy", "numba", "xarray", "matplotlib", "hypothesis", "pytest", "pytest-xdist")


def describe(root: Path) -> dict[str, str]:
    """Return label → text: versions, processor, GPU and the commit of the project at `root`."""
    facts = {
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": f"{_processor()}, {available_threads()} cores available",
        "GPU": _gpu(),
        "commit": _commit(root),
    }
    for name in _PACKAGES:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            facts[name] = "not installed"
    return facts


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpu() -> str:
    """Ask the driver's own tool, which is quicker than loading PyTorch in a process that does not train."""
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    return _output(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) or "none"


def _commit(root: Path) -> str:
    commit = _output(["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"])
    changed = _output(["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"])
    return f"{commit}{' with changes' if changed else ''}" if commit else "not a git checkout"


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
