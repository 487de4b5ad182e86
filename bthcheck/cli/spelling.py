"""Spellings of the same flag: as users of the authors' command, of argparse and of shells write it.

Only what can mean one thing alone is understood: ``--learning_rate``, ``-learning-rate`` and ``--lr`` for ``--learning-rate``,
several values behind one flag, and the words ``mlp`` and ``cnn`` for the flags.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

Takes = Literal["nothing", "one", "several", "perhaps"]
"""How many values a flag has; "perhaps" several or none."""

WORDS = {"mlp": "--mlp", "cnn": "--cnn", "train": ""}
"""Words that may stand among the flags → the flag that they mean."""
ALIASES = {"--lr": "--learning-rate", "--batch": "--batch-size"}
_FLAG = re.compile(r"--?(?P<name>[A-Za-z][\w-]*)(=(?P<value>.*))?", re.DOTALL)


def flag_of(argument: str, takes: Mapping[str, Takes]) -> tuple[str, str | None]:
    """Return the flag that an argument spells, and the value behind its ``=`` or None; ``("", None)`` if it spells none."""
    found = _FLAG.fullmatch(argument)
    if found is None:
        return "", None
    name = "--" + found["name"].replace("_", "-").lower()
    name = ALIASES.get(name, name)
    return (name, found["value"]) if name in takes else ("", None)


def respelt(arguments: Sequence[str], takes: Mapping[str, Takes]) -> list[str]:
    """Return a command line as click understands it: every flag under its own name, before each of its values.

    A flag that may be without a value and is has an empty one. What is not understood stays as it is.

    Parameters
    ----------
    takes : flag, such as "--learning-rate" → how many values it has

    Raises
    ------
    ValueError
        If a flag that needs a value has none.
    """
    result: list[str] = []
    flag = ""  # whose values may follow
    missing = False  # whether it has none yet

    def close() -> None:
        if missing and takes[flag] == "perhaps":
            result.extend([flag, ""])
        elif missing:
            raise ValueError(f"{flag} needs a value, got none")

    for argument in arguments:
        name, value = flag_of(argument, takes)
        name = name or WORDS.get(argument, "")
        if name or argument in WORDS or _FLAG.fullmatch(argument) or argument == "--":
            close()
            flag, missing = "", False
            if not name:
                result += [] if argument in WORDS else [argument]
                continue
            if takes[name] == "nothing":
                result.append(name if value is None else f"{name}={value}")
                continue
            flag, missing = name, True
            if value is None:
                continue
            argument = value
        if not flag:
            result.append(argument)
        elif takes[flag] == "one":
            result += [flag, argument]
            flag = ""
        else:
            for part in argument.split(","):
                result += [flag, part]
        missing = False
    close()
    return result
