"""Write the help of the command into docs/reference/command.md: ``python docs/write_help.py``.

A verb has a section of the page with a block that begins with ``$ bthcheck VERB --help``; what stands below that line is
written, as a terminal of 100 characters has it.
"""

import re
from pathlib import Path

from click.testing import CliRunner

from bthcheck.cli.command import command

PAGE = Path(__file__).parent / "reference" / "command.md"
WIDTH = 100
BLOCK = re.compile(r"```text\n\$ bthcheck ([a-z ]+) --help\n(.*?)\n```", re.DOTALL)


def helped(*verb: str) -> str:
    """Return the help of a verb, ``cache prune`` as two words."""
    result = CliRunner().invoke(command, [*verb, "--help"], prog_name="bthcheck", terminal_width=WIDTH)
    return "\n".join(line.rstrip() for line in result.output.rstrip().splitlines())


def written(text: str) -> str:
    """Return the page's text with the help that there is."""
    return BLOCK.sub(lambda match: f"```text\n$ bthcheck {match[1]} --help\n{helped(*match[1].split())}\n```", text)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"written: {PAGE.name}")
