"""The paper's claims as they stand in their files, read without running or importing any of them."""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Statement:
    """A claim and where its test is.

    id, statement, source, kind, scope, family : as of `bthcheck.harness.claims.Claim`
    file, line, function : its test
    needs : the fixtures of its test, such as the experiment whose results it looks at
    presents : the calls by which it presents evidence, as source text
    """

    id: str
    statement: str
    source: str
    kind: str
    scope: str
    family: str
    file: Path
    line: int
    function: str
    needs: tuple[str, ...]
    presents: tuple[str, ...]


def statements(folder: Path) -> dict[str, Statement]:
    """Return id → claim for all claims of a folder, in the order of their ids."""
    found = [statement for path in sorted(folder.rglob("test_*.py")) for statement in _of_file(path)]
    return {statement.id: statement for statement in sorted(found, key=lambda statement: statement.id)}


def _of_file(path: Path) -> list[Statement]:
    tree = ast.parse(path.read_text(encoding="utf-8"), path)
    constants = _imported(tree) | _constants(tree)
    return [
        _statement(path, node, decorator, constants)
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func).rpartition(".")[2] == "claim"
    ]


def _constants(tree: ast.Module) -> dict[str, Any]:
    """Return the names that a module gives to numbers and words."""
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _imported(tree: ast.Module) -> dict[str, Any]:
    """Return the numbers and words that a module imports from modules of this package."""
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bthcheck."):
            path = PACKAGE.joinpath(*str(node.module).split(".")[1:]).with_suffix(".py")
            wanted = {alias.name: alias.asname or alias.name for alias in node.names if alias.name.isupper()}
            if wanted and path.is_file():
                known = _constants(ast.parse(path.read_text(encoding="utf-8"), path))
                found |= {wanted[name]: value for name, value in known.items() if name in wanted}
    return found


def _statement(path: Path, node: ast.FunctionDef, decorator: ast.Call, constants: dict[str, Any]) -> Statement:
    fields = {"kind": "trend", "scope": "", "family": "paper"}
    fields |= {keyword.arg or "": _text(keyword.value, constants) for keyword in decorator.keywords}
    calls = [
        call
        for call in ast.walk(node)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "evidence"
        and call.func.attr not in ("figure", "note", "table")
    ]
    return Statement(
        id=_text(decorator.args[0], constants),
        statement=fields["statement"],
        source=fields["source"],
        kind=fields["kind"],
        scope=fields["scope"],
        family=fields["family"],
        file=path,
        line=node.lineno,
        function=node.name,
        needs=tuple(argument.arg for argument in node.args.args if argument.arg != "evidence"),
        presents=tuple(ast.unparse(call) for call in sorted(calls, key=lambda call: call.lineno)),
    )


def _text(node: ast.expr, constants: dict[str, Any]) -> str:
    """Return the text that an expression stands for; of an expression in an f-string, what is written there."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part, constants) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _text(node.value, constants)
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.Name):
        return str(constants.get(node.id, node.id))
    return ast.unparse(node)
