"""The verbs of the command ``bthcheck``, and how it starts and ends."""

import importlib
import os
import sys
from collections.abc import Sequence

import click

import bthcheck
from bthcheck.cli.errors import INTERRUPTED, STATUSES
from bthcheck.cli.spelling import WORDS, flag_of
from bthcheck.cli.terminal import escape

VERBS = {
    "cache": "Say what the folder of finished runs holds, and prune it.",
    "compare": "Compare two reports, or a report with the record.",
    "data": "Fetch the full image data sets, or pack pictures.",
    "falsify": "Replay a counterexample; show how tight inequalities are.",
    "list": "List the claims with their verdicts.",
    "replay": "Train again what a report says it trained, and compare.",
    "report": "Write a report in another form, for reviewers.",
    "show": "Show a claim: statement, source, scope, test and verdicts.",
    "train": "Train one experiment; draw the paper's figures for it.",
    "verify": "Verify the paper's claims; passes pytest's options on.",
}
"""Verb → what it does. Each has a module of its name, whose `command` it is, so that help costs no import."""
OWN = ("-h", "--help", "--version")
HELP = """Test the claims of "What training reveals about neural network complexity", and train networks as its authors did.

\b
Examples:
  bthcheck verify --profile quick -k T2
  bthcheck train --frequency 0.25 0.5 1 --repeats 3

Flags alone, without a verb, are those of train. Every verb has a --help with an example.
"""


class Verbs(click.Group):
    """A group that imports a verb when it is asked for it, and takes flags without a verb for those of train."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, or None if there is no such one."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"bthcheck.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb that is named first, or say which there are."""
        if args and args[0] not in VERBS and not ctx.resilient_parsing:
            raise click.UsageError(f"the verb must be one of {', '.join(VERBS)}, got {args[0]!r}", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the verb train before flags that are its own."""
        return super().parse_args(ctx, ["train", *args] if args and _is_of_train(args[0]) else args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs, without importing one."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the exit statuses."""
        with formatter.section("Exit status"):
            formatter.write_dl([(str(status), meaning) for status, meaning in STATUSES.items()])


def _is_of_train(argument: str) -> bool:
    """Whether a command line that begins so, without a verb, is one of train."""
    if argument in VERBS or argument in OWN or not (argument.startswith("-") or argument in WORDS):
        return False
    from bthcheck.cli.flags import ELSEWHERE, TAKES

    return argument in WORDS or flag_of(argument, {**TAKES, **dict.fromkeys(ELSEWHERE, "one")})[0] != ""


@click.command(cls=Verbs, help=HELP, context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]})
@click.version_option(bthcheck.__version__, message="bthcheck %(version)s")
def command() -> None:
    """See `HELP`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, ``sys.argv`` if None, and return the exit status, one of `STATUSES` or pytest's."""
    escape()
    try:
        status = command.main(arguments and list(arguments), prog_name="bthcheck", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        _hush()
        return 1
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    return status if isinstance(status, int) else 0


def _hush() -> None:
    """Have Python flush into nothing what nobody reads any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
