"""Docstrings of this package as reStructuredText: lists of parameters become fields, single backticks code.

They are written to be read in a terminal: ``name : what it is`` under an underlined heading or without one, formulas with bars
and stars as they are, and a name between single backticks.
"""

import re
from collections.abc import Iterator
from typing import Any

FIELDS = {"Parameters": "param", "Attributes": "param", "Returns": "returns", "Yields": "yields", "Raises": "raises"}
_ENTRY = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*) : (.*)$")
_CODE = re.compile(r"(``.+?``|`[^`]+`)")
_ALIGNED = re.compile(r"^(\S+) {2,}(\S.*)$")
_BULLET = re.compile(r"^(?:-|\d+\.) ")


def inline(text: str) -> str:
    """Return a line of text in which code is marked as such and nothing else is markup."""
    parts = _CODE.split(text)
    for number, part in enumerate(parts):
        if number % 2 == 0:
            parts[number] = re.sub(r"_(?!\w)", r"\\_", re.sub(r"([\\*|])", r"\\\1", part))
            continue
        name = part.strip("`")
        marked = f":py:obj:`{name}`" if re.fullmatch(r"bthcheck(\.\w+)+", name) else f"``{name}``"
        before, after = parts[number - 1], parts[number + 1]
        glued = ("\\ " if before[-1:].isalnum() else "", "\\ " if after[:1].isalnum() else "")
        parts[number] = f"{glued[0]}{marked}{glued[1]}"
    return "".join(parts)


def converted(lines: list[str]) -> list[str]:
    """Return a docstring's lines as reStructuredText."""
    found: list[str] = []
    heading = ""
    for block in _blocks(lines):
        if len(block) > 1 and re.fullmatch("-{3,}", block[1]):
            heading, block = block[0].strip(), block[2:]
        found += [*_block(block, FIELDS.get(heading, "")), ""]
    return found


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    block: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            block.append(line.rstrip())
        elif block:
            yield block
            block = []


def _block(block: list[str], field: str) -> list[str]:
    if field in ("returns", "yields", "raises"):
        return [f":{_named(field, name)} {inline(text)}" for name, text in _hanging(block)]
    if _ENTRY.match(block[0]):
        entries = _items(block, _ENTRY)
        matches = [_ENTRY.match(entry) for entry in entries]
        # A comma or a space would make a type of the first name.
        return [f":param {inline(match[1].replace(', ', '/'))}: {inline(match[2])}" for match in matches if match]
    if len(block) > 1 and _ALIGNED.match(block[0]):
        matches = [_ALIGNED.match(entry) for entry in _items(block, _ALIGNED)]
        return [f"- **{match[1]}**: {inline(match[2])}" for match in matches if match]
    if all(line.startswith("    ") for line in block):
        return ["::", "", *block]
    if _BULLET.match(block[0]):
        return [inline(item) for item in _items(block, _BULLET)]
    listed = next((number for number, line in enumerate(block) if _ENTRY.match(line) or line.startswith("- ")), 0)
    if listed:
        return [*_block(block[:listed], field), "", *_block(block[listed:], field)]
    return [inline(" ".join(line.strip() for line in block))]


def _items(block: list[str], begins: re.Pattern[str]) -> list[str]:
    """Return one line an item: what begins so, with all that follows it."""
    found: list[str] = []
    for line in block:
        if begins.match(line) or not found:
            found.append(line.strip())
        else:
            found[-1] += f" {line.strip()}"
    return found


def _hanging(block: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what stands at the margin and what is indented below it."""
    name, text = "", ""
    for line in block:
        if line.startswith(" "):
            text += f" {line.strip()}"
        else:
            if name:
                yield name, text.strip()
            name, text = line.strip(), ""
    yield name, text.strip()


def _named(field: str, name: str) -> str:
    return f"raises {name}:" if field == "raises" else f"{field}: **{name}** –"


def _convert(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    lines[:] = converted(lines)


def setup(app: Any) -> dict[str, bool]:
    """Connect with Sphinx."""
    app.connect("autodoc-process-docstring", _convert)
    return {"parallel_read_safe": True}
