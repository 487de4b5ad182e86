import subprocess

import numpy as np
import pytest
import xarray as xr


def pytest_terminal_summary(terminalreporter):
    """Say which mutants were tried, and which tests noticed them."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    properties = [dict(report.user_properties) for report in reports]
    rows = sorted((found["mutant"], found["noticed by"]) for found in properties if "mutant" in found)
    if not rows:
        return
    terminalreporter.section("mutants, and what noticed them")
    for mutant, tests in rows:
        # Whose verdict a mutant changes is seen by that ring; most are tried on the library's tests alone (noticing.md).
        ring = "verdicts" if any(test.startswith("claims/") for test in tests) else "–"
        terminalreporter.write_line(f"{mutant}  [ring: {ring}]")
        for test in tests or ["NOTHING"]:
            terminalreporter.write_line(f"    {test}")


@pytest.fixture(params=["cpu", "cuda"])
def place(request):
    """Where a stack is trained: on the CPU, and on the GPU that --device names, or the first, if there is one."""
    import torch

    if request.param == "cpu":
        return "cpu"
    has_plugin = request.config.pluginmanager.hasplugin("bthcheck.pytest_plugin")  # which only a checkout loads by itself
    device = request.getfixturevalue("device") if has_plugin else "auto"
    if device == "cpu" or not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return device if device.startswith("cuda") else "cuda"


@pytest.fixture
def blocks():
    """A function that labels a (seeds, levels) array as a result along "frequency"."""

    def label(table, diverged=None):
        table = np.asarray(table, float)
        coords = {"seed": np.arange(table.shape[0]), "frequency": np.linspace(0.25, 1, table.shape[1])}
        if diverged is not None:
            coords["diverged"] = (("seed", "frequency"), np.asarray(diverged, bool))
        return xr.DataArray(table, coords, ("seed", "frequency"), name="value")

    return label


@pytest.fixture
def tiny_disk(tmp_path):
    """A folder with a file system of its own, of 64 KiB; skipped where this process may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no mount here: {error}")
    if mounted.returncode:
        pytest.skip(f"nothing may be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
