"""Reads settings from the environment and reports all problems at once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from environs import Env, EnvValidationError
from marshmallow.validate import OneOf, Range

from listener.errors import SettingsError
from listener.settings.secret import Secret

T = TypeVar("T")


class EnvReader(Env):
    """Reads variables one by one, collects what is wrong, and tells it all in `finish`.

    A variable that is set but empty counts as not set. Until `finish` has returned, a value that
    was read may be a stand-in for one that could not be.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Takes the environment to read: `os.environ`, or a test's own."""
        super().__init__(eager=False)
        self._mapping = environ

    def _get_value(self, env_key: str, default: Any) -> Any:
        # environs looks values up through this method; its own FileAwareEnv overrides it too.
        value = self._mapping.get(env_key)
        if value and not _is_utf8(value):
            self.problem(env_key, "is not UTF-8")
            return default
        return value or default

    @property
    def names(self) -> frozenset[str]:
        """The variables that were read so far; documentation is checked against it."""
        return frozenset(self._fields)

    def text(self, name: str) -> str | None:
        """The variable as it stands, or None."""
        return self.str(name, None)

    def secret(self, name: str) -> Secret | None:
        """The variable as a secret, or None."""
        text = self.text(name)
        return None if text is None else Secret(text)

    def whole(self, name: str, default: int, *, at_least: int, at_most: int | None = None) -> int:
        """A whole number within bounds."""
        bounds = Range(min=at_least, max=at_most)
        # None comes back for a text that is no such number; finish() will tell.
        number: int | None = self.int(name, default, validate=bounds)
        return default if number is None else number

    def folder(self, name: str, default: str) -> Path | None:
        """A folder; None if the variable is set and empty, which here means: none."""
        text = self.str(name, default)
        return None if self.emptied(name) else Path(text or default)

    def emptied(self, name: str) -> bool:
        """Whether a variable is set and empty; some mean by that: none."""
        return self._mapping.get(name) == ""

    def flag(self, name: str) -> bool:
        """`true` or `false` (also `1`, `0`, `yes`, `no`, `on`, `off`); not set: false."""
        return bool(self.bool(name, default=False))

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """One of some words."""
        return self.str(name, default, validate=OneOf(choices)) or default

    def parsed(self, name: str, default: T, parse: Callable[[str], T]) -> T:
        """What `parse` makes of the text; a ValueError's message becomes the problem."""
        text = self.text(name)
        if text is None:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.problem(name, str(error))
            return default

    def problem(self, name: str, text: str) -> None:
        """Notes what is wrong with a variable, in words that do not show its value."""
        self._errors[name].append(text)

    def has_problem(self, name: str) -> bool:
        """Whether something is wrong with a variable so far: one complaint about it is enough."""
        return name in self._errors

    def finish(self) -> None:
        """Ends the reading.

        Raises:
            SettingsError: there were problems; it names them all.
        """
        problems = dict(self._errors)
        try:
            self.seal()
        except EnvValidationError:
            raise SettingsError(problems) from None


def _is_utf8(value: str) -> bool:
    # The operating system's bytes that are not UTF-8 come as lone surrogates.
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)


def words(text: str) -> tuple[str, ...]:
    """The comma-separated words of a text, without the blanks around them and without empty ones."""
    return tuple(word for part in text.split(",") if (word := part.strip()))
