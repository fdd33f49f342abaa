"""Options that several commands have."""

import click

from listener.thingspace import KINDS, UNKNOWN

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
    type=click.Choice([*KINDS.values(), UNKNOWN]),
    help="Only messages of this kind; may be repeated.",
)
accounts = click.option("--account", metavar="ACCOUNT", help="Only messages of this account.")
