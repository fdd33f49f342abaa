"""Options that several commands have."""

import click

from listener.messages.kinds import KIND_NAMES

# Drawing a table of tens of thousands takes half a minute, and nobody reads it.
MOST_IN_A_TABLE = 50

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for pipes.")
yes = click.option("--yes", is_flag=True, help="Do not ask.")
every = click.option("--all", "every", is_flag=True, help="All that there are now.")
group_needed = click.option("--group", "-g", required=True, metavar="GROUP", help="The group.")
group_wanted = click.option(
    "--group", "-g", metavar="GROUP", help="Only this consumer group.  [default: all]"
)
kinds = click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(KIND_NAMES),
    help="Only messages of this kind; may be repeated.",
)
accounts = click.option("--account", metavar="ACCOUNT", help="Only messages of this account.")
limit = click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help=f"At most so many, the oldest.  [default: {MOST_IN_A_TABLE}; all with --json]",
)
