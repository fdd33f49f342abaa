"""EnvReader: environs for this service's variables. Every problem is reported at once, and no value is shown."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

from environs import Env, EnvValidationError, ValidationError
from marshmallow.fields import Field

from listener.errors import SettingsError
from listener.settings import secret_files

D = TypeVar("D")
T = TypeVar("T")


class ParsedMethod(Protocol):
    """The type of `EnvReader.parsed`."""

    def __call__(self, name: str, default: D, *, parse: Callable[[str], T]) -> T | D:
        """Returns what `parse` makes of the text; the message of its ValueError becomes the problem."""


class EnvReader(Env):
    """Reads variables by environs' own methods (`int`, `str`, `bool`, `path`), by `parsed` and by `secret`.

    Unlike environs', it reads a mapping, and takes a variable that is set and empty for one that is not
    set. A method returns None for a variable that has a problem; `seal` reports all problems.
    """

    parsed: ParsedMethod

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(eager=False)
        self._mapping = environ
        self._secrets: set[str] = set()
        self.add_parser_from_field("parsed", ParsedField)

    def _get_value(self, env_key: str, default: Any) -> Any:
        # environs looks values up through this method; its own FileAwareEnv overrides it as well.
        value = self._mapping.get(env_key)
        if value and not _is_utf8(value):
            self.add_problem(env_key, "is not UTF-8")
            return default
        return value or default

    def secret(self, name: str, default: D, *, parse: Callable[[str], T]) -> T | D:
        """Like `parsed`, of the variable itself or of the file that `NAME_FILE` names; both are a problem."""
        file = f"{name}{secret_files.SUFFIX}"
        self._secrets.add(name)
        value = self.parsed(name, default, parse=parse)
        if not self._mapping.get(file):
            return value
        if self._mapping.get(name):
            self.add_problem(file, f"must not be set together with {name}: set one of both")
            return default
        return self.parsed(file, default, parse=lambda path: parse(_secret_in(path)))

    @property
    def secrets(self) -> frozenset[str]:
        """Those of `names` that a file may hold; the variable of the file's name is not among `names`."""
        return frozenset(self._secrets)

    @property
    def names(self) -> frozenset[str]:
        """The variables that were read so far; tests compare the documentation with them."""
        return frozenset(self._fields) - {f"{name}{secret_files.SUFFIX}" for name in self._secrets}

    def is_empty(self, name: str) -> bool:
        """Whether a variable is set and empty, which for some of them means: none."""
        return self._mapping.get(name) == ""

    def add_problem(self, name: str, text: str) -> None:
        """Adds a problem of a variable, in words that do not show its value."""
        self._errors[name].append(text)

    def add_conflict(self, name: str, other: str, text: str) -> None:
        """Adds a problem that a variable has only together with another one.

        Not if one of both has a problem of its own, because it may be the cause of this one.
        """
        if not (self.has_problem(name) or self.has_problem(other)):
            self.add_problem(name, text)

    def has_problem(self, name: str) -> bool:
        """Whether a variable, or the file that it is read from, has a problem so far; it needs no second one."""
        return not self._errors.keys().isdisjoint((name, f"{name}{secret_files.SUFFIX}"))

    def seal(self) -> None:
        """Ends the reading.

        Raises:
            SettingsError: there were problems; it holds them all.
        """
        problems = dict(self._errors)
        try:
            super().seal()
        except EnvValidationError:
            # Its message holds texts that marshmallow may make of a value.
            raise SettingsError(problems) from None


def read_environ(environ: Mapping[str, str], read: Callable[[EnvReader], T]) -> T:
    """Returns what `read` makes of the variables.

    Raises:
        SettingsError: with every problem.
    """
    env = EnvReader(environ)
    settings = read(env)
    env.seal()
    return settings


class ParsedField(Field[Any]):
    """A text that a function parses."""

    def __init__(self, *, parse: Callable[[str], object], **options: Any) -> None:
        super().__init__(**options)
        self._parse = parse

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        try:
            return self._parse(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None


def _secret_in(path: str) -> str:
    return secret_files.read_secret(Path(path))


def _is_utf8(value: str) -> bool:
    # The operating system's bytes that are not UTF-8 come as lone surrogates.
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
