"""The layers of the listener: which part may import which. `python -m tests.project.layers` prints them."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES_IN_A_FOLDER = 15
# From top to bottom. A part imports parts of lower layers only; parts that share a layer do not
# import each other.
LAYERS = (
    ("wsgi", "__main__"),
    ("cli",),
    ("ops",),
    ("diagnostics",),
    ("callback", "consumer", "server"),
    ("inspection",),
    ("queue",),
    ("spool",),
    ("redis_client",),
    ("messages",),
    ("problem_responses",),
    ("refusal_log", "safe_logger"),
    ("logs", "metrics"),
    ("settings", "runtime"),
    ("times",),
    ("errors", "text", "entry_ids", "thingspace"),
)
# Only these parts import the library.
LIBRARIES = {
    "gunicorn": {"server"},
    "redis": {"redis_client", "queue", "inspection", "consumer"},
    "flask": {"callback", "ops"},
}


def part_of(module: str) -> str:
    """The folder or top-level module that a dotted name such as `listener.queue.keys` lies in."""
    return module.split(".")[1] if "." in module else ""


def part_at(path: Path) -> str:
    """The folder or top-level module that a file lies in."""
    return path.relative_to(ROOT / "listener").parts[0].removesuffix(".py")


def root_of(module: str) -> str:
    """The package of a dotted name: `redis` of `redis.exceptions`."""
    return module.split(".", maxsplit=1)[0]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules() -> list[Path]:
    """Every module of the listener."""
    return sorted((ROOT / "listener").rglob("*.py"))


def arrows() -> Iterator[tuple[str, str, Path]]:
    """From which part to which other one an import leads, and the file that has it."""
    for path in modules():
        own = part_at(path)
        for name in imports(path):
            other = part_of(name) if name.startswith("listener.") else ""
            if other and other not in (own, "__version__") and own != "__init__":
                yield own, other, path


def rising() -> list[str]:
    """The imports that lead to the same or a higher layer, each as a line of text."""
    rank = {part: number for number, layer in enumerate(LAYERS) for part in layer}
    return sorted(
        {
            f"{path.relative_to(ROOT)} imports listener.{other}"
            for own, other, path in arrows()
            if rank[other] <= rank[own]
        }
    )


def misplaced_libraries() -> list[str]:
    """The imports of a library outside the parts that may import it, each as a line of text."""
    return sorted(
        {
            f"{path.relative_to(ROOT)} imports {library}"
            for path in modules()
            for library in map(root_of, imports(path))
            if part_at(path) not in LIBRARIES.get(library, {part_at(path)})
        }
    )


def aliases() -> list[str]:
    """The imports of the listener's own modules and classes under another name."""
    return sorted(
        f"{path.relative_to(ROOT)} imports {alias.name} as {alias.asname}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if alias.asname
    )


def crowded() -> dict[str, int]:
    """The folders with too many modules, and how many they have."""
    folders = [path.parent for path in modules()]
    counts = {str(folder.relative_to(ROOT)): folders.count(folder) for folder in set(folders)}
    return {name: count for name, count in counts.items() if count > MODULES_IN_A_FOLDER}


def main() -> None:
    """Prints each layer with what it imports."""
    leads: dict[str, set[str]] = {}
    for own, other, _ in arrows():
        leads.setdefault(own, set()).add(other)
    for number, layer in enumerate(LAYERS, start=1):
        for part in layer:
            print(f"{number:>2}  {part:<13} -> {', '.join(sorted(leads.get(part, ()))) or '-'}")  # noqa: T201
    print(*rising(), *(f"{name}: {count} modules" for name, count in crowded().items()), sep="\n")  # noqa: T201


if __name__ == "__main__":
    main()
