"""Ready-made ``log=`` of `bthcheck.watch`: to TensorBoard, MLflow, Weights & Biases, or a CSV file.

Where a tool keeps what others log as well, names begin with "bthcheck/". Each needs its own package, which is imported when one
is made; CSV needs none.
"""

import csv
import io
import os
import time
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bthcheck.checks import one_of
from bthcheck.files import write_whole
from bthcheck.watching.callbacks import needed

PREFIX = "bthcheck/"
_BATCH = 1000
"""Metrics that MLflow takes at once."""


class TensorBoard:
    """Scalars for TensorBoard.

    Parameters
    ----------
    to : the folder of a run, or a SummaryWriter of torch.utils.tensorboard, which stays its owner's to close

    Raises
    ------
    ImportError
        If the package tensorboard is not there.
    TypeError
        If it is neither.
    """

    def __init__(self, to: Any) -> None:
        if isinstance(to, (str, os.PathLike)):
            self._writer = needed("tensorboard", "torch.utils.tensorboard").SummaryWriter(os.fspath(to))
            weakref.finalize(self, self._writer.close)
        elif callable(getattr(to, "add_scalar", None)) and callable(getattr(to, "flush", None)):
            self._writer = to
        else:
            raise TypeError(f"TensorBoard logs to a folder or a SummaryWriter, got a {type(to).__name__}")

    def __call__(self, values: Mapping[str, float], step: int) -> None:
        """Take a record."""
        for name, value in values.items():
            self._writer.add_scalar(PREFIX + name, value, step)

    def flush(self) -> None:
        """Write what was taken."""
        self._writer.flush()


class MLflow:
    """Metrics of an MLflow run, sent a thousand at a time or whenever a block of records is over.

    Parameters
    ----------
    run : a run of ``mlflow.start_run``, or its id; else the active one
    tracking_uri : where it is; else where MLflow tracks

    Raises
    ------
    ImportError
        If neither mlflow nor mlflow-skinny is there.
    ValueError
        If no run is given and none is active.
    """

    def __init__(self, run: Any = None, tracking_uri: str | None = None) -> None:
        mlflow = needed("mlflow", "mlflow")
        run = mlflow.active_run() if run is None else run
        if run is None:
            raise ValueError("no MLflow run is active; call mlflow.start_run() before, or give a run or its id")
        self._run = run if isinstance(run, str) else run.info.run_id
        self._client = mlflow.MlflowClient(tracking_uri)
        self._metric = mlflow.entities.Metric
        self._waiting: list[Any] = []

    def __call__(self, values: Mapping[str, float], step: int) -> None:
        """Take a record."""
        now = int(time.time() * 1000)
        self._waiting += [self._metric(PREFIX + name, value, now, step) for name, value in values.items()]
        while len(self._waiting) >= _BATCH:
            self._send()

    def flush(self) -> None:
        """Send what was taken."""
        while self._waiting:
            self._send()

    def _send(self) -> None:
        self._client.log_batch(self._run, metrics=self._waiting[:_BATCH])
        del self._waiting[:_BATCH]


class WandB:
    """History of a run of Weights & Biases, drawn over the steps of the optimizer, "bthcheck/step".

    Every record is a row of the history, so that wandb's own count of rows is not that of the loop's: a loop that gives
    ``step=`` to ``run.log`` should define a step metric of its own, too.

    Parameters
    ----------
    run : what ``wandb.init`` returned; else the active run

    Raises
    ------
    ImportError
        If no run is given and the package wandb is not there.
    TypeError
        If it is no run.
    ValueError
        If no run is given and none is active.
    """

    def __init__(self, run: Any = None) -> None:
        run = needed("wandb", "wandb").run if run is None else run
        if run is None:
            raise ValueError("no run of wandb is active; call wandb.init() before, or give the run")
        if not callable(getattr(run, "define_metric", None)) or not callable(getattr(run, "log", None)):
            raise TypeError(f"WandB logs to a run, as wandb.init returns it, got a {type(run).__name__}")
        self._run = run
        run.define_metric(f"{PREFIX}step", hidden=True)
        run.define_metric(f"{PREFIX}*", step_metric=f"{PREFIX}step")

    def __call__(self, values: Mapping[str, float], step: int) -> None:
        """Take a record."""
        self._run.log({f"{PREFIX}step": step, **{PREFIX + name: value for name, value in values.items()}})


class CSV:
    """A CSV file with one header and a line a record; what a record lacks is empty.

    Columns are "step" and those of the first record. A record with a further quantity widens the table: the file is written
    anew, whole or not at all. Lines are written whole, one by one; numbers are written so that they are read back the same.

    Parameters
    ----------
    path : the file, in a folder that exists
    existing : what to do with a file that is there: "refuse", "continue" it below its last whole line, or "overwrite" it now

    Raises
    ------
    ValueError
        If the file is there and refused, is none of this kind, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], existing: str = "refuse") -> None:
        one_of("existing", existing, ("refuse", "continue", "overwrite"))
        self.path = Path(path)
        self._columns: list[str] = []
        try:
            if self.path.exists() and existing == "refuse":
                raise ValueError(f"{self.path} is there already; say existing='continue' or existing='overwrite'")
            if self.path.exists() and existing == "continue":
                self._columns = self._taken_up()
            else:
                write_whole(self.path, "")
            self._file = self._opened()
        except OSError as error:
            raise ValueError(f"{self.path} cannot be written: {error.strerror}") from error

    def __call__(self, values: Mapping[str, float], step: int) -> None:
        """Take a record."""
        row: dict[str, float] = {"step": step, **values}
        further = [name for name in row if name not in self._columns]
        if further:
            self._widen(further)
        self._file.write(_line([row.get(name, "") for name in self._columns]))

    def _opened(self) -> io.TextIOWrapper:
        file = self.path.open("a", buffering=1, encoding="utf-8", newline="")
        weakref.finalize(self, file.close)
        return file

    def _taken_up(self) -> list[str]:
        """Return the columns of the file that is there, and drop a line that was not finished."""
        with self.path.open("r+b") as file:
            content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            columns = next(csv.reader(io.StringIO(whole.decode("utf-8", "replace"))), [])
            if content and columns[:1] != ["step"]:
                raise ValueError(
                    f"{self.path} cannot be continued: its first line does not name columns, of which 'step' is first"
                )
            file.truncate(len(whole))
        return columns

    def _widen(self, further: list[str]) -> None:
        before = list(csv.reader(io.StringIO(self.path.read_text(encoding="utf-8"), newline="")))
        self._columns += further
        rows = [self._columns, *(row + [""] * len(further) for row in before[1:])]
        self._file.close()
        write_whole(self.path, "".join(map(_line, rows)))
        self._file = self._opened()


def _line(cells: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
