"""The page of an experiment and the Dataset beside it."""

import json
import re
from html import unescape

import numpy as np
import pytest
import xarray as xr

import bthcheck
from bthcheck.experiments import SINUSOIDS
from bthcheck.networks import MLP
from bthcheck.report.training import runs, write_beside
from bthcheck.training import stored
from bthcheck.training.statistics import STATISTICS


@pytest.fixture(scope="module")
def trained():
    network = MLP((10, 10, 4, 1))
    experiment = SINUSOIDS.replace(name="small / ones", levels=(0.3, 0.9), seeds=(0, 2), epochs=2, network=network)
    return bthcheck.run(experiment, engine="reference", cache=None, progress=False)


def test_page_and_dataset_lie_beside_each_other_and_say_how_to_load_it(trained, tmp_path):
    written = write_beside(tmp_path, trained, data=True)
    assert re.fullmatch(r"experiments/small-ones-[0-9a-f]{8}\.html", written["page"])
    assert written["file"] == written["page"].replace(".html", ".nc")
    page = (tmp_path / written["page"]).read_text(encoding="utf-8")
    name = written["file"].removeprefix("experiments/")
    assert f'xr.open_dataset("{name}")' in page
    with xr.open_dataset(tmp_path / written["file"]) as found:
        assert found.trajectory_length.median("seed").sizes == {"frequency": 2, "epoch": 2}
    loaded = stored.load(tmp_path / written["file"])
    xr.testing.assert_equal(loaded.drop_encoding(), trained)
    assert "http" not in page
    assert '<a href="../index.html">' in page
    keys = page.count('<span class="key">')
    assert keys == 2
    assert page.count('<svg viewBox="') - keys == page.count("<figcaption>") > 5
    alone = write_beside(tmp_path / "alone", trained)
    assert alone == {"page": written["page"]}
    assert [path.suffix for path in (tmp_path / "alone" / "experiments").iterdir()] == [".html"]
    page = (tmp_path / "alone" / alone["page"]).read_text(encoding="utf-8")
    assert page.count("<polyline ") == 2 * page.count("<figcaption>") > 10
    assert "xr.open_dataset" not in page


def test_the_page_says_how_to_get_the_runs_back(trained, tmp_path):
    page = (tmp_path / write_beside(tmp_path, trained)["page"]).read_text(encoding="utf-8")
    code, configuration, *_ = re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)
    code = unescape(code).replace('cache=".bthcheck_cache"', "progress=False")
    scope = {"configuration": json.loads(unescape(configuration))}
    exec(code, scope)
    assert scope["experiment"] == trained.bthcheck.experiment
    xr.testing.assert_allclose(scope["runs"], trained, rtol=1e-5)


def test_every_run_has_its_row_with_what_it_fit(trained):
    columns, rows = runs(trained)
    assert columns == ["frequency", "seed", "loss at first", "loss at the end", "diverged"]
    assert [row[:2] for row in rows] == [["0.3", "0"], ["0.3", "2"], ["0.9", "0"], ["0.9", "2"]]
    for row in rows:
        one = trained.train_loss.sel(frequency=float(row[0]), seed=int(row[1]))
        assert [float(text) for text in row[2:4]] == pytest.approx([float(one[0]), float(one[-1])], rel=1e-3)
        assert row[4] == "no"


def test_a_run_that_diverged_is_named(trained):
    diverged = trained.diverged.copy(data=np.array([[False, True], [False, False]]))
    rows = runs(trained.assign_coords(diverged=diverged))[1]
    assert [row[-1] for row in rows] == ["no", "yes", "no", "no"]


def test_a_training_without_a_finite_number_has_a_page_without_curves(trained, tmp_path):
    nothing = trained.copy(deep=True)
    for name in STATISTICS:
        nothing[name].values[...] = np.inf
    page = (tmp_path / write_beside(tmp_path, nothing)["page"]).read_text(encoding="utf-8")
    assert "<h2>Curves</h2>" not in page
    assert "<h2>Runs</h2>" in page
