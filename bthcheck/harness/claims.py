"""A claim of the paper, and what a test says of it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import ArrayLike

from bthcheck.checks import one_of
from bthcheck.choices import FAMILIES
from bthcheck.evidence import conditions, inequalities, noninferiority, probabilities, ranking, trends
from bthcheck.evidence.families import level_of
from bthcheck.evidence.findings import CONDITION, WORST_FIRST, Finding, Verdict, overall
from bthcheck.report.numbers import cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bthcheck.evidence.search import Search

KINDS = ("trend", "probabilistic", "exact")
_RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{i}" for port in ("COM", "LPT") for i in range(1, 10))}
_WIDE = 6.5  # inches, from which a figure has a row of the report to itself


@dataclass(frozen=True)
class Claim:
    """What a test states, written down before it is run.

    id : short unique name, as "T1"
    statement : the claim in one sentence
    source : where the paper makes it
    kind : "trend" and "probabilistic" claims are statistical and share the family-wise error; "exact" ones are inequalities
    scope : under what conditions it is stated
    family : "paper", or "extensions" for what goes beyond it: the claims that the family-wise error is of
    """

    id: str
    statement: str
    source: str
    kind: str = "trend"
    scope: str = ""
    family: str = "paper"

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.id):
            raise ValueError(f"a claim's id must be letters, digits, '-', '_' or '.', got {self.id!r}")
        if self.id.endswith(".") or self.id.partition(".")[0].upper() in _RESERVED:
            raise ValueError(f"a claim's id must be the name of a file on any system, which {self.id!r} is not")
        for name in ("statement", "source", "scope"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"the {name} of claim {self.id} must be text, got {getattr(self, name)!r}")
        one_of(f"the kind of claim {self.id}", self.kind, KINDS)
        one_of(f"the family of claim {self.id}", self.family, FAMILIES)

    @property
    def statistical(self) -> bool:
        """Whether the claim shares the family-wise error."""
        return self.kind != "exact"


def claim(
    id: str, *, statement: str, source: str, kind: str = "trend", scope: str = "", family: str = "paper"
) -> Callable[[Any], Any]:
    """Mark a pytest function as the test of a claim; see `Claim`. The function presents `evidence`.

    Raises
    ------
    ValueError
        If the id, kind or family is not allowed.
    """
    return pytest.mark.claim(Claim(id, statement, source, kind, scope, family))


def _called(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a function and keep nothing."""
    return function(*arguments, **options)


