"""Draw docs/figures/reliability.svg from its own runs: ``python docs/figures/reliability_figure.py``.

A row is a condition that must not matter, a column an engine: how many runs are the same to the bit as under no condition.
"""

from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bthcheck.benchmark.faults.conditions import ENGINES, Comparison, measure
from bthcheck.report.environment import describe

PICTURE = Path(__file__).with_name("reliability.svg")
EQUAL, DIFFER = "#d9efe0", "#fbe3b8"
LEFT, WIDE, HIGH = 2.4, 1.35, 0.27  # inches: the conditions' names, a column, a row


def draw(found: list[Comparison], where: str, path: Path = PICTURE) -> None:
    """Write the picture of comparisons; `where` says on what they were made."""
    conditions = list(dict.fromkeys(one.condition for one in found))
    width, height = LEFT + WIDE * len(ENGINES) + 0.1, HIGH * (len(conditions) + 2) + 0.1
    with matplotlib.rc_context({"svg.hashsalt": "bthcheck", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(0, height))
        axes.set_axis_off()
        for number, engine in enumerate(ENGINES):
            axes.text(LEFT + WIDE * (number + 0.5), height - 0.2, engine, ha="center", va="center", fontweight="bold")
        for one in found:
            row, column = conditions.index(one.condition), ENGINES.index(one.engine)
            bottom, left = height - HIGH * (row + 2) - 0.05, LEFT + WIDE * column
            same = one.equal == one.runs
            axes.add_patch(Rectangle((left + 0.03, bottom + 0.02), WIDE - 0.06, HIGH - 0.04, color=EQUAL if same else DIFFER))
            text = f"{one.equal} of {one.runs} equal" if same else f"{one.equal} of {one.runs}, to {one.largest:.0e}"
            axes.text(left + WIDE / 2, bottom + HIGH / 2, text, ha="center", va="center")
            if column == 0:
                axes.text(LEFT - 0.1, bottom + HIGH / 2, one.condition, ha="right", va="center")
        axes.text(
            0.1, 0.12, f"{sum(one.runs for one in found)} runs compared, every bit of them; {where}", fontsize=7, va="center"
        )
        figure.savefig(path, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    facts = describe(Path(__file__).parents[2])
    compared = measure(lambda line: print(line, flush=True))
    draw(compared, f"{facts['processor']}, torch {facts['torch']}, numba {facts['numba']}")
    print(f"drawn: {PICTURE.name}")
