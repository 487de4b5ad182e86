"""docs/how-to/watching.md: what it shows runs, prints what it says, and names all that there is; and its example."""

import contextlib
import functools
import importlib.util
import io
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import bthcheck
from bthcheck.evidence import Verdict
from bthcheck.networks import CNN
from bthcheck.tasks import CorruptedImages
from bthcheck.watching.records import QUANTITIES

DOCS = Path(__file__).parents[3] / "docs"
pytestmark = pytest.mark.skipif(not (DOCS / "how-to" / "watching.md").exists(), reason="not a checkout of the project")


def page():
    return (DOCS / "how-to" / "watching.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", page(), re.DOTALL | re.MULTILINE)


def test_what_the_page_shows_runs_in_order_and_prints_what_it_says(monkeypatch):
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))  # which takes no minute
    shown, printed = {}, io.StringIO()
    torch.manual_seed(0)
    with contextlib.redirect_stdout(printed):
        for block in blocks("python"):
            exec(compile(block, "docs/how-to/watching.md", "exec"), shown)
    (expected,) = blocks("text")
    assert printed.getvalue() == expected
    assert shown["epochs"].sizes["epoch"] == 3
    assert (shown["records"].phi > 0).all()
    assert int(shown["records"].lipschitz_mean.notnull().sum()) == 3
    assert len(shown["figure"].axes) == 3
    assert shown["one_head"].dataset().attrs["layer"] == "stem"
    assert shown["mixed"].dataset().passes.values.tolist() == [2]
    assert shown["fast"].dataset().phi.notnull().all()
    assert shown["twice"].dataset().phi.notnull().all()
    assert [step for step, _ in shown["lines"]] == [1, 2, 3, 4]
    assert shown["finding"].blocks == 3


def test_what_needs_more_than_one_process_is_python_at_least():
    assert blocks("py")
    for block in blocks("py"):
        compile(block, "docs/how-to/watching.md", "exec")


def rows(heading):
    section = page().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [line.strip("|").replace(r"\|", "¦").split("|") for line in section.splitlines() if line.startswith("| ")][1:]


def test_every_quantity_has_its_row():
    said = {name.strip(" `"): (what.strip().replace("¦", "|"), unit.strip()) for name, what, unit in rows("What is recorded")}
    assert said == QUANTITIES


def net():
    return nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))


def watch(model=None, optimizer=None, **options):
    model = net() if model is None else model
    return bthcheck.watch(model, optimizer or torch.optim.SGD(model.parameters(), lr=0.1), **options)


class Pair(nn.Linear):
    def forward(self, x):
        z = super().forward(x)
        return {"mean": z, "spread": z.abs()}


def twice():
    model = net()
    return watch(model), watch(model)


REFUSED = {
    "no module": lambda: bthcheck.watch("net", None),
    "no optimizer": lambda: watch(optimizer=3),
    "the optimizer of another model": lambda: watch(optimizer=torch.optim.SGD(net().parameters(), lr=0.1)),
    "a model without layers": lambda: watch(nn.ParameterList([nn.Parameter(torch.ones(1))])),
    "a model that is watched already": twice,
    "DataParallel": lambda: watch(nn.DataParallel(net())),
    "a scripted model": lambda: watch(torch.jit.script(net())),
    "lazy layers before their first call": lambda: watch(nn.Sequential(nn.LazyLinear(2))),
    "a layer that is not there": lambda: watch(layer="stem"),
    "a probe of no points": lambda: watch(probe=torch.ones(0, 3)),
    "a probe that is not finite": lambda: watch(probe=torch.full((1, 3), float("nan"))),
    "a probe that the model does not take": lambda: watch(probe=torch.ones(1, 4)),
    "an f of many outputs at a probe": lambda: watch(nn.Linear(3, 100), probe=torch.ones(1, 3)),
    "a schedule that is none": lambda: watch(probe_every="step"),
    "several things returned, at the probe or in the first pass": lambda: watch(Pair(3, 1), probe=torch.ones(1, 3)),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_is_refused_in_the_sentence_that_is_shown(what):
    with pytest.raises((TypeError, ValueError)) as caught:
        REFUSED[what]()
    said = {one.strip(): sentence.strip(" `") for one, sentence in rows("What is refused")}
    assert set(said) == set(REFUSED)
    assert said[what] == str(caught.value)


def test_the_example_runs(tmp_path):
    spec = importlib.util.spec_from_file_location("watching_example", DOCS / "figures" / "watching_example.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    paper = example.PAPER.replace(
        seeds=(0, 1), epochs=2, task=CorruptedImages(train=20, test=10), network=CNN(channels=(2, 3), hidden=4)
    )
    picture = tmp_path / "watching.svg"
    found = example.main(seeds=2, epochs=2, images=40, paper=paper, engine="reference", cores=1, picture=picture)
    assert len(found) == 3
    for evidence in found.values():
        assert evidence.verdict is Verdict.INCONCLUSIVE  # nothing is fit
        condition, *trends = evidence.findings
        assert "0 of 4 runs have a training loss below 0.0693" in condition.reason
        assert len(trends) == 3
        assert all(0 < value < 100 for finding in trends for row in finding.table["values"] for value in row)
    drawn = picture.read_text(encoding="utf-8")
    assert drawn.count('id="axes_') == 18
    assert (DOCS / "figures" / "watching.svg").read_text(encoding="utf-8").count('id="axes_') == 18
