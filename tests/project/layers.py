"""The layers within a package: which part may import which. `python -m tests.project.layers` prints them."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES_IN_A_FOLDER = 15


@dataclass(frozen=True)
class Package:
    """A package of layers.

    Attributes:
        name: the folder's.
        layers: from top to bottom. A part, which is a folder or a module at the top, imports parts of
            lower layers only; parts that share a layer do not import each other.
        libraries: which parts alone import a library.
    """

    name: str
    layers: tuple[tuple[str, ...], ...]
    libraries: Mapping[str, set[str]]


LISTENER = Package(
    "listener",
    (
        ("wsgi", "gunicorn_conf", "__main__", "pytest_plugin"),
        ("cli",),
        ("ops",),
        ("diagnostics",),
        ("callback", "consumer", "server"),
        ("inspection",),
        ("recovered",),
        ("queue",),
        ("spool",),
        ("redis_client",),
        ("messages",),
        ("problem_responses",),
        ("refusal_log", "safe_logger"),
        ("logs", "metrics", "lazy_commands"),
        ("settings", "runtime"),
        ("times",),
        ("errors", "text", "entry_ids", "registration_state"),
    ),
    {
        "gunicorn": {"server"},
        "httptools": {"server"},
        "redis": {"redis_client", "queue", "inspection", "recovered", "consumer"},
        "flask": {"callback", "ops"},
        "opentelemetry": {"consumer"},
    },
)
REGISTRAR = Package(
    "registrar",
    (
        ("__main__",),
        ("cli",),
        ("run",),
        ("app",),
        ("status",),
        ("reconcile", "recovery"),
        ("public_url", "process"),
        ("thingspace",),
        ("login_breaker",),
        ("coordination",),
        ("metrics",),
        ("settings",),
        ("plan",),
        ("http",),
        ("model", "fan_out", "turn", "url_display"),
        ("errors",),
    ),
    {"requests": {"http"}, "urllib3": {"http"}},
)
BENCH = Package(
    "bench",
    (
        ("cli",),
        ("commands",),
        ("replay", "whole_run"),
        (
            "chaos",
            "compare",
            "consumer",
            "growth",
            "memory",
            "searches",
            "slow_connections",
            "token_timing",
            "worker_memory",
        ),
        ("rig",),
        ("load",),
        ("report",),
        ("errors",),
        # Processes of their own.
        ("consumer_child", "contenders"),
    ),
    {"listener": {"consumer", "consumer_child", "memory"}},
)
SANDBOX = Package(
    "sandbox",
    (
        ("__main__", "demo"),
        ("app", "server"),
        ("control",),
        ("api",),
        ("state",),
        ("courses",),
        ("reports",),
        ("campaigns",),
        ("delivery",),
        ("accounts",),
        ("faults", "request_log"),
        ("replies", "settings"),
        ("provider_facts",),
    ),
    {"flask": {"app", "api", "control", "server", "state"}, "requests": {"delivery", "demo"}},
)
PACKAGES = (LISTENER, REGISTRAR, BENCH, SANDBOX)


def root_of(module: str) -> str:
    """The package of a dotted name: `redis` of `redis.exceptions`."""
    return module.split(".", maxsplit=1)[0]


def part_of(module: str) -> str:
    """The folder or top-level module that a dotted name such as `listener.queue.keys` lies in."""
    return module.split(".")[1] if "." in module else ""


def part_at(path: Path) -> str:
    """The folder or top-level module that a file lies in."""
    return path.relative_to(ROOT).parts[1].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports; of `from a import b` both `a` and `a.b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(package: Package) -> list[Path]:
    """Every module of the package."""
    return sorted((ROOT / package.name).rglob("*.py"))


def arrows(package: Package) -> Iterator[tuple[str, str, Path]]:
    """From which part to which other one an import leads, and the file that has it."""
    for path in modules(package):
        own = part_at(path)
        for name in imports(path):
            other = part_of(name) if root_of(name) == package.name else ""
            if other and other not in (own, "__version__") and own != "__init__":
                yield own, other, path


def rising(package: Package) -> list[str]:
    """The imports that lead to the same or a higher layer, each as a line of text."""
    rank = {part: number for number, layer in enumerate(package.layers) for part in layer}
    return sorted(
        {
            f"{path.relative_to(ROOT)} imports {package.name}.{other}"
            for own, other, path in arrows(package)
            if rank[other] <= rank[own]
        }
    )


def misplaced_libraries(package: Package) -> list[str]:
    """The imports of a library outside the parts that may import it, each as a line of text."""
    return sorted(
        {
            f"{path.relative_to(ROOT)} imports {library}"
            for path in modules(package)
            for library in map(root_of, imports(path))
            if part_at(path) not in package.libraries.get(library, {part_at(path)})
        }
    )


def aliases(package: Package) -> list[str]:
    """The imports of the package's own modules and classes under another name."""
    return sorted(
        f"{path.relative_to(ROOT)} imports {alias.name} as {alias.asname}"
        for path in modules(package)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if alias.asname
    )


def crowded(package: Package) -> dict[str, int]:
    """The folders with too many modules, and how many they have."""
    folders = [path.parent for path in modules(package)]
    counts = {str(folder.relative_to(ROOT)): folders.count(folder) for folder in set(folders)}
    return {name: count for name, count in counts.items() if count > MODULES_IN_A_FOLDER}


def print_layers(package: Package) -> None:
    """Prints each layer with what it imports."""
    leads: dict[str, set[str]] = {}
    for own, other, _ in arrows(package):
        leads.setdefault(own, set()).add(other)
    print(package.name)  # noqa: T201
    for number, layer in enumerate(package.layers, start=1):
        for part in layer:
            print(f"{number:>2}  {part:<13} -> {', '.join(sorted(leads.get(part, ()))) or '-'}")  # noqa: T201
    crowds = (f"{name}: {count} modules" for name, count in crowded(package).items())
    print(*rising(package), *crowds, sep="\n")  # noqa: T201


if __name__ == "__main__":
    for each in PACKAGES:
        print_layers(each)
