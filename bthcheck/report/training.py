"""What is written of one training: its figures, a table of numbers, and a small HTML page of both that opens offline."""

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bthcheck.files import write_whole
from bthcheck.report.curves import HEIGHT, WIDTH, panels
from bthcheck.report.environment import describe
from bthcheck.report.experiments import identity, without_folders
from bthcheck.report.numbers import cell
from bthcheck.report.page import fill

if TYPE_CHECKING:
    import xarray as xr

PAGE = "index.html"
FORMATS = ("svg", "png")
EXPERIMENTS = "experiments"
"""Folder, beside a report, of the pages of what it trained."""


def summary(dataset: "xr.Dataset") -> tuple[list[str], list[list[str]]]:
    """Return the columns and, a level each, the rows of a table of what was measured: medians over seeds, as text.

    Parameters
    ----------
    dataset : from `bthcheck.run`, dimensions (level, "seed", "epoch")
    """
    from bthcheck.figures.paper import LATE_EPOCHS

    level, windows = str(dataset.attrs["level"]), int(dataset.attrs["windows"])
    end, late = dataset.isel(epoch=-1), dataset.isel(epoch=slice(-LATE_EPOCHS * windows, None))
    steps = int(dataset.attrs["steps_per_epoch"]) // windows
    measured: dict[str, Any] = {
        "training loss": end.train_loss,
        "test loss": end.test_loss,
        "training error": end.train_error,
        "test error": end.test_error,
        "total φ": dataset.trajectory_length.sum("epoch"),
        f"mean φ, last {LATE_EPOCHS}": late.trajectory_length.mean("epoch") / steps,
        "mean λ(x)": end.lipschitz_mean,
        f"var b₁/α², last {LATE_EPOCHS}": late.bias_variance.mean("epoch"),
        "‖b₁ − b₁⁰‖": end.distance_to_init,
    }
    measured = {name: values.median("seed") for name, values in measured.items() if values.notnull().any()}
    levels = dataset[level].values.tolist()
    diverged = dataset.diverged.sum("seed").values.tolist()
    columns = [level, *measured, *(["diverged"] if any(diverged) else [])]
    rows = [
        [cell(name), *(cell(values.isel({level: i})) for values in measured.values()), *([cell(diverged[i])] * any(diverged))]
        for i, name in enumerate(levels)
    ]
    return columns, rows


def aligned(columns: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table for a terminal, numbers to the right."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    return ["  ".join(f"{entry:>{width}}" for entry, width in zip(row, widths, strict=True)) for row in [columns, *rows]]


def write(folder: Path, dataset: "xr.Dataset", file: str) -> Path:
    """Write the figures, as SVG and PNG, and the page into `folder`, and return the path of the latter.

    Parameters
    ----------
    dataset : from `bthcheck.run`
    file : name of the file that holds it

    Raises
    ------
    OSError
        If a file cannot be written; the one that was there before still is.
    """
    from bthcheck.figures import of_training, save

    figures = []
    for drawn in of_training(dataset):
        for suffix in FORMATS:
            save(drawn.figure, folder / "figures" / f"{drawn.name}.{suffix}")
        figures.append({"path": f"figures/{drawn.name}.svg", "caption": drawn.caption})
    write_whole(folder / PAGE, _page(dataset, file, figures, folder))
    return folder / PAGE


def write_beside(folder: Path, dataset: "xr.Dataset", data: bool = False) -> dict[str, str]:
    """Write the page of an experiment beside a report, and return its path in `folder`, "page".

    Parameters
    ----------
    dataset : from `bthcheck.run`
    data : whether to write its Dataset, too, whose path is "file", and the figures of the paper

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    configuration = dataset.bthcheck.configuration
    words = re.sub(r"[^A-Za-z0-9]+", "-", configuration["name"]).strip("-") or "experiment"
    name = f"{words[:60]}-{identity(without_folders(configuration))[:8]}"
    (folder / EXPERIMENTS).mkdir(parents=True, exist_ok=True)
    figures = []
    if data:
        from bthcheck.figures import of_training
        from bthcheck.figures.style import read
        from bthcheck.training import stored

        stored.save(dataset, folder / EXPERIMENTS / f"{name}.nc")
        for drawn in of_training(dataset):
            made = read(drawn.figure)
            said = f"{drawn.caption} {made.said.tobytes().decode()}"
            figures.append({"svg": made.svg.tobytes(), "alt": said, "caption": drawn.caption})
    page = f"{EXPERIMENTS}/{name}.html"
    write_whole(folder / page, _page(dataset, f"{name}.nc" if data else None, figures, folder, report="../index.html"))
    return {"page": page, "file": f"{EXPERIMENTS}/{name}.nc"} if data else {"page": page}


def runs(dataset: "xr.Dataset") -> tuple[list[str], list[list[str]]]:
    """Return the columns and rows, one a run, of a table: level, seed, what it has fit, and whether it diverged, as text.

    Parameters
    ----------
    dataset : from `bthcheck.run`
    """
    level = str(dataset.attrs["level"])
    names = {"loss at first": dataset.train_loss.isel(epoch=0), "loss at the end": dataset.train_loss.isel(epoch=-1)}
    if dataset.train_error.notnull().any():
        names["error at the end"] = dataset.train_error.isel(epoch=-1)
    tables = [values.transpose(level, "seed").values for values in names.values()]
    diverged = dataset.diverged.transpose(level, "seed").values
    rows = [
        [cell(one), cell(seed), *(cell(table[i, j]) for table in tables), "yes" if diverged[i, j] else "no"]
        for i, one in enumerate(dataset[level].values.tolist())
        for j, seed in enumerate(dataset["seed"].values.tolist())
    ]
    return [level, "seed", *names, "diverged"], rows


@functools.cache
def _environment() -> dict[str, str]:
    """Describe this machine once: it asks git, and a session has dozens of pages."""
    return describe(Path(__file__).parent)


def _page(
    dataset: "xr.Dataset", file: str | None, figures: list[dict[str, Any]], folder: Path, report: str | None = None
) -> str:
    configuration = dataset.bthcheck.configuration
    columns, rows = summary(dataset)
    run_columns, run_rows = runs(dataset)
    return fill(
        "training.html",
        {
            "run_columns": run_columns,
            "runs": run_rows,
            "name": configuration["name"],
            "vary": configuration["vary"],
            "levels": configuration["levels"],
            "seeds": configuration["seeds"],
            "epochs": configuration["training"]["epochs"],
            "engine": dataset.attrs["engine"],
            "device": dataset.attrs["device"],
            "diverged": int(dataset.diverged.sum()),
            "file": file,
            "report": report,
            "columns": columns,
            "rows": rows,
            "figures": figures,
            "panels": panels(dataset) if report else [],
            "size": (WIDTH, HEIGHT),
            "configuration": configuration,
            "environment": _environment(),
        },
        folder,
    )
