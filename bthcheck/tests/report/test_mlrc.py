"""The summary for reviewers: the sections they know, all of what the records hold, and nothing else."""

import json
import re
import shutil
import subprocess

import pytest

from bthcheck.report import latex
from bthcheck.report.mlrc import as_latex, as_markdown, sections
from bthcheck.tests.report.rows import SESSION

HEADINGS = [
    "Scope of reproducibility", "Methodology", "Results", "What was easy", "What was difficult",
    "What differs from the original code",
]  # fmt: skip


def records(rows=SESSION, **changes):
    configuration = {
        "levels": [0.25, 1.0], "vary": "frequency", "seeds": [0, 1, 2],
        "training": {"epochs": 7, "dtype": "float32", "batch_size": 1, "learning_rate": 0.001},
    }  # fmt: skip
    experiments = [
        {"name": "sinusoids", "engine": "fused", "device": "cpu", "diverged": 0, "configuration": configuration},
        {"name": "wild_one", "engine": "fused", "device": "cpu", "diverged": 2, "configuration": configuration},
    ]
    return {
        "profile": "laptop", "placebo": False, "state": "finished", "command": "pytest claims -n 2", "seconds": 12.0,
        "runs": {"from_cache": 3, "trained": 4, "training_seconds": 1.5},
        "environment": {"Python": "3.11.7", "processor": "A & B"},
        "experiments": experiments, "claims": rows, **changes,
    }  # fmt: skip


def test_it_has_the_sections_that_reviewers_know():
    found = sections(records())
    assert [section.heading for section in found if section.depth == 1] == HEADINGS
    text = as_markdown(records())
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == HEADINGS


def blocks_of(heading, **changes):
    (found,) = [section for section in sections(records(**changes)) if section.heading == heading]
    return json.dumps(found.blocks, default=vars, ensure_ascii=False)


def test_every_claim_is_in_scope_and_has_a_result():
    scope, others = blocks_of("Scope of reproducibility"), blocks_of("Other claims")
    for row in SESSION:
        assert f"{row['claim']['id']} (nowhere): {row['claim']['statement']}" in scope
        assert f'"{row["claim"]["id"]}", "{row["status"]}"' in others
    assert "1 error, 1 crashed, 1 no verdict, 1 refuted, 2 inconclusive, 1 skipped, 4 supported" in blocks_of("Results")


def test_what_was_easy_and_difficult_is_what_the_records_say():
    easy, difficult = blocks_of("What was easy"), blocks_of("What was difficult")
    assert "4 claims came out as stated: BETTER, GOOD, MOVED, NEW." in easy
    assert "No run diverged in 1 of 2 experiments." in easy
    assert "2 runs of wild_one diverged." in difficult
    for row in SESSION:
        assert (f"{row['claim']['id']}, {row['status']}:" in difficult) == (row["status"] != "supported")
    nothing = {"rows": [], "experiments": []}
    for heading in ("What was easy", "What was difficult"):
        assert "The records name nothing." in blocks_of(heading, **nothing)
    assert "No claim of this session was about the authors' code." in blocks_of(HEADINGS[-1])


def test_the_authors_code_is_told_by_its_claims():
    found = {"quantity": "ε", "verdict": "refuted", "p": None, "reason": "ε differs in 3 of 3 cases"}
    claim = {"id": "CODE", "statement": "They are one", "source": "The authors' released code (not in the paper)", "scope": ""}
    row = {**SESSION[3], "claim": claim, "findings": [found], "notes": ["A note."], "status": "refuted", "verdict": "refuted"}
    said = blocks_of(HEADINGS[-1], rows=[row])
    assert "CODE, refuted: They are one." in said
    assert "ε differs in 3 of 3 cases" in said
    assert "A note." in said


