"""Draw docs/figures/architecture.svg from the imports as they are: ``python docs/figures/draw_architecture.py``.

Floors are those of the layers contract in pyproject.toml, from the top down. An arc is an import from one floor to another, the
thicker the more modules import; all of them go down.
"""

import textwrap
import tomllib
from collections import Counter
from pathlib import Path

import grimp
import matplotlib
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

ROOT = Path(__file__).parents[2]
PICTURE = Path(__file__).with_name("architecture.svg")
WIDTH = 5.4  # of a floor, in inches, as all lengths here
MARGIN = 2.0  # beside it, for the arcs
SAYS = {
    "__main__": "python -m bthcheck",
    "cli": "the command bthcheck",
    "benchmark": "speed and memory",
    "pytest_plugin": "the name that conftest.py loads",
    "harness": "what pytest drives",
    "report": "what is written of a session",
    "watching": "any PyTorch training",
    "figures": "labelled arrays in, a Figure out",
    "evidence": "how a claim is tested",
    "theory": "what the theorems say of a training",
    "training": "how: engines, runs, cache, results",
    "geometry": "what a network is like at its inputs",
    "experiments": "what is trained",
    "layers": "whose bias is followed",
    "networks": "who learns",
    "modules": "of what networks are built",
    "protocols": "of one's own",
    "tasks": "what is learned",
    "datasets": "images",
    "processes": "alive or dead",
    "ambient": "what a program has set",
    "checks": "bad input, in a sentence",
    "choices": "words a user may choose",
    "faces": "names handed on",
    "files": "whole or not at all",
    "progress": "how far training is",
    "text": "shown as the characters it has",
}


def floors() -> list[list[str]]:
    """Return the floors from the top down, what stands side by side on one together."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "floors")
    return [layer.split(" | ") for layer in layers]


def imports() -> tuple[dict[str, list[str]], Counter[tuple[str, str]]]:
    """Return floor → its modules, and (floor, floor below) → how many imports there are."""
    graph = grimp.build_graph("bthcheck", exclude_type_checking_imports=True)
    rooms = [name for floor in floors() for name in floor]
    modules: dict[str, list[str]] = {name: [] for name in rooms}
    arcs: Counter[tuple[str, str]] = Counter()
    for module in sorted(graph.modules):
        floor = _floor(module)
        if floor not in modules:
            continue
        if module.count(".") > 1 and not graph.find_children(module):
            modules[floor].append(module.split(".", 2)[2])
        for other in sorted(graph.find_modules_directly_imported_by(module)):
            if _floor(other) in modules and _floor(other) != floor:
                arcs[floor, _floor(other)] += 1
    return modules, arcs


def _floor(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def draw(path: Path = PICTURE) -> None:
    """Write the picture."""
    modules, arcs = imports()
    texts = {name: textwrap.wrap(", ".join(modules[name]), 90 // len(floor)) for floor in floors() for name in floor}
    heights = [0.36 + 0.155 * max(len(texts[name]) for name in floor) + 0.12 * (len(floor) > 1) for floor in floors()]
    gap = 0.16
    total = sum(heights) + gap * (len(heights) + 1)
    with matplotlib.rc_context({"svg.hashsalt": "bthcheck", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(WIDTH + MARGIN, total))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDTH + MARGIN), ylim=(0, total))
        axes.set_axis_off()
        where: dict[str, tuple[float, float]] = {}
        top = total - gap
        for floor, height in zip(floors(), heights, strict=True):
            width = (WIDTH - 0.1 * (len(floor) - 1)) / len(floor)
            for number, name in enumerate(floor):
                left = 0.1 + number * (width + 0.1)
                axes.add_patch(Rectangle((left, top - height), width, height, facecolor="#f3f6fb", edgecolor="#5c6675"))
                axes.text(left + 0.08, top - 0.17, name, fontweight="bold", fontsize=9, va="center")
                if len(floor) == 1:
                    axes.text(left + width - 0.08, top - 0.17, SAYS[name], ha="right", va="center", color="#5c6675")
                else:
                    axes.text(left + 0.08, top - 0.32, SAYS[name], va="center", color="#5c6675", fontsize=7)
                below = top - 0.3 - 0.12 * (len(floor) > 1)
                axes.text(left + 0.08, below, "\n".join(texts[name]), va="top", fontsize=7, linespacing=1.25)
                where[name] = (top, height)
            top -= height + gap
        colors = matplotlib.colormaps["tab20"]
        order = [name for floor in floors() for name in floor]
        for (source, target), count in sorted(arcs.items()):
            (one, tall), (other, deep) = where[source], where[target]
            start, end = one - 0.75 * tall, other - 0.35 * deep
            arc = FancyArrowPatch(
                (WIDTH + 0.12, start), (WIDTH + 0.12, end), connectionstyle=f"arc3,rad={-0.25 - 0.9 / (1 + start - end):.3f}",
                arrowstyle="-|>", mutation_scale=7, linewidth=0.5 + 0.35 * count**0.6, color=colors(order.index(source) % 20),
                alpha=0.8, shrinkA=0, shrinkB=0,
            )  # fmt: skip
            arc.set_gid(f"{source}->{target}")
            axes.add_patch(arc)
        figure.savefig(path, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    draw()
    print(f"drawn: {PICTURE.relative_to(ROOT)}")
