"""Commands that are imported once they are called: an overview waits for no command's libraries."""

from importlib import import_module
from typing import Any

import click

from listener.runtime import lean_imports


class LazyCommand(click.Command):
    """A command's name and summary in its group; the command itself is imported once it is called.

    The overview of the group and the completion of its commands' names import none of them. As with any
    command, click calls `make_context` first, and then goes on with the command of the context.
    """

    def __init__(self, path: str, summary: str) -> None:
        """Imports nothing.

        Args:
            path: of the command, such as `listener.cli.stats.stats`. A module must import no rich
                itself: see `listener.runtime.lean_imports`.
            summary: for the overview.
        """
        self._module, _, self._attribute = path.rpartition(".")
        # As click names a command by its function.
        super().__init__(self._attribute.replace("_", "-"), short_help=summary)

    def load(self) -> click.Command:
        """Imports the command."""
        with lean_imports.without_unused():
            command = getattr(import_module(self._module), self._attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self._module}.{self._attribute} is no command")
        return command

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """The context of the command itself."""
        return self.load().make_context(info_name, args, parent, **extra)
