"""E1 on images, with runs that pass no common loss: it decides nothing, and says so."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from bthcheck.evidence import Verdict
from bthcheck.harness.claims import Claim, Evidence

FILE = Path(__file__).parents[3] / "claims" / "extensions" / "test_rivals.py"


@pytest.mark.skipif(not FILE.exists(), reason="the claims are not installed beside the package")
@pytest.mark.parametrize("missing", ["phi_below", "error_gap", ""])
def test_a_run_that_passes_no_loss_makes_it_inconclusive(missing, tmp_path):
    spec = importlib.util.spec_from_file_location("rivals_claim", FILE)
    claims = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(claims)
    generator = np.random.default_rng(0)
    sizes = {"channels": ["4-8", "8-16"], "rate": [0.02, 0.04], "corruption": [0.0, 0.2, 0.4], "seed": list(range(10))}
    table = xr.Dataset(
        {
            name: (tuple(sizes), generator.random([len(values) for values in sizes.values()]), {"long_name": name})
            for name in (*claims.LABELS, "error_gap")
        },
        sizes,
    )
    if missing:
        table[missing][0, 0, 0, 3] = np.nan
    loss = xr.DataArray(np.full((3, 10, 2), 1.0 if missing else 0.01), dims=("corruption", "seed", "epoch"))
    runs = SimpleNamespace(train_loss=loss.assign_coords(corruption=sizes["corruption"], seed=sizes["seed"], epoch=[1, 2]))
    evidence = Evidence(Claim("E1-images", "statement", "source", family="extensions"), tmp_path)
    claims.test_phi_ranks_cnns_no_worse_than_the_sum_of_losses(lambda _: runs, evidence, lambda function, *_: table)
    findings = evidence.to_dict()["findings"]
    assert (findings[0]["verdict"] == Verdict.INCONCLUSIVE) == bool(missing)
    captions = [one["caption"] for one in evidence.to_dict()["tables"]]
    assert any("wrong order" in caption for caption in captions) == (missing != "error_gap")
