"""Pages of the documentation and the code blocks in them: what a block is, how it is run, and what its output is held against.

A block may have marks, comments of HTML just above it, which neither GitHub nor the site shows:

``<!-- file: NAME -->``  it is a file, which later blocks of the page may use
``<!-- exit: STATUS -->``  its commands end with this status
``<!-- numbers: differ -->``  of an output: where a number stands, another may
``<!-- run by: TEST -->``  it is run by the test in that file; at the top of a page, all of its blocks are
``<!-- not run: REASON -->``
"""

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[3]
IS_CHECKOUT = (ROOT / "tox.ini").exists()
CODE = ("python", "sh")
"""Languages of blocks that are run."""
DATA = ("text", "yaml", "toml", "json", "ini")
"""Languages of blocks that are shown: output, files."""
MARKS = ("file", "exit", "numbers", "run by", "not run")
_FENCE = re.compile(r"^( *)(`{3,})(\S*)[^\n]*\n(.*?)^\1\2 *$", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"<!-- ([a-z ]+): ((?:(?!-->).)*) -->\s*$", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_PROGRAMS = {"python": (), "pytest": ("-m", "pytest"), "bthcheck": ("-m", "bthcheck")}


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    line : where it begins
    """

    line: int
    language: str
    text: str
    marks: dict[str, str]


@dataclass
class Ran:
    """What became of a page: names of its Python blocks, and what its blocks printed."""

    names: dict[str, Any] = field(default_factory=dict)
    printed: list[str] = field(default_factory=list)


def pages() -> list[Path]:
    """Return every page of the project that people read."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    """Return a page's path within the project."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order; directives of the site, whose languages are in braces, are none."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        indent = len(match[1])
        body = "".join(line[indent:] if line.strip() else line for line in match[4].splitlines(keepends=True))
        if not match[3].startswith("{"):
            found.append(Block(text.count("\n", 0, match.start()) + 1, match[3], body, _marks(text[: match.start()])))
    return found


def _marks(before: str) -> dict[str, str]:
    found = {}
    while match := _MARK.search(before):
        found[match[1]] = " ".join(match[2].split())
        before = before[: match.start()]
    return found


def run_by(page: Path) -> str | None:
    """Return the file of the test that runs all blocks of a page, if the page begins by naming one."""
    match = re.match(r"<!-- run by: (\S+) -->\n", page.read_text(encoding="utf-8"))
    return match[1] if match else None


def run(page: Path, folder: Path) -> Ran:
    """Run the blocks of a page in `folder`, one after the other, and check what is shown of their output.

    Python is run in this process, shell line by line, with this Python for ``python``, ``pytest`` and ``bthcheck``. A block of
    ``text`` just behind one that was run is its output: each of its lines has to be there, in this order, "…" standing for
    anything; its lines are all there is to a Python block's.
    """
    ran, last = Ran({"__name__": "__main__"}), None
    with contextlib.chdir(folder), torch.random.fork_rng():
        for block in blocks(page):
            where = f"{name_of(page)}, line {block.line}"
            if "run by" in block.marks or "not run" in block.marks:
                last = None
            elif "file" in block.marks:
                path = folder / block.marks["file"]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
                last = None
            elif block.language == "python":
                ran.printed.append(_python(block, where, ran.names))
                last = block
            elif block.language == "sh":
                ran.printed.append(_shell(block, where, folder))
                last = block
            elif block.language == "text" and last is not None:
                level = re.compile("(?!)") if "numbers" not in block.marks else _NUMBER
                shown, printed = (level.sub("0", text) for text in (block.text, ran.printed[-1]))
                check(shown, printed, where, whole=last.language == "python")
                last = None
    return ran


def _python(block: Block, where: str, names: dict[str, Any]) -> str:
    printed = io.StringIO()
    source = "\n" * block.line + block.text  # so that a traceback has the page's lines
    with contextlib.redirect_stdout(printed):
        exec(compile(source, where, "exec"), names)
    return printed.getvalue()


def _shell(block: Block, where: str, folder: Path) -> str:
    programs = folder / ".programs"
    programs.mkdir(exist_ok=True)
    for name, arguments in _PROGRAMS.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {" ".join(arguments)} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "COLUMNS": "120",
    }
    printed = ""
    for line in block.text.replace("\\\n", " ").splitlines():
        done = subprocess.run(
            line, shell=True, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", timeout=300,
        )  # fmt: skip
        printed += done.stdout
        wanted = int(block.marks.get("exit", 0))
        assert done.returncode == wanted, f"{where}: {line} ended with {done.returncode}, not {wanted}\n{done.stdout}"
    return printed


def check(shown: str, printed: str, where: str, *, whole: bool) -> None:
    """Check that what is shown was printed: every line, in this order, and if `whole` no other; blank lines do not count."""
    lines = [_level(line) for line in printed.splitlines() if line.strip()]
    expected = [_level(line) for line in shown.splitlines() if line.strip()]
    start = 0
    for wanted in expected:
        pattern = re.compile(translate(re.sub(r" ?… ?", "*", re.sub(r"([\[*?])", r"[\1]", wanted))))
        found = next((number for number in range(start, len(lines)) if pattern.match(lines[number])), None)
        assert found is not None, f"{where}: {wanted!r} was not printed, but\n{printed}"
        start = found + 1
    assert not whole or len(lines) == len(expected), f"{where}: more was printed than is shown:\n{printed}"


def _level(line: str) -> str:
    """Return a line with single spaces, since widths of columns depend on what else there is."""
    return " ".join(line.split())


def commands(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of the page's shell blocks, run or not, each with the line it is in."""
    for block in blocks(page):
        if block.language == "sh":
            for number, line in enumerate(block.text.replace("\\\n", " ").splitlines()):
                yield block.line + 1 + number, line
