"""Finds the Consumer that `fota consume package.module:consumer` names. Runs in the process that consumes."""

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import NoReturn

from listener.consumer.consumer import Consumer
from listener.errors import ListenerError, SettingsError


class TargetError(ListenerError):
    """TARGET leads to no Consumer that could run: a sentence for the operator."""


class ImportFailedError(ListenerError):
    """The user's own module raised while it was imported: the text is a traceback."""


def load_consumer(target: str, folder: str) -> Consumer:
    """Imports the module with `folder` on `sys.path`; returns the consumer.

    Raises:
        TargetError: see there.
        ImportFailedError: see there.
    """
    module_name, _, path = target.partition(":")
    _check_form(target, module_name, path)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with _refusing_to_run(module_name):
        module = _import(module_name, folder)
    found = _attribute(module, path)
    if not isinstance(found, Consumer):
        what = f"the class {found.__name__}" if isinstance(found, type) else _article(found)
        raise TargetError(f"{target} is {what}, not a Consumer{_hint(module)}")
    if not found.has_handlers:
        raise TargetError(
            f"{target} has no handler: every message would be acknowledged unhandled; "
            "is the module with the handlers imported?"
        )
    try:
        found.check()
    except TypeError as error:
        raise TargetError(f"{target} cannot run: {error}") from None
    return found


def _check_form(target: str, module_name: str, path: str) -> None:
    if "/" in module_name or module_name.endswith(".py"):
        name = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise TargetError(f"{target}: name the module, not its file: {name}:{path or 'consumer'}")
    parts = [*module_name.split("."), *path.split(".")]
    if not all(part.isidentifier() for part in parts):
        raise TargetError(
            f"{target!r} does not have the form package.module:consumer, such as billing.main:consumer"
        )


def _import(name: str, folder: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except TargetError:
        raise
    except ModuleNotFoundError as error:
        # One that the user's module does not find is the user's own mistake, with its traceback.
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise TargetError(
                f"there is no module {error.name} in {folder} nor elsewhere on Python's path"
            ) from None
        _raise_import_failed(name, error)
    except SettingsError as error:
        lines = "\n  ".join(error.lines())
        raise TargetError(f"the settings are not valid:\n  {lines}") from None
    except BaseException as error:  # noqa: BLE001 - even sys.exit() at the top of a module
        _raise_import_failed(name, error)


def _raise_import_failed(name: str, error: BaseException) -> NoReturn:
    """Raises with the traceback from the user's first line on."""
    frames = error.__traceback__
    while frames and _is_machinery(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    text = "".join(traceback.format_exception(error.with_traceback(frames)))
    raise ImportFailedError(f"{name} cannot be imported:\n{text.rstrip()}") from None


def _is_machinery(file: str) -> bool:
    return file == __file__ or file.startswith("<frozen importlib") or "/importlib/" in file


def _attribute(module: ModuleType, path: str) -> object:
    found: object = module
    for name in path.split("."):
        if not hasattr(found, name):
            raise TargetError(f"the module {module.__name__} has no {path}{_hint(module)}")
        found = getattr(found, name)
    return found


def _hint(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, Consumer)]
    return f"; it has: {', '.join(names)}" if names else "; it has no Consumer"


def _article(found: object) -> str:
    name = type(found).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


@contextmanager
def _refusing_to_run(name: str) -> Iterator[None]:
    """A module that calls `run` when it is imported would never be imported to its end."""

    def refuse(_consumer: Consumer) -> None:
        raise TargetError(
            f'{name} calls run() while it is imported: put that below `if __name__ == "__main__":`'
        )

    run = Consumer.run
    setattr(Consumer, "run", refuse)  # noqa: B010 - a type checker refuses the assignment
    try:
        yield
    finally:
        setattr(Consumer, "run", run)  # noqa: B010


def current_folder() -> str:
    """The folder that is searched first."""
    return os.getcwd()  # noqa: PTH109 - sys.path holds texts
