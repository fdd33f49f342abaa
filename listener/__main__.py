"""The operator's command line, `python -m listener`: names the commands of `listener/cli/`."""

import click

from listener.cli.command_group import CommandGroup
from listener.lazy_commands import LazyCommand

SUMMARIES = {
    "check": "Look at everything, and say what to do.",
    "consume": "Run your Consumer, in processes.",
    "dead": "What consumer groups gave up on.",
    "export": "Write messages into a file.",
    "group": "List consumer groups, or drop one.",
    "pending": "What was delivered and not acknowledged.",
    "quarantine": "What was refused from proven senders.",
    "replay": "Set a consumer group back or forward.",
    "resend": "Give messages to one group once more.",
    "schema": "Print the JSON Schemas of the messages.",
    "send-test": "Send a message through PUBLIC_URL.",
    "spool": "What waits on this host, or is set aside.",
    "stats": "How full the queue is; how far groups are.",
    "tail": "Print messages as they arrive.",
}

# The commands that stand in a package of their own or with others.
PACKAGES = {
    "dead": "dead_letters",
    "group": "groups",
    "quarantine": "quarantined",
    "replay": "groups",
    "resend": "groups",
    "send-test": "test_message",
}


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Examples: python -m listener check; python -m listener tail --from 2h",
)
def main() -> None:
    """Looks after the queue of ThingSpace firmware messages.

    Reads the same environment variables as the service. Exit status: 0 success, 1 failure at work,
    2 wrong usage or settings.
    """


for name, summary in SUMMARIES.items():
    function = name.replace("-", "_")
    module = ".".join(filter(None, ("listener.cli", PACKAGES.get(name), function)))
    main.add_command(LazyCommand(f"{module}.{function}", summary))


if __name__ == "__main__":
    main(prog_name="python -m listener")
