"""Every figure of the documentation is made by a script in docs/figures, and the quick ones are drawn here."""

import importlib.util
import os
import re
import shutil

import numpy as np
import pytest

from bthcheck.experiments import SINUSOIDS
from bthcheck.tests.docs.pages import IS_CHECKOUT, ROOT, pages

FOLDER = ROOT / "docs" / "figures"
KINDS = (".svg", ".png")
pytestmark = pytest.mark.skipif(not IS_CHECKOUT, reason="not a checkout of the project")


def script(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown():
    """Image → what pages say it shows."""
    found = {}
    for page in pages():
        for text, link in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            found.setdefault((page.parent / link).resolve(), []).append(text)
    return found


def test_every_image_is_made_by_a_script_that_names_it_and_is_shown():
    images = shown()
    assert set(images) == {path.resolve() for path in FOLDER.iterdir() if path.suffix in KINDS}
    sources = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.py")}
    for image in images:
        makers = [name for name, source in sources.items() if f'"{image.name}"' in source and "__main__" in source]
        assert len(makers) == 1, f"{image.name} is made by {makers}"
    assert not [path for path in (ROOT / "docs").rglob("*") if path.suffix in KINDS and path.parent != FOLDER]


def test_every_image_says_what_it_shows():
    assert all(len(text) > 15 for texts in shown().values() for text in texts)


def test_the_figures_of_the_hypothesis_are_drawn_by_their_script(tmp_path):
    hypothesis = script("hypothesis_figures")
    hypothesis.main(SINUSOIDS.replace(levels=(0.25, 1.0), seeds=(0, 1), epochs=200), tmp_path)
    for picture in (hypothesis.FUNCTIONS, hypothesis.PATHS, hypothesis.TRAJECTORIES):
        kept, again = (path.read_text(encoding="utf-8") for path in (picture, tmp_path / picture.name))
        assert kept.count('id="axes_') == again.count('id="axes_') > 0
        assert kept.count("<image") == again.count("<image")


def test_the_path_of_the_bias_is_that_of_the_definition():
    """Steps of the script's own loop move the bias by α ε φ, φ of the trained network being λ at the point of the step."""
    import bthcheck

    hypothesis = script("hypothesis_figures")
    experiment = SINUSOIDS.replace(levels=(0.5,), seeds=(0,), epochs=20, dtype="float64")
    runs = bthcheck.run(experiment, progress=False, engine="reference")
    path = hypothesis.after(experiment, runs, 0.5, epochs=1)
    assert path.shape == (101, 10)

    from bthcheck.geometry.lipschitz import local_lipschitz
    from bthcheck.training.runs import Run

    network = runs.bthcheck.weights(0.5, seed=0).double()
    data = Run(experiment, 0.5, 0).data()
    first = int(np.random.default_rng(0).permutation(100)[0])
    x = data.x_train[first : first + 1].double()
    residual = abs(float(network(x).detach().squeeze() - data.y_train[first]))
    step = np.linalg.norm(path[1] - path[0])
    assert step == pytest.approx(0.001 * residual * float(local_lipschitz(network, x)[0]), rel=1e-6)


def test_the_picture_of_a_report_is_taken(tmp_path):
    picture = script("report_picture")
    if not any(map(shutil.which, picture.BROWSERS)):
        assert os.environ.get("BTHCHECK_REQUIRE_CHROMIUM") != "1"
        pytest.skip("there is no Chromium")
    page = tmp_path / "index.html"
    page.write_text("<!doctype html><title>x</title><body style='background: #123456'>", encoding="utf-8")
    picture.take(page, tmp_path / "report.png")
    from matplotlib.image import imread

    pixels = imread(tmp_path / "report.png")
    assert pixels.shape[:2] == (picture.HIGH, picture.WIDTH)
    assert np.allclose(pixels[500, 500, :3], np.array([0x12, 0x34, 0x56]) / 255, atol=0.01)
    with pytest.raises(FileNotFoundError, match="there is no report at"):
        picture.take(tmp_path / "nothing.html")
