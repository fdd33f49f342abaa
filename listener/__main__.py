"""The operator's command line, `python -m listener`: joins the commands of `listener/cli/`."""

import click

from listener.cli.check import check
from listener.cli.common import Commands
from listener.cli.dead import dead
from listener.cli.export import export
from listener.cli.pending import pending
from listener.cli.quarantine import quarantine
from listener.cli.replay import replay
from listener.cli.schema import schema
from listener.cli.spool import spool
from listener.cli.stats import stats
from listener.cli.tail import tail


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


for command in (check, dead, export, pending, quarantine, replay, schema, spool, stats, tail):
    main.add_command(command)


if __name__ == "__main__":
    main(prog_name="python -m listener")
