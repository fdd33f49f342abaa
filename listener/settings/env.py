"""EnvReader: reads variables of the environment. Every problem is reported at once, and no value is shown."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from listener.errors import SettingsError
from listener.settings import secret_files

D = TypeVar("D")
T = TypeVar("T")


class EnvReader:
    """Reads the variables of a mapping; one that is set and empty counts as not set.

    A method returns the default for a variable that has a problem; `seal` reports all problems.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._names: set[str] = set()
        self._secrets: set[str] = set()
        self._problems: defaultdict[str, list[str]] = defaultdict(list)

    def parsed(self, name: str, default: D, *, parse: Callable[[str], T]) -> T | D:
        """What `parse` makes of a variable's text; the message of its ValueError becomes the problem.

        `listener.settings.parsers` has the parsers; `str`, `Path` and `Secret` accept any text.
        """
        self._names.add(name)
        return self._parsed(name, default, parse)

    def secret(self, name: str, default: D, *, parse: Callable[[str], T]) -> T | D:
        """Like `parsed`, of the variable itself or of the file that `NAME_FILE` names; both are a problem."""
        file = f"{name}{secret_files.SUFFIX}"
        self._secrets.add(name)
        value = self.parsed(name, default, parse=parse)
        if not self._environ.get(file):
            return value
        if self._environ.get(name):
            self.add_problem(file, f"must not be set together with {name}: set one of both")
            return default
        return self._parsed(file, default, lambda path: parse(secret_files.read_secret(Path(path))))

    @property
    def secrets(self) -> frozenset[str]:
        """Those of `names` that a file may hold; the variable of the file's name is not among `names`."""
        return frozenset(self._secrets)

    @property
    def names(self) -> frozenset[str]:
        """The variables that were read so far; tests compare the documentation with them."""
        return frozenset(self._names)

    def is_empty(self, name: str) -> bool:
        """Whether a variable is set and empty, which for some of them means: none."""
        return self._environ.get(name) == ""

    def add_problem(self, name: str, text: str) -> None:
        """Adds a problem of a variable, in words that do not show its value."""
        self._problems[name].append(text)

    def add_conflict(self, name: str, other: str, text: str) -> None:
        """Adds a problem that a variable has only together with another one.

        Not if one of both has a problem of its own, because it may be the cause of this one.
        """
        if not (self.has_problem(name) or self.has_problem(other)):
            self.add_problem(name, text)

    def has_problem(self, name: str) -> bool:
        """Whether a variable, or the file that it is read from, has a problem so far; it needs no second one."""
        return not self._problems.keys().isdisjoint((name, f"{name}{secret_files.SUFFIX}"))

    def seal(self) -> None:
        """Ends the reading.

        Raises:
            SettingsError: there were problems; it holds them all.
        """
        if self._problems:
            raise SettingsError(dict(self._problems))

    def _parsed(self, name: str, default: D, parse: Callable[[str], T]) -> T | D:
        text = self._environ.get(name)
        if not text:
            return default
        if not _is_utf8(text):
            self.add_problem(name, "is not UTF-8")
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.add_problem(name, str(error))
            return default


def read_environ(environ: Mapping[str, str], read: Callable[[EnvReader], T]) -> T:
    """Returns what `read` makes of the variables.

    Raises:
        SettingsError: with every problem.
    """
    env = EnvReader(environ)
    settings = read(env)
    env.seal()
    return settings


def _is_utf8(value: str) -> bool:
    # The operating system's bytes that are not UTF-8 come as lone surrogates.
    return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