def test_methodology_is_the_configuration_and_the_machine():
    said = blocks_of("Data, models and hyperparameters") + blocks_of("Computational requirements")
    for text in (
        "frequency 0.25, 1.0",
        "0 to 2",
        '"7", "1", "0.001"',
        "fused, cpu",
        "12 s",
        "4 runs trained in 1.5 s",
        "A & B",
    ):
        assert text in said


def test_an_interrupted_session_says_so():
    assert "did not come to its end" in as_markdown(records(state="interrupted"))


HOSTILE = r"\end{document} $x$ {a} #1 & 50 % of_it ^2 ~ <b> | `c` -- --- \\ [opt] ``q'' “φ” λ₁² ‖g‖ ☃ é" + "\x1b[31m\u202e\n\n"


def balanced(text):
    """Whether braces and environments of LaTeX are closed in order."""
    depth = 0
    for brace in re.findall(r"(?<!\\)(?:\\\\)*([{}])", text):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            return False
    return depth == 0 and not stack


def unescaped(text):
    """Return special characters of LaTeX that would do something, without commands and their arguments."""
    plain = re.sub(r"\\ensuremath\{(?:[^{}]|\{[^{}]*\})*\}", "", text)
    plain = re.sub(r"\\(?:[a-zA-Z]+(?:\{\})?|[\\{}$&#_%])", "", plain)
    return re.findall(r"[$&#_%^~<>|\\]", plain)


def test_latex_shows_any_text_as_it_is():
    said = latex.escape(HOSTILE)
    assert balanced(said)
    assert unescaped(said) == []
    assert "\n" not in said
    assert "\x1b" not in said
    assert said.isascii() or set(re.sub(r"[\x00-\x7f]", "", said)) == {"é"}
    assert r"\texttt{U+2603}" in said
    assert r"\ensuremath{\lambda}\ensuremath{_{1}}\ensuremath{^{2}}" in said
    assert "--" not in latex.escape("-- ---").replace("-{}", "")


@pytest.mark.parametrize("text", ["plain", HOSTILE, "[x]", "a & b \\\\ c"])
def test_the_document_is_balanced_whatever_it_is_of(text):
    rows = [{**row, "claim": {**row["claim"], "statement": text, "source": text}, "reason": text} for row in SESSION]
    whole = as_latex(records(rows, command=text, environment={text: text}))
    assert balanced(whole)
    assert whole.count(r"\begin{document}") == whole.count(r"\end{document}") == 1
    assert whole.rstrip().endswith(r"\end{document}")
    body = whole.partition(r"\begin{document}")[2]
    cells = [line for line in body.splitlines() if line.endswith(r" \\")]
    assert {line.replace(r"\&", "").count("&") for line in cells if line.startswith("{}")} <= {4, 7}
    assert not re.search(r"\\item \[", body)


def test_markdown_shows_any_text_as_it_is():
    markdown_it = pytest.importorskip("markdown_it")
    rows = [{**SESSION[3], "claim": {**SESSION[3]["claim"], "statement": "<script>x</script> | *b* `c` # d"}}]
    shown = markdown_it.MarkdownIt("commonmark").enable("table").render(as_markdown(records(rows)))
    assert "<script" not in shown
    assert "<em>" not in shown
    assert "&lt;script&gt;x&lt;/script&gt; | *b* `c` # d" in shown


@pytest.mark.parametrize("engine", ["pdflatex", "lualatex"])
def test_latex_sets_it_without_an_error_and_within_its_margins(engine, tmp_path):
    if shutil.which(engine) is None:
        pytest.skip(f"there is no {engine}")
    named = records()
    named["experiments"][0]["name"] = "λ ≤ σ₁‖g‖ φ_l Π‖W_k‖ ½ ∇ₓℓ é ☃ 100 % #1 ~ ^ \\relax"
    text = as_latex(named)
    (tmp_path / "summary.tex").write_text(text, encoding="utf-8")
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "summary.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in done.stdout
    assert (tmp_path / "summary.pdf").stat().st_size > 10_000
