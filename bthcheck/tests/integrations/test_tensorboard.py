"""Records in TensorBoard's event files."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from bthcheck.tests.integrations.training import logged, series
from bthcheck.watching.logs import TensorBoard


@pytest.mark.parametrize("own", [True, False])
def test_event_files_are_read_back_the_same(tmp_path, own):
    folder = tmp_path / "run"
    writer = None if own else SummaryWriter(folder)
    if writer is not None:
        writer.add_scalar("loss", 1.0, 1)
    records = logged(TensorBoard(folder if own else writer))
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0})  # while the writer is open
    found.Reload()
    tags = set(found.Tags()["scalars"])
    assert {"bthcheck/phi", "bthcheck/train_loss", "bthcheck/lipschitz_mean", "bthcheck/epoch"} <= tags
    assert tags - {tag for tag in tags if tag.startswith("bthcheck/")} == (set() if own else {"loss"})
    for tag in tags - {"loss"}:
        wanted = series(records, tag.removeprefix("bthcheck/"))
        assert {event.step: event.value for event in found.Scalars(tag)} == pytest.approx(wanted, rel=1e-6), tag
    assert len(series(records, "phi")) == 40
    assert len(series(records, "train_loss")) == 10
    if writer is not None:
        writer.add_scalar("loss", 2.0, 2)  # which is still its owner's
        writer.close()
