"""Records in a CSV file, and what logs to tools say that are not there."""

import csv
import os
import sys

import numpy as np
import pytest
import torch
from torch import nn

import bthcheck
from bthcheck.watching.logs import CSV, MLflow, TensorBoard, WandB


def read(path):
    content = path.read_text(encoding="utf-8")
    assert content == "" or content.endswith("\n")
    return list(csv.DictReader(content.splitlines()))


def test_a_training_in_a_file_is_read_back_the_same(tmp_path):
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    path = tmp_path / "records.csv"
    with bthcheck.watch(net, optimizer, probe=torch.randn(2, 3), probe_every=20, log=CSV(path)) as w:
        for step in range(50):
            optimizer.zero_grad()
            (net(torch.randn(5, 3)) ** 2).mean().backward()
            optimizer.step()
            if step > 30:  # a quantity that the first records do not have
                w.mark(loss=step / 7)
    rows, records = read(path), w.dataset()
    assert [int(row["step"]) for row in rows] == list(range(1, 51))
    for name in ("phi", "update", "learning_rate", "wall_time", "lipschitz_mean", "train_loss", "samples"):
        found = [float(row[name]) if row[name] else np.nan for row in rows]
        np.testing.assert_array_equal(found, records[name], err_msg=name)
    assert records.lipschitz_mean.notnull().sum() == 3
    assert records.train_loss.notnull().sum() == 19


def test_the_header_is_written_once_and_further_quantities_widen_it(tmp_path):
    path = tmp_path / "records.csv"
    log = CSV(path)
    assert path.read_text() == ""
    log({"b": 0.1, "a": 2}, 1)
    log({"a": 1e-300}, 2)
    assert path.read_text() == "step,b,a\n1,0.1,2\n2,,1e-300\n"
    log({"c": float("inf"), "a": 3.0, "odd, name": 4.0}, 3)
    log({}, 4)
    assert path.read_text() == 'step,b,a,c,"odd, name"\n1,0.1,2,,\n2,,1e-300,,\n3,,3.0,inf,4.0\n4,,,,\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_there_is_refused_continued_or_overwritten(tmp_path):
    path = tmp_path / "records.csv"
    CSV(path)({"a": 1.0}, 1)
    with pytest.raises(ValueError, match="is there already; say existing='continue' or existing='overwrite'"):
        CSV(path)
    with path.open("a") as file:
        file.write("2,0.12")  # a process that was killed
    log = CSV(os.fspath(path), existing="continue")
    log({"a": 2.0}, 2)
    log({"b": 3.0}, 3)
    assert path.read_text() == "step,a,b\n1,1.0,\n2,2.0,\n3,,3.0\n"
    CSV(path, existing="overwrite")({"b": 4.0}, 4)
    assert path.read_text() == "step,b\n4,4.0\n"
    path.write_text("")
    CSV(path, existing="continue")({"a": 1.0}, 1)
    assert path.read_text() == "step,a\n1,1.0\n"
    CSV(tmp_path / "new.csv", existing="continue")({"a": 1.0}, 1)
    assert (tmp_path / "new.csv").read_text() == path.read_text()


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "no line", "\n", b"\xff\xfe\n"])
def test_another_file_is_not_continued_and_stays_as_it_is(tmp_path, content):
    path = tmp_path / "other.csv"
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be continued: its first line does not name columns"):
        CSV(path, existing="continue")
    assert path.read_bytes() == content


def test_what_is_no_file_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"none/records\.csv cannot be written: No such file"):
        CSV(tmp_path / "none" / "records.csv")
    for existing in ("continue", "overwrite"):
        with pytest.raises(ValueError, match="cannot be written: "):
            CSV(tmp_path, existing=existing)
    with pytest.raises(ValueError, match="existing must be one of 'refuse', 'continue', 'overwrite', got 'append'"):
        CSV(tmp_path / "records.csv", existing="append")


class Writer:
    """What a SummaryWriter and a run of wandb have of what is needed."""

    def __init__(self):
        self.done = []

    def add_scalar(self, *args):
        self.done.append(args)

    def flush(self):
        self.done.append("flushed")

    def define_metric(self, name, **options):
        self.done.append((name, options))

    def log(self, values):
        self.done.append(values)


def test_a_writer_and_a_run_will_do_without_the_package():
    writer, run = Writer(), Writer()
    log = TensorBoard(writer)
    log({"phi": 0.5}, 3)
    log.flush()
    assert writer.done == [("bthcheck/phi", 0.5, 3), "flushed"]
    WandB(run)({"phi": 0.5}, 3)
    assert run.done[-1] == {"bthcheck/step": 3, "bthcheck/phi": 0.5}
    for kind, said in ((TensorBoard, "a folder or a SummaryWriter, got a int"), (WandB, "a run, as wandb.init .* got a int")):
        with pytest.raises(TypeError, match=said):
            kind(3)


@pytest.mark.parametrize(
    ("module", "extra", "use"),
    [
        ("torch.utils.tensorboard", "tensorboard", lambda: TensorBoard("runs")),
        ("mlflow", "mlflow", MLflow),
        ("wandb", "wandb", WandB),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch, module, extra, use):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"^{extra} is needed for this .*; pip install 'bthcheck\[{extra}\]'$"):
        use()
