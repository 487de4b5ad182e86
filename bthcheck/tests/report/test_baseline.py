"""The verdicts on record."""

import json

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


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"",
        b'{"laptop": {"T1"',
        b"\xff\xfe",
        b'{"laptop": ["ab", "cd"]}',
        b'{"quick": 1}',
        b'{"laptop": {"T1": null}}',
        b"7",
    ],
)
def test_what_is_no_baseline_is_refused_and_not_overwritten(tmp_path, content):
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"the baseline .*baseline\.json must be a JSON object of profiles, each id → verdict"):
        read_baseline(path, "laptop")
    with pytest.raises(ValueError, match=r"the baseline .*baseline\.json must be a JSON object"):
        write_baseline(path, "laptop", [{"claim": {"id": "T1"}, "verdict": "supported"}])
    assert path.read_bytes() == content


def test_a_baseline_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"the baseline .* cannot be read: Is a directory"):
        read_baseline(tmp_path, "laptop")


def test_a_full_disk_keeps_what_is_on_record(tiny_disk):
    """A hundred verdicts were cut at 4096 bytes, and the next session refused to start."""
    path = tiny_disk / "reports" / "baseline.json"
    row = {"claim": {"id": "T1"}, "verdict": "supported"}
    write_baseline(path, "laptop", [row])  # into a folder that is not there yet
    many = [{"claim": {"id": f"A{i}" * 100}, "verdict": "supported"} for i in range(300)]
    with pytest.raises(OSError, match="No space left on device"):
        write_baseline(path, "laptop", many)
    assert read_baseline(path, "laptop") == {"T1": "supported"}
    assert [file.name for file in path.parent.iterdir()] == ["baseline.json"]
    write_baseline(path, "quick", [row])
    assert json.loads(path.read_text()) == {"laptop": {"T1": "supported"}, "quick": {"T1": "supported"}}
