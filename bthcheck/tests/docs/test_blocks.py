"""Every code block of every page is run, or says by what it is run or why it is not."""

import json
import re
import shlex
import tomllib

import click
import pytest
import yaml
from click.testing import CliRunner

from bthcheck.tests.docs.pages import CODE, DATA, IS_CHECKOUT, MARKS, ROOT, blocks, check, commands, name_of, pages, run, run_by

pytestmark = pytest.mark.skipif(not IS_CHECKOUT, reason="not a checkout of the project")


def is_run(block):
    return block.language in CODE and not {"not run", "run by"} & set(block.marks)


PAGES = [page for page in pages() if run_by(page) is None] if IS_CHECKOUT else []
RUN = [page for page in PAGES if any(map(is_run, blocks(page)))]


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_blocks_run_and_print_what_is_shown(page, tmp_path):
    ran = run(page, tmp_path)
    assert ran.printed


def test_there_are_pages_to_run():
    assert len(RUN) >= 8
    assert ROOT / "README.md" in RUN


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_known(page):
    for block in blocks(page):
        where = f"{name_of(page)}, line {block.line}"
        assert set(block.marks) <= set(MARKS), f"{where}: {block.marks}"
        assert block.language in (*CODE, *DATA) or {"not run", "run by"} & set(block.marks), f"{where}: {block.language!r}"
        if "not run" in block.marks:
            assert len(block.marks["not run"]) > 15, f"{where}: why not?"
        if "run by" in block.marks:
            check_runner(block.marks["run by"], page, where)
        if block.language == "python":
            compile(block.text, where, "exec")


@pytest.mark.parametrize("page", [page for page in pages() if run_by(page)] if IS_CHECKOUT else [], ids=name_of)
def test_pages_that_another_test_runs_are_known_to_it(page):
    check_runner(run_by(page), page, name_of(page))


def check_runner(test, page, where):
    assert (ROOT / test).is_file(), f"{where}: there is no {test}"
    text = (ROOT / test).read_text(encoding="utf-8")
    assert page.name in text or page.parent.name in text, f"{where}: {test} knows nothing of the page"


@pytest.mark.parametrize("page", pages() if IS_CHECKOUT else [], ids=name_of)
def test_data_can_be_read(page):
    for block in blocks(page):
        {"yaml": yaml.safe_load, "toml": tomllib.loads, "json": json.loads}.get(block.language, str)(block.text)


def test_options_of_commands_are_there():
    from bthcheck.cli.command import command
    from bthcheck.harness.options import OPTIONS

    pytests = {f"--{name}" for name in OPTIONS} | {f"--bth-{name}" for name in OPTIONS} | {"--junitxml", "--collect-only"}
    count = 0
    for page in pages():
        for number, line in commands(page):
            for words in _commands_of(line):
                program, *rest = words
                where = f"{name_of(page)}, line {number}: {line}"
                flags = {word.split("=")[0] for word in rest if word.startswith("--")}
                if program == "pytest" or (program == "bthcheck" and rest[0] in ("verify", "replay")):
                    assert flags <= pytests, where
                    count += 1
                elif program == "bthcheck":
                    verb = [] if rest[0].startswith("-") else list(_verbs(command, rest))
                    said = CliRunner().invoke(command, [*(verb or ["train"]), "--help"], terminal_width=200).output
                    assert not [flag for flag in flags if flag.replace("_", "-") not in said], where
                    count += 1
    assert count > 40


def _commands_of(line):
    words = shlex.split(line, comments=True)
    while "&&" in words:
        yield words[: words.index("&&")]
        words = words[words.index("&&") + 1 :]
    if words:
        yield words


def _verbs(command, words):
    """The verb, and what it has of its own, such as ``cache prune``."""
    for word in words:
        command = command.get_command(None, word) if isinstance(command, click.Group) else None
        if command is None:
            return
        yield word


def test_what_was_not_printed_is_noticed():
    check("a … c\nlast", "a b  c\n\nmore\nlast\n", "", whole=False)
    check("[1, *]", "[1, *]\n", "", whole=True)
    for shown, printed, whole in (("a", "b", False), ("b\na", "a\nb", False), ("a", "a\nb", True), ("[12]", "1", False)):
        with pytest.raises(AssertionError, match="printed"):
            check(shown, printed, "", whole=whole)


def test_marks_are_of_the_block_below_them():
    page = ROOT / "docs" / "tutorial" / "own-claim.md"
    files = [block.marks["file"] for block in blocks(page) if "file" in block.marks]
    assert files == ["conftest.py", "claims/hills.py", "claims/test_hills.py"]
    assert re.search("^pytest_plugins", blocks(page)[0].text)