@dataclass
class Evidence:
    """What a claim's test presents: findings, figures, tables and notes. The fixture `evidence` is one of these.

    placebo : a generator that permutes levels within seeds before each trend test, or None
    kept : calls a function whose result may be kept; see `bthcheck.training.kept.Keeper`
    """

    claim: Claim
    folder: Path
    placebo: np.random.Generator | None = None
    findings: list[Finding] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    kept: Callable[..., Any] = _called

    def increases(self, values: xr.DataArray, along: str, **options: Any) -> Finding:
        """Present a test that `values` increase along ordered levels within seeds; see `bthcheck.evidence.trend`."""
        return self._present(trends.trend(self._placebo(values, along), along, direction=1, **self._level, **options), "trend")

    def decreases(self, values: xr.DataArray, along: str, **options: Any) -> Finding:
        """Present a test that `values` decrease along ordered levels within seeds; see `bthcheck.evidence.trend`."""
        return self._present(trends.trend(self._placebo(values, along), along, direction=-1, **self._level, **options), "trend")

    def correlates(self, first: xr.DataArray, second: xr.DataArray, along: str, **options: Any) -> Finding:
        """Present a test that two quantities share their order within seeds; see `bthcheck.evidence.correlation`."""
        return self._present(trends.correlation(first, self._placebo(second, along), along, **self._level, **options), "trend")

    def exceeds(self, higher: xr.DataArray, lower: xr.DataArray, **options: Any) -> Finding:
        """Present a test that one condition exceeds another within seeds; see `bthcheck.evidence.paired`."""
        if self.placebo is not None:
            swap = xr.DataArray(self.placebo.random(lower.sizes["seed"]) < 0.5, {"seed": lower["seed"]})
            higher, lower = xr.where(swap, lower, higher), xr.where(swap, higher, lower)
        return self._present(trends.paired(lower, higher, **self._level, **options), "trend")

    def at_most(self, smaller: ArrayLike, larger: ArrayLike, tolerance: ArrayLike, **options: Any) -> Finding:
        """Present a test that an inequality is never violated; see `bthcheck.evidence.inequality`."""
        return self._present(inequalities.inequality(smaller, larger, tolerance, **options))

    def equals(self, estimate: ArrayLike, definition: ArrayLike, tolerance: float, **options: Any) -> Finding:
        """Present a test that an estimate is what it estimates in every case; see `bthcheck.evidence.equality`."""
        return self._present(inequalities.equality(estimate, definition, tolerance, **options))

    def withstands(self, search: "Search", quantity: str) -> Finding:
        """Present an inequality that a search tried to falsify; what the search shrank to is noted."""
        self.notes.append(f"{quantity}: {search.summary}")
        finding = inequalities.inequality(search.smaller, search.larger, search.tolerance, quantity=quantity)
        if search.counterexample:
            finding = replace(finding, reason=f"{finding.reason}; the smallest counterexample is {search.counterexample}")
        return self._present(finding)

    def fails_outside(self, search: "Search", quantity: str) -> Finding:
        """Present a search that was to find an inequality violated outside its scope."""
        return self._present(
            inequalities.counterexample(
                search.counterexample is not None, quantity=quantity, example=search.counterexample or ""
            )
        )

    def fitted(self, loss: xr.DataArray, threshold: float, *, epochs: int = 1, of: str = "") -> Finding:
        """Present the condition that every run is fit, without which the claim says nothing; see `bthcheck.evidence.fitted`.

        `of` says which runs these are, if there are others.
        """
        window = "after the last epoch" if epochs == 1 else f"in the last {epochs} epochs"
        quantity = f"training loss {window}" + (f", {of}" if of else "")
        return self._present(conditions.fitted(loss, threshold, quantity=quantity, epochs=epochs))

    def passed(self, loss: xr.DataArray, threshold: float, *, of: str = "") -> Finding:
        """Present the condition that every run passes a loss in some epoch; see `bthcheck.evidence.passed`."""
        quantity = "smallest training loss of all epochs" + (f", {of}" if of else "")
        return self._present(conditions.passed(loss, threshold, quantity=quantity))

    def distinguishable(self, gap: xr.DataArray, **options: Any) -> Finding:
        """Present the condition that gaps of models differ by more than noise; see `bthcheck.evidence.distinguishable`."""
        return self._present(noninferiority.distinguishable(gap, **self._level, **options))

    def no_worse(self, measure: xr.DataArray, rivals: Mapping[str, xr.DataArray], gap: xr.DataArray, **options: Any) -> Finding:
        """Present tests that a measure ranks models no worse than rivals; see `bthcheck.evidence.non_inferiorities`.

        A placebo has the measure in a random order within seeds. Returns the worst of the findings.
        """
        if self.placebo is not None:
            measure = ranking.shuffled(measure, self.placebo)
        found = noninferiority.non_inferiorities(measure, rivals, gap, **self._level, **options)
        return min((self._present(one, "trend") for one in found), key=lambda one: WORST_FIRST.index(one.verdict))

    def rarely(self, violations: int, cases: int, limit: float, *, quantity: str) -> Finding:
        """Present a test that violations are no more likely than `limit`; see `bthcheck.evidence.rate`."""
        return self._present(probabilities.rate(violations, cases, limit, quantity=quantity, **self._level), "probabilistic")

    def dispersed(self, scores: ArrayLike, **options: Any) -> Finding:
        """Present a test of the spread of standardised scores; see `bthcheck.evidence.dispersion`."""
        return self._present(probabilities.dispersion(scores, **self._level, **options), "probabilistic")

    def note(self, sentence: str) -> None:
        """Add a sentence to the claim's section of the report."""
        self.notes.append(cell(sentence))

    def table(self, caption: str, columns: Sequence[Any], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table to the claim's section of the report; every row has an entry a column.

        Text stands there as it is, numbers of any kind as `bthcheck.report.numbers.cell` writes them.
        """
        if any(len(row) != len(columns) for row in rows):
            raise ValueError(f"every row of the table {caption!r} must have {len(columns)} entries")
        cells = [[cell(value) for value in row] for row in rows]
        self.tables.append({"caption": cell(caption), "columns": [cell(value) for value in columns], "rows": cells})

    def figure(self, figure: "Figure | partial[Figure]", caption: str) -> None:
        """Add a figure to the claim's section of the report; it is written to the results folder.

        One that cannot be written is said in a note instead: what was found does not depend on it.

        Parameters
        ----------
        figure : a figure, or how it is to be drawn, ``partial(figures.curves, phi, "frequency")``: one that was drawn before of
            the same values is then read from the cache
        """
        from bthcheck.figures import style

        path = self.folder / "figures" / f"{self.claim.id}-{len(self.figures) + 1}.svg"
        numbers = path.with_suffix(".csv")
        try:
            if isinstance(figure, partial):
                drawn = style.Drawn(*self.kept(style.drawn, figure.func, *figure.args, **figure.keywords))
            else:
                drawn = style.read(figure)
            style.write(drawn.svg.tobytes(), path)
            if drawn.csv.size:
                style.write(drawn.csv.tobytes(), numbers)
        except OSError as error:
            where = error.filename or path
            self.note(f"A figure is missing because {where} cannot be written: {error.strerror}. It was: {cell(caption)}")
            return
        except ValueError as error:  # such as a label that is no formula, though it has two dollars
            self.note(f"A figure is missing because it cannot be drawn: {cell(str(error).strip())}. It was: {cell(caption)}")
            return
        said = " ".join(text for text in (cell(caption), drawn.said.tobytes().decode("utf-8")) if text)
        self.figures.append({
            "path": path.relative_to(self.folder).as_posix(),
            "caption": cell(caption),
            "wide": bool(drawn.width > _WIDE),
            "alt": said,
            **({"data": numbers.relative_to(self.folder).as_posix()} if drawn.csv.size else {}),
        })  # fmt: skip

    @property
    def verdict(self) -> Verdict | None:
        """The worst verdict of all findings; None if there are none.

        A claim of k tests is supported only if all are, which errs no more often than one of them. It would be refuted if
        any is, which errs up to k times as often: a statistical claim is refuted only at a k-th of the level. If a
        condition it rests on is not met it is inconclusive, whatever its tests say.
        """
        if all(finding.test == CONDITION for finding in self.findings):
            return None
        if self._unmet:
            return Verdict.INCONCLUSIVE
        worst = overall([finding.verdict for finding in self.findings])
        if worst is Verdict.REFUTED and self.claim.statistical:
            refuted = [finding for finding in self.findings if finding.verdict is Verdict.REFUTED]
            if min(f.p_opposite for f in refuted if f.p_opposite is not None) > level_of(self.claim.family) / self._tests:
                return Verdict.INCONCLUSIVE
        return worst

    @property
    def _level(self) -> dict[str, Any]:
        return {"level": level_of(self.claim.family)}

    @property
    def _unmet(self) -> list[Finding]:
        return [f for f in self.findings if f.test == CONDITION and f.verdict is not Verdict.SUPPORTED]

    @property
    def _tests(self) -> int:
        return sum(finding.test != CONDITION for finding in self.findings)

    @property
    def reason(self) -> str:
        """The reason of the finding that decided the verdict."""
        if not self.findings:
            return "no evidence was presented"
        if self._unmet:
            return self._unmet[0].reason
        return next(f.reason for f in sorted(self.findings, key=lambda f: WORST_FIRST.index(f.verdict)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the report."""
        return {
            "claim": asdict(self.claim),
            "verdict": None if self.verdict is None else str(self.verdict),
            "reason": self.reason,
            "findings": [finding.to_dict() for finding in self.findings],
            "figures": self.figures,
            "notes": self.notes,
            "tables": self.tables,
        }

    def _placebo(self, values: xr.DataArray, along: str) -> xr.DataArray:
        return values if self.placebo is None else trends.permuted(values, along, self.placebo)

    def _present(self, finding: Finding, kind: str | None = None) -> Finding:
        if kind is not None and self.claim.kind != kind:
            raise ValueError(f"claim {self.claim.id} is registered as {self.claim.kind!r}, but its test is {kind!r}")
        self.findings.append(finding)
        return finding
