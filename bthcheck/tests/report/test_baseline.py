"""The verdicts on record."""

import pytest

from bthcheck.report.baseline import read_baseline, write_baseline


def test_baseline_keeps_other_profiles_and_claims_that_were_not_run(tmp_path):
    path = tmp_path / "baseline.json"
    assert read_baseline(path, "laptop") == {}
    write_baseline(path, "quick", [{"claim": {"id": "T1"}, "verdict": "inconclusive"}])
    write_baseline(path, "laptop", [{"claim": {"id": "T1"}, "verdict": "supported"}, {"claim": {"id": "T2"}, "verdict": None}])
    write_baseline(path, "laptop", [{"claim": {"id": "X1"}, "verdict": "refuted"}])
    assert read_baseline(path, "laptop") == {"T1": "supported", "X1": "refuted"}
    assert read_baseline(path, "quick") == {"T1": "inconclusive"}
    path.write_text("[]")
    with pytest.raises(ValueError, match=r"baseline .* must be a JSON object"):
        read_baseline(path, "laptop")
