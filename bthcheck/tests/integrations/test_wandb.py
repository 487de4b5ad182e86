"""Records in a run of Weights & Biases that is kept offline, whose file is read here."""

import json
import time

import pytest
import wandb
from wandb.proto.wandb_internal_pb2 import Record

from bthcheck.tests.integrations.training import logged, series
from bthcheck.watching.logs import WandB

BLOCK = 32768


def written(path):
    """Return the records of a .wandb file: a header of 7 bytes, then blocks of pieces, each with checksum, length and kind."""
    content, position, pieces = path.read_bytes(), 7, b""
    while position + 7 <= len(content):
        left = BLOCK - position % BLOCK
        if left < 7:
            position += left
            continue
        length, kind = int.from_bytes(content[position + 4 : position + 6], "little"), content[position + 6]
        if kind == 0 or position + 7 + length > len(content):
            break
        pieces += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield Record.FromString(pieces)
            pieces = b""


def finished(path):
    """Return the records once that of the run's end is there: another process writes them."""
    records = []
    for _ in range(600):
        records = list(written(path))
        if any(record.HasField("exit") for record in records):
            break
        time.sleep(0.1)
    return records


@pytest.fixture
def offline(tmp_path, monkeypatch):
    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}.items():
        monkeypatch.setenv(name, value)
    yield tmp_path
    wandb.teardown()


@pytest.mark.parametrize("given", [True, False])
def test_the_file_is_read_back_the_same(offline, given):
    run = wandb.init(project="bthcheck", dir=offline)
    run.log({"own": 1.0})
    records = logged(WandB(run if given else None))
    run.log({"own": 2.0})
    run.finish()
    (path,) = offline.rglob("*.wandb")
    rows, metrics = [], {}
    for record in finished(path):
        if record.HasField("history"):
            items = record.history.item
            rows.append({item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items})
        if record.HasField("metric"):
            metrics[record.metric.name or record.metric.glob_name] = record.metric.step_metric
    assert metrics["bthcheck/*"] == "bthcheck/step"
    assert [row["own"] for row in rows if "own" in row] == [1.0, 2.0]
    own = [row for row in rows if "bthcheck/step" in row]
    assert [row["bthcheck/step"] for row in own] == list(range(1, 41))
    for name in ("phi", "train_loss", "lipschitz_mean", "epoch", "samples"):
        found = {row["bthcheck/step"]: row[f"bthcheck/{name}"] for row in own if f"bthcheck/{name}" in row}
        assert found == pytest.approx(series(records, name), rel=1e-12), name


def test_without_a_run_it_says_so(offline):
    with pytest.raises(ValueError, match=r"no run of wandb is active; call wandb\.init"):
        WandB()
