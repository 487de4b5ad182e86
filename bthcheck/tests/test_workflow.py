"""The workflow that a user takes as it is: what it may do, what it keeps, and that it runs the commands of the README."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bthcheck.harness.options import OPTIONS

ROOT = Path(__file__).parents[2]
PATH = ROOT / ".github" / "workflows" / "claims.yml"
pytestmark = pytest.mark.skipif(not PATH.exists(), reason="not a checkout of the project")


@pytest.fixture(scope="module")
def workflow():
    return pytest.importorskip("yaml").safe_load(PATH.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def steps(workflow):
    return workflow["jobs"]["claims"]["steps"]


def using(steps, action):
    return [step for step in steps if step.get("uses", "").startswith(f"{action}@")]


def test_it_starts_when_it_should_and_never_with_the_rights_of_the_base(workflow):
    triggers = workflow[True]  # YAML's "on"
    assert set(triggers) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    (when,) = triggers["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", when["cron"])  # weekly
    assert set(triggers["workflow_dispatch"]["inputs"]["profile"]["options"]) == {"quick", "laptop"}
    assert "pull_request_target" not in PATH.read_text(encoding="utf-8")
    assert workflow["concurrency"]["group"]


def test_the_token_can_do_no_more_than_it_needs(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    jobs = workflow["jobs"]
    assert {name: job.get("permissions") for name, job in jobs.items()} == {
        "claims": None, "pages": {"pages": "write", "id-token": "write"},
    }  # fmt: skip
    (checkout,) = using(jobs["claims"]["steps"], "actions/checkout")
    assert checkout["with"]["persist-credentials"] is False
    assert not re.search(r"secrets\.\w", PATH.read_text(encoding="utf-8"))
    for job in jobs.values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")  # nothing that somebody else wrote becomes a part of a script


def test_nothing_runs_for_ever_and_actions_are_what_was_looked_at(workflow):
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())
    uses = re.findall(r"uses: (.*)", PATH.read_text(encoding="utf-8"))
    assert len(uses) == 9
    assert all(re.fullmatch(r"actions/[a-z/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one) for one in uses), uses
    pins = dict(re.fullmatch(r"(actions/[a-z-]+)\S*@(\w+) .*", one).groups() for one in uses)
    assert len(set(pins.values())) == len(pins) == len({re.sub(r"/(save|restore)@", "@", one) for one in uses})


def test_commands_are_those_of_the_readme(steps):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (ours,) = [line for line in re.findall(r"```sh\n(python3 .*)\n```", readme) if "claims" in line]
    made, tox, verify = ours.split(" && ")
    commands = [step["run"] for step in steps if "tox run" in step.get("run", "")]
    assert commands[0] == " && ".join([made, tox, verify.replace("run -e claims", "run -q -e shared --notest")])
    command, _, arguments = commands[1].partition(" -- ")
    assert command == verify
    words = shlex.split(arguments)
    assert words[words.index("--markdown") + 1] == "$GITHUB_STEP_SUMMARY"
    flags = [word.removeprefix("--") for word in words if word.startswith("--")]
    assert set(flags) <= {*OPTIONS, "junitxml"}
    settings = (ROOT / "tox.ini").read_text(encoding="utf-8")
    assert all(f"    {name}\n" in settings for name in ("GITHUB_STEP_SUMMARY", "NUMBA_CACHE_DIR"))  # tox passes them on


def test_the_report_is_handed_out_and_runs_are_kept_also_where_a_claim_fails(steps):
    names = [step.get("name") for step in steps]
    late = steps[names.index("Verify the claims") + 1 :]
    assert len(late) == 5
    assert all("always()" in step["if"] for step in late)
    (artefact,) = using(late, "actions/upload-artifact")
    assert artefact["with"]["path"] == "reports"
    fetched = {step["with"]["path"]: step["with"] for step in using(steps, "actions/cache/restore")}
    kept = {step["with"]["path"]: step["with"] for step in using(late, "actions/cache/save")}
    assert set(fetched) == set(kept) == {".bthcheck_cache", ".numba_cache"}
    for path, how in fetched.items():
        assert "steps.machine.outputs.digest" in how["restore-keys"]  # never another processor's
        assert how["key"].startswith(how["restore-keys"])
        if "hashFiles" in kept[path]["key"]:
            assert kept[path]["key"].startswith(how["restore-keys"])


def test_which_processor_it_is_can_be_said(steps, tmp_path):
    (step,) = [step for step in steps if step.get("id") == "machine"]
    program = re.search(r'-c "(.*?)" >>', step["run"])[1]
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"digest=[0-9a-f]{16}\n", process.stdout)


def test_pages_are_published_only_where_somebody_asked_for_it(workflow, steps):
    (hand,) = using(steps, "actions/upload-pages-artifact")
    assert "vars.BTHCHECK_PAGES == 'true'" in hand["if"]
    assert "github.ref == format('refs/heads/{0}', github.event.repository.default_branch)" in hand["if"]
    assert workflow["jobs"]["claims"]["outputs"] == {"pages": "${{ steps.pages.outcome }}"}
    assert hand["id"] == "pages"
    assert "needs.claims.outputs.pages == 'success'" in workflow["jobs"]["pages"]["if"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("ubuntu-latest", "ubuntu-latst"),
        ("steps.numba.outputs", "steps.nothing.outputs"),
        ("contents: read", "contents: all"),
    ],
)
def test_actionlint_has_nothing_to_say_unless_something_is_wrong(old, new, tmp_path):
    tool = shutil.which("actionlint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if tool is None:
        pytest.skip("no actionlint")
    path = tmp_path / "claims.yml"
    text = PATH.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new) if old else text, encoding="utf-8")
    process = subprocess.run([tool, "-no-color", "-shellcheck=", "-pyflakes=", path], capture_output=True, text=True)
    assert (process.returncode == 0) == (not old), process.stdout + process.stderr
