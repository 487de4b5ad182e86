"""The command as a whole: its verbs, how it starts and how it ends."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

import bthcheck
from bthcheck.cli.command import VERBS, command
from bthcheck.cli.errors import STATUSES

HEAVY = ("torch", "numba", "xarray", "matplotlib", "scipy", "pytest")


def test_every_verb_has_a_help_with_an_example(said):
    for verb in VERBS:
        code, text = said(verb, "--help")
        assert code == 0
        assert f"  bthcheck {verb}" in text
        assert "Example" in text
        assert said(verb, "-h") == (code, text)


def test_the_help_of_the_command_says_what_that_of_its_verbs_does():
    context = click.Context(command)
    assert command.list_commands(context) == sorted(VERBS)
    for verb, summary in VERBS.items():
        assert command.get_command(context, verb).short_help == summary
    assert command.get_command(context, "none") is None


def test_the_help_names_verbs_and_statuses(said):
    code, text = said("--help")
    assert code == 0
    words = " ".join(text.split())
    for verb, summary in VERBS.items():
        assert f"{verb} {summary}" in words
    for status, meaning in STATUSES.items():
        assert f"{status} {meaning}" in words
    assert said() == (2 if said()[0] else 0, said()[1])  # older versions of click end with 0


def test_help_imports_nothing_that_takes_its_time():
    loaded = f"print(*[name for name in {HEAVY} if name in sys.modules])"
    for arguments in (
        ["--help"],
        ["train", "--help"],
        ["verify", "--help"],
        ["cache", "--help"],
        ["compare", "--help"],
        ["replay", "--help"],
        ["list"],
        ["show", "T2"],
    ):
        source = f"import sys; from bthcheck.cli import main; main({arguments}); {loaded}"
        process = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
        assert process.stdout.splitlines()[-1] == "", arguments


def test_the_version(said):
    assert said("--version") == (0, f"bthcheck {bthcheck.__version__}\n")


@pytest.mark.parametrize("arguments", [("tarin",), ("tarin", "--frequency", "1"), ("T2",)])
def test_a_verb_that_there_is_not_is_refused_with_those_that_there_are(said, arguments):
    code, text = said(*arguments)
    assert code == 2
    verbs = "cache, compare, data, falsify, list, replay, report, show, train, verify"
    assert f"the verb must be one of {verbs}, got '{arguments[0]}'" in text


def test_a_flag_of_nobody_is_refused(said):
    code, text = said("--colour", "red")
    assert code == 2
    assert "--colour" in text
    code, text = said("train", "--colour", "red")
    assert code == 2
    assert "--colour" in text


@pytest.mark.parametrize("arguments", [("--frequency", "fast"), ("-frequency=fast",), ("mlp", "--frequency", "fast")])
def test_flags_without_a_verb_are_those_of_train(said, arguments):
    code, text = said(*arguments)
    assert code == 2
    assert "Usage: bthcheck train" in text
    assert "'--frequency': 'fast' is not a valid float" in text


def test_python_m_and_the_script_are_the_same(bth):
    module = bth("--help")
    assert module.code == 0
    script = Path(sys.executable).with_name("bthcheck")
    if not script.exists():
        pytest.skip("the command is not installed")
    text = subprocess.run([script, "--help"], capture_output=True, text=True, env={**os.environ, "COLUMNS": "120"}).stdout
    assert text == module.out


def test_words_that_are_no_characters_are_shown_as_escapes(bth):
    outcome = bth("show", os.fsdecode(b"T\xff"))
    assert outcome.code == 2
    assert "got 'T\\udcff'" in outcome.text
    assert "Traceback" not in outcome.text


@pytest.mark.parametrize("arguments", [("list",), ("train", "--help"), ("show", "X9")])
def test_a_terminal_without_greek_letters_is_shown_their_escapes(bth, arguments):
    outcome = bth(*arguments, environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert outcome.code == 0
    assert "\\u" in outcome.out
    assert outcome.err == ""


def test_a_pipe_that_is_closed_is_no_error_of_ours(tmp_path):
    read, write = os.pipe()
    os.close(read)  # before anything is written: a shell's `| head` may be as fast
    process = subprocess.run(
        [sys.executable, "-m", "bthcheck", "list"], stdout=write, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    os.close(write)
    assert process.stderr == ""
    assert process.returncode == 1


@pytest.mark.parametrize(
    ("words", "offered"),
    [("bthcheck ", ["verify", "train"]), ("bthcheck show T2", ["T2", "T2-CIFAR"]), ("bthcheck train --freq", ["--frequency"])],
)
def test_the_shell_completes(words, offered):
    environment = {
        **os.environ,
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
        "_BTHCHECK_COMPLETE": "bash_complete",
    }
    text = subprocess.run([sys.executable, "-m", "bthcheck"], capture_output=True, text=True, env=environment).stdout
    assert {f"plain,{word}" for word in offered} <= set(text.split())


def test_the_shell_is_told_how_to_complete():
    environment = {**os.environ, "_BTHCHECK_COMPLETE": "bash_source"}
    text = subprocess.run([sys.executable, "-m", "bthcheck"], capture_output=True, text=True, env=environment).stdout
    assert "_BTHCHECK_COMPLETE=bash_complete" in text
