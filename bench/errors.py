"""The error of every measurement. It imports nothing of ours."""

import click


class BenchError(click.ClickException):
    """A tool is missing, a contender failed, or it did not do the work; the message says what.

    The command line prints the message and exits with 1.
    """
