"""The operator's command line: `python -m listener`."""

import click

from listener.commands.check import check
from listener.commands.dead import dead
from listener.commands.export import export
from listener.commands.pending import pending
from listener.commands.quarantine import quarantine
from listener.commands.replay import replay
from listener.commands.schema import schema
from listener.commands.shell import Commands
from listener.commands.spool import spool
from listener.commands.stats import stats
from listener.commands.tail import tail


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Examples: python -m listener check; python -m listener tail --from 2h",
)
def main() -> None:
    """Looks after the queue of ThingSpace firmware messages.

    Reads the same environment variables as the service. Exit status: 0 success, 1 failure at work,
    2 wrong usage or settings.
    """


main.add_command(check)
main.add_command(dead)
main.add_command(export)
main.add_command(pending)
main.add_command(quarantine)
main.add_command(replay)
main.add_command(schema)
main.add_command(spool)
main.add_command(stats)
main.add_command(tail)


if __name__ == "__main__":
    main(prog_name="python -m listener")
