"""A session in the sections that reviewers of reproducibility studies know, as Markdown and as LaTeX.

The sections are those of the ML Reproducibility Challenge's summary: scope of reproducibility, methodology, results, what was
easy, what was difficult, and, in the place of what was asked of the authors, what differs from their code. All of it is read
off the records of a session: what these do not hold is said to be missing, and no opinion is added.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bthcheck.report import latex, markdown, sources, wording
from bthcheck.report.ending import FINISHED, sentence
from bthcheck.report.numbers import count, duration, effect, number, numbers, p_value
from bthcheck.report.records import headline

Records = Mapping[str, Any]
PAPER = (
    "Andreas Loukas, Marinos Poiitis and Stefanie Jegelka, “What training reveals about neural network complexity”,"
    " NeurIPS 2021, arXiv:2106.04186"
)


@dataclass(frozen=True)
class Table:
    """A table of plain text."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it: paragraphs are text, lists are tuples of text.

    depth : 1 for a section, 2 for a part of one
    """

    heading: str
    blocks: tuple[str | tuple[str, ...] | Table, ...]
    depth: int = 1


def sections(records: Records) -> list[Section]:
    """Return the summary of a session.

    Parameters
    ----------
    records : as in ``records.json``; see `bthcheck.report.page.write`
    """
    return [_scope(records), *_methodology(records), *_results(records), _easy(records), _difficult(records), _differs(records)]


def as_markdown(records: Records) -> str:
    """Return the summary as Markdown."""
    lines = [f"# Reproducibility summary: {markdown.escape(PAPER)}", ""]
    for section in sections(records):
        lines += [f"{'#' * (section.depth + 1)} {markdown.escape(section.heading)}", ""]
        for block in section.blocks:
            lines += [*_markdown_block(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def as_latex(records: Records) -> str:
    """Return the summary as a LaTeX document, for any engine."""
    body = []
    for section in sections(records):
        command = "section" if section.depth == 1 else "subsection"
        body.append(rf"\{command}{{{latex.escape(section.heading)}}}")
        body += [_latex_block(block) for block in section.blocks]
    return latex.document(f"Reproducibility summary: {PAPER}", body)


def _markdown_block(block: str | tuple[str, ...] | Table) -> list[str]:
    if isinstance(block, str):
        return [markdown.escape(block)]
    if isinstance(block, Table):
        cells = [[markdown.escape(cell) for cell in row] for row in block.rows]
        return [f"{markdown.escape(block.caption)}:", "", *markdown.table([markdown.escape(c) for c in block.columns], cells)]
    return [f"- {markdown.escape(item)}" for item in block]


def _latex_block(block: str | tuple[str, ...] | Table) -> str:
    if isinstance(block, str):
        return latex.escape(block) + "\n"
    if isinstance(block, Table):
        return latex.table(block.caption, block.columns, block.rows)
    return latex.items(block)


def _scope(records: Records) -> Section:
    rows = records["claims"]
    blocks: list[Any] = [
        f"The paper is {PAPER}. {count(len(rows), 'claim')} on it were tested with bthcheck, profile “{records['profile']}”."
    ]
    ending = sentence(records.get("state", FINISHED), rows)
    blocks += [f"The session did not come to its end: {ending}."] if ending else []
    for name, part in sources.grouped(rows):
        blocks.append(f"{sources.GROUPS[name]}:")
        blocks.append(tuple(f"{row['claim']['id']} ({row['claim']['source']}): {row['claim']['statement']}" for row in part))
    return Section("Scope of reproducibility", tuple(blocks))


def _methodology(records: Records) -> list[Section]:
    experiments = records["experiments"]
    trained = [_experiment(entry) for entry in experiments]
    columns = ("experiment", "levels", "seeds", "epochs", "batch size", "learning rate", "engine", "runs that diverged")
    table = Table("Experiments", columns, tuple(trained))
    findings = [finding for row in records["claims"] for finding in row["findings"]]
    tests = Counter(str(finding["test"]) for finding in findings if finding.get("test"))
    levels = dict.fromkeys(number(finding["level"]) for finding in findings if finding.get("level") is not None)
    said = [f"Networks were trained and claims tested by bthcheck {records['environment'].get('bthcheck', '')}".rstrip() + "."]
    said += ["What was tested, and how often:"] if tests else []
    made = [tuple(f"{test}: {times}" for test, times in sorted(tests.items()))] if tests else []
    at = [f"One-sided level of each statistical test: {', '.join(levels)}."] if levels else []
    runs = records["runs"]
    environment = records["environment"]
    facts = tuple(f"{name}: {value}" for name, value in environment.items())
    return [
        Section("Methodology", (*said, *made, *at)),
        Section("Data, models and hyperparameters", (table,) if experiments else ("No experiment was trained.",), 2),
        Section("Computational requirements", (
            f"The session took {duration(records['seconds'])}; {count(runs['trained'], 'run')} trained in"
            f" {runs['training_seconds']} s of one core, {runs['from_cache']} read from the cache. The command was:"
            f" {records['command']}",
            facts,
        ), 2),
    ]  # fmt: skip


def _experiment(entry: Mapping[str, Any]) -> tuple[str, ...]:
    of = entry["configuration"]
    training = of.get("training", {})
    return (
        str(entry.get("label") or entry["name"]),
        f"{of['vary']} {', '.join(map(str, of['levels']))}", numbers(of["seeds"]),
        str(training.get("epochs", "")), str(training.get("batch_size", "")), str(training.get("learning_rate", "")),
        f"{entry['engine']}, {entry['device']}", str(entry["diverged"]),
    )  # fmt: skip


def _results(records: Records) -> list[Section]:
    rows = records["claims"]
    found = [Section("Results", (_counted(rows),))]
    for name, part in sources.grouped(rows):
        cells = tuple(_cells(row) for row in part)
        said = tuple(f"{row['claim']['id']}, {wording.verdict_words(row)}. {wording.sentence(row)}" for row in part)
        table = Table(
            "Verdicts, and the effects of the weakest test of each", ("claim", "verdict", "effect", "p", "seeds"), cells
        )
        found.append(Section(sources.GROUPS[name], (table, said), 2))
    return found


def _counted(rows: Sequence[Mapping[str, Any]]) -> str:
    statuses = dict.fromkeys(row["status"] for row in rows)
    counts = ", ".join(f"{sum(row['status'] == status for row in rows)} {status}" for status in statuses)
    return f"Of {count(len(rows), 'claim')}: {counts or 'none'}."


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    finding = headline(dict(row))
    return (
        row["claim"]["id"], row["status"], effect(finding), p_value(finding.get("p")), str(finding.get("blocks") or ""),
    )  # fmt: skip


def _easy(records: Records) -> Section:
    """What the records say went without trouble: claims that came out as stated, and trainings that did not diverge."""
    rows, experiments = records["claims"], records["experiments"]
    good = [row["claim"]["id"] for row in rows if row["status"] == "supported"]
    calm = [entry for entry in experiments if not entry["diverged"]]
    points = [f"{count(len(good), 'claim')} came out as stated: {', '.join(good)}."] if good else []
    if calm:
        points.append(f"No run diverged in {len(calm)} of {count(len(experiments), 'experiment')}.")
    return Section("What was easy", (tuple(points),) if points else ("The records name nothing.",))


def _difficult(records: Records) -> Section:
    """What the records say did not come out: claims that are not supported, with the reason, and runs that diverged."""
    points = [
        f"{row['claim']['id']}, {row['status']}: {wording.sentence(row)}"
        for row in records["claims"]
        if row["status"] != "supported"
    ]
    points += [
        f"{count(entry['diverged'], 'run')} of {entry.get('label') or entry['name']} diverged."
        for entry in records["experiments"]
        if entry["diverged"]
    ]
    return Section("What was difficult", (tuple(points),) if points else ("The records name nothing.",))


def _differs(records: Records) -> Section:
    """What the claims on the authors' code found."""
    rows = [row for row in records["claims"] if sources.group_of(row) == "code"]
    blocks: list[Any] = []
    for row in rows:
        blocks.append(f"{row['claim']['id']}, {row['status']}: {row['claim']['statement']}.")
        blocks += _listed(finding["reason"] for finding in row["findings"])
        blocks += _listed(row["notes"])
    heading = "What differs from the original code"
    return Section(heading, tuple(blocks) or ("No claim of this session was about the authors' code.",))


def _listed(texts: Iterable[str]) -> list[tuple[str, ...]]:
    found = tuple(dict.fromkeys(text for text in texts if text))
    return [found] if found else []
