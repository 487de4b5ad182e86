"""The page on networks and tasks of one's own: its examples run as they stand there, one after the other."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "own-networks.md"
pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="not a checkout of the project")
CHECK = """
assert dict(runs.sizes) == {"radius": 2, "seed": 3, "epoch": 20, "parameter": sum(p.numel() for p in module.parameters())}
assert runs.attrs["engine"] == "stacked" and steps.sizes["step"] == 100 and not module.training
assert float(runs.train_loss.isel(epoch=-1).mean()) < 0.8 * float(runs.train_loss.isel(epoch=0).mean())
reference = bthcheck.run(experiment.replace(seeds=(0,), epochs=2, dtype="float64"), engine="reference", progress=False)
stacked = bthcheck.run(experiment.replace(seeds=(0,), epochs=2, dtype="float64"), engine="stacked", progress=False)
np.testing.assert_allclose(stacked.trajectory_length, reference.trajectory_length, rtol=1e-9)
import warnings
warnings.simplefilter("error")
bthcheck.run(experiment, cache="cache", progress=False)
from pathlib import Path
assert len(list(Path("cache").glob("*.safetensors"))) == 6
"""


def test_the_examples_run(tmp_path):
    examples = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(examples) == 3
    (tmp_path / "example.py").write_text("\n".join([*examples, CHECK]), encoding="utf-8")
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_page_and_the_package_say_the_same():
    from bthcheck.experiments import OPTIMIZERS, Training

    text = PAGE.read_text(encoding="utf-8")
    assert all(f'`optimizer="{name}"`' in text for name in OPTIMIZERS)
    assert all(name in text for name in ("momentum", "weight_decay", "betas", "eps", "clip"))
    assert Training().betas == (0.9, 0.999)
