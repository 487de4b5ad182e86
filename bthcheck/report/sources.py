"""Where in the paper a claim comes from: the part of the report it stands in, its place there, and the figure it reproduces.

All of it is read off a claim's `source`, such as "Corollary 2, Fig. 2a" or "Scope of Theorem 1 (not in the paper)", so that
claims of other projects have a place too.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bthcheck.report.records import family

Row = Mapping[str, Any]

GROUPS = {
    "theorems": "Theorems, lemmas and corollaries",
    "figures": "Figures",
    "appendix": "Appendix",
    "scope": "Scope of the theorems",
    "code": "The authors' code",
    "other": "Other claims",
    "extensions": "Beyond the paper",
}
"""The parts of the report, in their order, with their headings."""
ABOUT = {
    "scope": "Under which conditions the paper's statements hold, asked by bthcheck; the paper does not state these claims.",
    "code": "Whether what the authors' released code computes is what the paper defines.",
    "extensions": "What the paper leaves open, what competes with it, and where it may fail: claims that are not its authors'."
    " They are a family of their own, which together err with probability at most 5 %.",
}
"""Part of the report → what is to be said of it, where its heading does not say all."""


@dataclass(frozen=True)
class Item:
    """A theorem or figure of the paper.

    name : as a claim's `source` names it, "Theorem 1" or "Fig. 1a"
    says : what it says or shows, in a sentence of plain English
    """

    name: str
    says: str

    def is_source_of(self, row: Row) -> bool:
        """Whether a claim of the paper's tests it: not one about its scope, and none that goes beyond the paper."""
        return group_of(row) not in ("scope", "code", "extensions") and self.named_in(row["claim"]["source"])

    def named_in(self, text: str) -> bool:
        """Whether a text names it: "Fig. 1a" is not in "Fig. 1ab"."""
        return re.search(rf"{re.escape(self.name)}(?!\w|\.\w)", text) is not None


STATEMENTS = (
    Item("Lemma 1", "How steep the network is at a sampled point is bounded by how far its first bias moves in that step."),
    Item("Theorem 1", "The bias of a network that has learned a steeper function travels further near convergence."),
    Item("Corollary 1", "If the bias's normalised steps stay short, the network stays flat at all training points."),
    Item("Corollary 2", "The bias of a network that has learned a steeper function varies more near convergence."),
    Item(
        "Corollary 3", "With the squared loss, the bias ends further from where it began the steeper the network is on the way."
    ),
    Item("Theorem 2", "Regions without training points are about as flat as the training points whose patterns they combine."),
    Item("Theorem 3", "A network trained with Dropout, while steady, is flat everywhere, and so generalises."),
)
FIGURES = (
    Item("Fig. 1a", "Training loss on sinusoids: higher frequencies are learned later."),
    Item("Fig. 1b", "Bias trajectory on sinusoids: higher frequencies have the longer one."),
    Item("Fig. 1c", "Test loss on sinusoids: higher frequencies generalise worse."),
    Item("Fig. 1d", "Training loss on CIFAR-10: corrupted labels are learned later."),
    Item("Fig. 1e", "Bias trajectory on CIFAR-10: more corrupted labels make it longer."),
    Item("Fig. 1f", "Test loss on CIFAR-10: more corrupted labels generalise worse."),
    Item("Fig. 2a", "Variance of the bias on sinusoids."),
    Item("Fig. 2b", "Distance of the bias to its initialisation on sinusoids."),
    Item("Fig. 2c", "Variance of the bias on CIFAR-10 with corrupted labels."),
    Item("Fig. 6", "Bounds on the slope in the linear regions of a plane."),
)
APPENDIX = (
    Item("Appendix, MNIST architectures", "The architecture that generalises better has the shorter trajectory."),
    Item("Appendix, batch size", "The order of trajectories survives minibatches."),
)
_OTHER_STATEMENTS = ("Product of norms", "Discussion of")
_ELSEWHERE = "(not in the paper"


