"""The command `bench/run growth`."""

from pathlib import Path
from typing import Any

import click

from bench import growth, worker_memory
from bench.commands import result_file
from bench.report import growth_tables, publish
from bench.rig import environment, host

MEMORY = "memory"
PARTS = (*growth.PARTS, MEMORY)


@click.command("growth", epilog="Example: bench/run growth --only queue --only spool --seconds 2")
@click.option("--seconds", type=int, default=5, show_default=True, help="Of each measurement.")
@click.option("--rounds", type=int, default=3, show_default=True, help="Of each comparison.")
@click.option(
    "--entries", type=int, default=1_000_000, show_default=True, help="In the full queue."
)
@click.option("--groups", type=int, default=10, show_default=True, help="Of the full queue.")
@click.option(
    "--messages",
    type=int,
    default=1_000_000,
    show_default=True,
    help="During which a worker's memory is measured.",
)
@click.option(
    "--only",
    type=click.Choice(PARTS),
    multiple=True,
    help="Leave out all other parts; may be given several times.",
)
@click.option("--docs", is_flag=True, help="Write the tables into bench/results/growth.md.")
@result_file.json_option("growth.json")
def growth_command(
    *, target: Path, only: tuple[str, ...], messages: int, docs: bool, **options: Any
) -> None:
    """Measures the service alone as its queue, its messages, its partitions and its spool grow."""
    measured = growth.Growth(growth.Options(**options), environment.report)
    memory: list[worker_memory.Step] = []
    for part in only or PARTS:
        if part == MEMORY:
            memory = worker_memory.measure(messages, environment.report)
        else:
            measured.run(part)
    targets = [each.as_dict() for each in growth_tables.targets(measured.runs, memory)]
    result = {
        "format": 1,
        "machine": host.facts(),
        "options": {**options, "messages": messages},
        "runs": measured.runs,
        "memory": memory,
        "targets": targets,
    }
    result_file.write(target, result)
    environment.report(f"bench: the whole result is in {target}")
    console = result_file.console()
    for table in growth_tables.terminal_tables(result):
        console.print(table)
    if docs:
        publish.publish_growth(result)
