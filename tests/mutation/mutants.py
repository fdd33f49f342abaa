"""All mutants of a module's source, each with one change. Pure."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

from tests.mutation.operators import replacements

# Annotations have no effect, nor have the texts in them.
_TYPE_FIELDS = {"annotation", "returns"}
_TYPE_CALLS = {"TypeVar", "ParamSpec", "NewType", "cast"}


@dataclass(frozen=True)
class Mutant:
    """A module with one change.

    Attributes:
        line: of the change.
        function: the first line of the outermost function in which the change is, decorators
            included; None: outside any, so that it takes effect on import.
        before: what is replaced, as source.
        after: what replaces it.
        code: the whole module, compiled.
    """

    line: int
    function: int | None
    before: str
    after: str
    code: CodeType

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.line}: {_short(self.before)}  ->  {_short(self.after)}"


@dataclass(frozen=True)
class _Place:
    """Where a node stands: in a field of its parent, or in the list that the field holds."""

    node: ast.AST
    holder: Any
    key: Any
    function: int | None

    def put(self, node: ast.AST) -> None:
        if isinstance(self.holder, list):
            self.holder[self.key] = node
        else:
            setattr(self.holder, self.key, node)


def mutants_of(source: str, filename: str) -> Iterator[Mutant]:
    """Yields every mutant that can be compiled."""
    tree = ast.parse(source)
    for place in list(_places(tree, None)):
        for replacement in replacements(place.node):
            line = getattr(place.node, "lineno", None) or _first_line(place.node)
            ast.fix_missing_locations(_located(replacement, line))
            place.put(replacement)
            try:
                code = compile(tree, filename, "exec")
            except (SyntaxError, TypeError, ValueError):
                continue
            finally:
                place.put(place.node)
            before, after = ast.unparse(place.node), ast.unparse(replacement)
            yield Mutant(line, place.function, before, after, code)


def _places(node: ast.AST, function: int | None) -> Iterator[_Place]:
    for name, value in ast.iter_fields(node):
        if name in _TYPE_FIELDS:
            continue
        for key, child in enumerate(value) if isinstance(value, list) else [(name, value)]:
            if not isinstance(child, ast.AST) or _has_no_effect(child):
                continue
            inside = function
            if isinstance(node, ast.FunctionDef) and name == "body":
                inside = function or min([node.lineno, *(it.lineno for it in node.decorator_list)])
            yield _Place(child, value if isinstance(value, list) else node, key, inside)
            yield from _places(child, inside)


def _has_no_effect(node: ast.AST) -> bool:
    """Whether the node is a docstring, a type, an import, or a list of names; mypy checks dataclasses' options."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Import() | ast.ImportFrom():
            return True
        case ast.Assign(targets=[ast.Name(id="__all__" | "__slots__")]):
            return True
        case (
            ast.AnnAssign(target=ast.Attribute(), value=None)
            | ast.Call(func=ast.Name(id="dataclass"))
        ):
            return True
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Subscript()):
            return name[0].isupper() and not name.isupper()
        case ast.Assign(value=ast.Call(func=ast.Name(id=name))):
            return name in _TYPE_CALLS
    return False


def _located(node: ast.AST, line: int) -> ast.AST:
    for it in ast.walk(node):
        if "lineno" in it._attributes and not hasattr(it, "lineno"):
            it.lineno = it.end_lineno = line  # type: ignore[attr-defined]
            it.col_offset = it.end_col_offset = 0  # type: ignore[attr-defined]
    return node


def _first_line(node: ast.AST) -> int:
    return min((it.lineno for it in ast.walk(node) if hasattr(it, "lineno")), default=0)


def _short(source: str) -> str:
    text = " ".join(source.split())
    return text if len(text) <= 150 else f"{text[:150]}…"
