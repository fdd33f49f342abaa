"""The small changes that make mutants: each takes a node of the syntax tree and yields the nodes to put in its place. Pure."""

import ast
from collections.abc import Iterator
from copy import copy
from typing import Any

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_REMOVABLE = (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Raise, ast.Delete)


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that may stand in a node's place, each with one change; none for most nodes."""
    if isinstance(node, ast.stmt):
        yield from _statements(node)
    elif isinstance(node, ast.Constant):
        yield from (ast.Constant(value) for value in _constants(node.value))
    elif isinstance(node, ast.expr):
        yield from _conditions(node)
        yield from _computations(node)
    elif isinstance(node, ast.Slice):
        yield from _without(node, "lower", "upper", "step")
    elif isinstance(node, ast.comprehension):
        for index in range(len(node.ifs)):
            yield _changed(node, ifs=_but(node.ifs, index))
    elif isinstance(node, ast.ExceptHandler):
        yield _changed(node, body=[ast.Raise()])
    elif isinstance(node, ast.arguments):
        yield from _defaults(node)


def _statements(node: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(node, _REMOVABLE):
        yield ast.Pass()
    if isinstance(node, ast.Return):
        returns_none = not node.value or _is_none(node.value)
        yield ast.Pass() if returns_none else ast.Return(ast.Constant(None))
    elif isinstance(node, ast.If | ast.While):
        yield from _negated(node)
    elif isinstance(node, ast.AugAssign):
        yield _changed(node, op=_ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.Break):
        yield ast.Continue()
    elif isinstance(node, ast.Continue):
        yield ast.Break()
    elif isinstance(node, ast.FunctionDef | ast.ClassDef):
        for index in range(len(node.decorator_list)):
            yield _changed(node, decorator_list=_but(node.decorator_list, index))


def _conditions(node: ast.expr) -> Iterator[ast.AST]:
    if isinstance(node, ast.Compare):
        for index, comparison in enumerate(node.ops):
            for other in _COMPARISONS[type(comparison)]:
                yield _changed(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])
    elif isinstance(node, ast.BoolOp):
        yield _changed(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for index in range(len(node.values)):
            values = _but(node.values, index)
            yield values[0] if len(values) == 1 else _changed(node, values=values)
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.UAdd):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield from _negated(node)


def _computations(node: ast.expr) -> Iterator[ast.AST]:
    if isinstance(node, ast.BinOp):
        yield _changed(node, op=_ARITHMETIC[type(node.op)]())
    elif isinstance(node, ast.Lambda):
        yield _changed(node, body=ast.Constant(None))
    elif isinstance(node, ast.Call):
        for index, keyword in enumerate(node.keywords):
            if not isinstance(keyword.value, ast.Constant):
                yield _changed(node, keywords=_but(node.keywords, index))


def _constants(value: Any) -> Iterator[Any]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value - 1)
    elif isinstance(value, str):
        yield f"X{value}"
    elif isinstance(value, bytes):
        yield b"X" + value


def _defaults(node: ast.arguments) -> Iterator[ast.AST]:
    if node.defaults:
        yield _changed(node, defaults=node.defaults[1:])
    for index, default in enumerate(node.kw_defaults):
        if default:
            yield _changed(
                node, kw_defaults=[*node.kw_defaults[:index], None, *node.kw_defaults[index + 1 :]]
            )


def _without(node: ast.AST, *names: str) -> Iterator[ast.AST]:
    return (_changed(node, **{name: None}) for name in names if getattr(node, name))


def _changed(node: ast.AST, **fields: Any) -> Any:
    changed = copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _but(items: list[Any], index: int) -> list[Any]:
    return [*items[:index], *items[index + 1 :]]


def _negated(node: ast.If | ast.While | ast.IfExp) -> Iterator[ast.AST]:
    # The operators negate a comparison and a `not` themselves.
    if not isinstance(node.test, ast.Compare | ast.UnaryOp):
        yield _changed(node, test=ast.UnaryOp(ast.Not(), node.test))


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
