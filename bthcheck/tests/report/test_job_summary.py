"""Where the verdicts in Markdown go."""

import pytest

from bthcheck.report import job_summary
from bthcheck.report.markdown import STEP_LIMIT
from bthcheck.tests.report.rows import SESSION, row


@pytest.fixture
def summary(tmp_path, monkeypatch):
    """The file that collects what a step of a job says."""
    path = tmp_path / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def test_a_file_is_replaced(tmp_path, summary):
    path = tmp_path / "new" / "verdicts.md"
    for session in (SESSION, SESSION[:1]):
        job_summary.write(path, session, profile="laptop")
    assert path.read_text(encoding="utf-8").count("### bthcheck") == 1
    assert "GOOD" not in path.read_text(encoding="utf-8")
    assert not summary.exists()


def test_the_summary_of_a_step_is_added_to(tmp_path, summary, monkeypatch):
    monkeypatch.chdir(tmp_path)
    summary.write_text("# Before", encoding="utf-8")
    for _ in range(2):
        job_summary.write(summary.relative_to(tmp_path), SESSION, profile="laptop")
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("# Before\n### bthcheck")
    assert text.count("\n### bthcheck") == 2


def test_all_sessions_of_a_step_stay_below_what_github_takes(summary):
    summary.write_bytes(b"x" * (STEP_LIMIT - 6000))
    job_summary.write(summary, [row(f"T{i}", "refuted", reason="r" * 500) for i in range(100)], profile="laptop")
    assert STEP_LIMIT - 2000 < summary.stat().st_size <= STEP_LIMIT
    before = summary.read_bytes()
    with pytest.raises(ValueError, match="GitHub shows no more than 1048576 of a step"):
        job_summary.write(summary, SESSION, profile="laptop")
    assert summary.read_bytes() == before


def test_half_a_character_in_the_name_of_a_report_is_no_reason_to_fail(summary, tmp_path):
    for path in (summary, tmp_path / "other.md"):
        job_summary.write(path, SESSION, profile="laptop", footer=["Report: out\udcff/index.html"])
        assert "udcff" in path.read_text(encoding="utf-8")
