"""The group of all commands: how a command treats those who read its output and its errors."""

import os
import sys
from typing import Any

import click

from listener.runtime import memory_protection, stderr


class CommandGroup(click.Group):
    """A group whose commands end quietly when the reader of their output has gone.

    A command may wait for the reader of its output, until a signal comes or the reader ends; it never
    waits for the reader of its errors.
    """

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Runs the command line."""
        # Run where the service runs, a command has the service's whole environment.
        memory_protection.protect_memory()
        stderr.replace()
        return super().main(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command."""
        _escape_unencodable()
        try:
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                discard_output()
                raise
            finally:
                sys.stdout.flush()
        except KeyboardInterrupt:
            # It may also have come while the last flush waited for the reader.
            discard_output()
            raise
        except BrokenPipeError:
            # `| head` has ended. What is left in the buffer must not fail once more at exit.
            discard_output()
            ctx.exit(0)
        except OSError as error:
            # A disk that is full, where the output goes into a file.
            discard_output()
            raise click.ClickException(f"output failed: {error.strerror or error}") from None


def discard_output() -> None:
    """Discards the buffer of standard output and all later output, so that the exit does not wait for its reader."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


def _escape_unencodable() -> None:
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
