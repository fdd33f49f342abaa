"""The command line: `python -m registrar run | status | register | deregister | unlock | recover | callbacks`."""

from typing import Any

import click

from listener.lazy_commands import LazyCommand
from listener.runtime import memory_protection, stderr

COMMANDS = {
    "callbacks.callbacks": "Look at, register or deregister the callback of any account.",
    "by_hand.deregister": "Deregister what is ours, and nothing else.",
    "recover.recover": "Find messages that ThingSpace never delivered.",
    "by_hand.register": "Register now, in place of whatever is registered.",
    "run.run": "Start COMMAND, and keep the URL registered while it runs.",
    "by_hand.status": "Show what is registered.",
    "by_hand.unlock": "Let one more login be tried after two were refused.",
}

# What of the extra `service` the registrar itself imports.
OF_THE_SERVICE = ("requests", "urllib3")


class Commands(click.Group):
    """A group whose commands never wait for the reader of their log and errors."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Runs the command line."""
        # First, because the environment that holds the credentials is open until then.
        memory_protection.protect_memory()
        stderr.replace()
        return super().main(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; one sentence if it needs what the base installation does not have."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if error.name not in OF_THE_SERVICE:
                raise
            raise click.ClickException(
                f"{error.name} is not installed: the registrar needs more than a consumer, "
                "pip install 'thingspace-fota-listener[service]'"
            ) from None


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Examples: python -m registrar run -- gunicorn listener.wsgi:app; "
    "python -m registrar status --json",
)
def main() -> None:
    """Keeps the callback URL registered with ThingSpace, from boot to shutdown.

    Settings come from the environment: see .env.example. Exit status: 0 success, 1 a failure at
    work, 2 wrong settings or arguments.
    """


for path, summary in COMMANDS.items():
    main.add_command(LazyCommand(f"registrar.cli.{path}", summary))


if __name__ == "__main__":
    main()