def group_of(row: Row) -> str:
    """Return the part of the report that a claim's row stands in, one of `GROUPS`."""
    source = row["claim"]["source"]
    if family(dict(row)) == "extensions":
        return "extensions"
    if "released code" in source:
        return "code"
    if source.startswith("Appendix"):
        return "appendix"
    if source.startswith("Scope") or _ELSEWHERE in source:
        return "scope"
    if source.startswith(_OTHER_STATEMENTS) or any(item.named_in(source) for item in STATEMENTS):
        return "theorems"
    return "figures" if re.search(r"\bFig(\.|ure) ?\d", source) else "other"


def grouped(rows: Sequence[Any]) -> list[tuple[str, list[Any]]]:
    """Return the parts that have claims, each with its rows in the paper's order."""
    parts: dict[str, list[Any]] = {name: [] for name in GROUPS}
    for row in sorted(rows, key=_place):
        parts[group_of(row)].append(row)
    return [(name, found) for name, found in parts.items() if found]


def _place(row: Row) -> tuple[int, list[tuple[bool, int, str]]]:
    """Return where a claim stands within its part: by what it is about, then by id with numbers as numbers."""
    source = row["claim"]["source"]
    items = (*STATEMENTS, *FIGURES, *APPENDIX)
    about = next((number for number, item in enumerate(items) if item.named_in(source)), len(items))
    if group_of(row) == "extensions":  # these have numbers of their own
        about = 0
    parts = re.findall(r"\d+|\D+", row["claim"]["id"])
    return about, [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


@dataclass(frozen=True)
class Reproduced:
    """A figure of the paper as this session drew it.

    item : the figure
    drawn : pairs of a claim's row and an entry of its `figures`; empty where no claim of the session drew it
    """

    item: Item
    drawn: tuple[tuple[Row, Mapping[str, Any]], ...]


def gallery(rows: Sequence[Row]) -> list[Reproduced]:
    """Return the figures of the paper, the appendix's last, each with what was drawn of it.

    That is the figure whose caption names it, "(Fig. 1a)"; of a claim that reproduces it and has none such, the first. Of the
    appendix, which has no numbers, it is all that its claims drew.
    """
    found = []
    for item in FIGURES:
        drawn = [
            (row, figures[0])
            for row in rows
            if item.is_source_of(row)
            for figures in [[f for f in row["figures"] if item.named_in(f["caption"])] or row["figures"][:1]]
            if figures
        ]
        found.append(Reproduced(item, tuple(drawn[:1])))
    for item in APPENDIX:
        own = [row for row in rows if item.is_source_of(row) and _ELSEWHERE not in row["claim"]["source"]]
        found.append(Reproduced(item, tuple((row, figure) for row in own for figure in row["figures"])))
    return found


def remark(row: Row) -> str:
    """Return in parentheses what of a theorem or figure a claim is about, as far as its source says so; else nothing."""
    source = row["claim"]["source"]
    if "as printed" in source:
        return " (a counterexample to what is printed)"
    names = "|".join(re.escape(item.name) for item in (*APPENDIX, *STATEMENTS, *FIGURES))
    left = [part.strip(" ,") for part in re.sub(rf"(?:{names})(?!\w|\.\w)", ",", source).split(",")]
    text = ", ".join(part for part in left if part).strip("()").replace("Discussion of", "its discussion")
    return f" ({text})" if text else ""


def of_one_seed(caption: str) -> bool:
    """Whether a figure is of one seed, by its caption: "Seed 0 after 1000 epochs"."""
    return re.search(r"\b[Ss]eed \d", caption) is not None


def anchor(path: str) -> str:
    """Return the identifier in the page of a figure, by the path of its file."""
    return "figure-" + re.sub(r"[^\w-]", "-", path.removeprefix("figures/").rpartition(".")[0])
