"""`callbacks list | register | deregister`: the callback API by hand, for any account."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from registrar.cli.common import FAILED, as_json, build, confirm, fail, read_settings
from registrar.errors import RegistrarError
from registrar.model import Registration, ServiceName, Slot
from registrar.plan import difference, owns
from registrar.public_url.checks import check_url
from registrar.settings import RegistrarSettings
from registrar.url_display import printable, shown_url

if TYPE_CHECKING:
    from registrar.thingspace.client import CallbackClient
    from registrar.thingspace.schemas import RegisteredCallback

VERSIONS = ("v1", "v2", "v3")


@dataclass(frozen=True)
class _Result:
    """What became of a write: one word, what is wrong if anything is, and what is registered now."""

    slot: Slot
    word: str
    problem: str = ""
    registered: Registration | None = None

    def show(self, settings: RegistrarSettings, *, as_json: bool) -> None:
        """Prints it; ends with status 1 if there is a problem."""
        url = _shown(self.registered, settings) if self.registered else None
        if as_json:
            data = {
                "account": self.slot.account,
                "version": self.slot.version,
                "result": self.word,
                "detail": self.problem,
                "registered_url": url,
            }
            click.echo(json.dumps(data, indent=2))
        else:
            detail = f" ({self.problem})" if self.problem else ""
            click.echo(
                f"{self.slot.account} {self.slot.version}: {self.word}{detail}; registered: {url or 'nothing'}"
            )
        if self.problem:
            sys.exit(FAILED)


def _check_account(_context: click.Context, _option: click.Parameter, account: str) -> str:
    if not account.strip() or not account.isprintable():
        raise click.BadParameter("must be an account such as 0242078689-00001")
    return account


def _check_url(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        usable = False
    if not (usable and url.isascii() and url.isprintable() and " " not in url):
        raise click.BadParameter("must be an http or https URL with a host, in ASCII")
    return url


def _for_an_account(command: Callable[..., None]) -> Callable[..., None]:
    """The argument and the option that all of these commands have."""
    version = click.option(
        "--api-version",
        "version",
        type=click.Choice(VERSIONS),
        default="v1",
        show_default=True,
        help="v1 for OMA-DM and LWM2M devices, v2 for HTTP, v3 for network-aware LWM2M.",
    )
    account = click.argument("account", callback=_check_account)
    return account(version(as_json(command)))


assume_yes = click.option(
    "--yes", is_flag=True, help="Do not ask before a callback of somebody else is lost."
)


@click.group(epilog="Example: python -m registrar callbacks list 0242078689-00001")
def callbacks() -> None:
    """Look at, register or deregister the callback of any account.

    These commands need THINGSPACE_KEY, THINGSPACE_SECRET, THINGSPACE_USERNAME and
    THINGSPACE_PASSWORD alone. The login breaker counts their logins. They neither wait for `run`
    nor stop it: a registration that it keeps is registered again.
    """


@callbacks.command("list", epilog="Example: python -m registrar callbacks list 0242078689-00001")
@_for_an_account
def list_callbacks(account: str, version: str, as_json: bool) -> None:
    """Show the callbacks that are registered for ACCOUNT.

    It hides secrets in URLs as `status` does, and shows of username and password only whether there are any.
    """
    slot = Slot(account, version)
    with _client() as (settings, client):
        registered = client.callbacks(slot)
    if as_json:
        click.echo(
            json.dumps([_data(callback, slot, settings) for callback in registered], indent=2)
        )
        return
    for callback in registered:
        login = "with" if _has_login(callback.registration) else "without"
        url = _shown(callback.registration, settings)
        click.echo(
            f"{account} {version}: {printable(callback.service)}: {url} ({login} username and password)"
        )
    if not registered:
        click.echo(f"{account} {version}: nothing is registered")


@callbacks.command(
    epilog="Example: python -m registrar callbacks register 0242078689-00001 --api-version v2 "
    "--url https://fota.example.com/callback"
)
@_for_an_account
@click.option(
    "--url", callback=_check_url, help="To register. Without it: PUBLIC_URL with CALLBACK_TOKEN."
)
@click.option(
    "--with-login",
    is_flag=True,
    help="With --url and v1: register CALLBACK_USERNAME and CALLBACK_PASSWORD too. Whoever serves "
    "the URL gets them in every message.",
)
@assume_yes
def register(
    *, account: str, version: str, url: str | None, with_login: bool, yes: bool, as_json: bool
) -> None:
    """Register a URL for ACCOUNT, in place of whatever is registered.

    It looks afterwards. Exit status 0 only if ThingSpace then shows what was registered.
    """
    slot = Slot(account, version)
    with _client() as (settings, client):
        wanted = _wanted(settings, version, url, with_login)
        for warning in check_url(wanted.url, (version,)):
            click.echo(f"warning: {warning.problem}", err=True)
        before = client.query(slot)
        if before and difference(wanted, before):
            _confirm_loss("Replace", slot, before, settings, assumed=yes)
        client.register(slot, wanted)
        after = client.query(slot)
    problem = difference(wanted, after)
    result = _Result(slot, "not-verified" if problem else "registered", problem, after)
    result.show(settings, as_json=as_json)


@callbacks.command(epilog="Example: python -m registrar callbacks deregister 0242078689-00001")
@_for_an_account
@click.option(
    "--service",
    type=click.Choice([name.value for name in ServiceName], case_sensitive=False),
    default=ServiceName.FOTA.value,
    show_default=True,
    help="The callback service; only v1 names it.",
)
@assume_yes
def deregister(*, account: str, version: str, service: str, yes: bool, as_json: bool) -> None:
    """Deregister whatever is registered for ACCOUNT.

    It looks before and afterwards. Exit status 0 only if nothing is registered any more.
    """
    slot = Slot(account, version)
    with _client() as (settings, client):
        before = client.query(slot)
        if before is None:
            _Result(slot, "absent").show(settings, as_json=as_json)
            return
        _confirm_loss("Remove", slot, before, settings, assumed=yes)
        client.deregister(slot, service=ServiceName(service))
        after = client.query(slot)
    problem = "a callback is still registered" if after else ""
    result = _Result(slot, "not-verified" if problem else "deregistered", problem, after)
    result.show(settings, as_json=as_json)


@contextmanager
def _client() -> "Iterator[tuple[RegistrarSettings, CallbackClient]]":
    """The settings and a client, while the block runs; an error of ThingSpace ends with status 1."""
    settings = read_settings(any_account=True)
    with build(settings) as registrar:
        try:
            yield settings, registrar.client
        except RegistrarError as error:
            fail(error)


def _wanted(
    settings: RegistrarSettings, version: str, url: str | None, with_login: bool
) -> Registration:
    """What is to be registered: this deployment's own, or the URL that is given. Raises UsageError."""
    service = settings.service
    if url is None:
        if service.public_url is None:
            raise click.UsageError("name a URL with --url, or set PUBLIC_URL")
        return settings.wanted(version)
    if not with_login:
        return Registration(url)
    if version != "v1" or service.callback_password is None:
        raise click.UsageError("--with-login needs v1, CALLBACK_USERNAME and CALLBACK_PASSWORD")
    return Registration(url, service.callback_username, service.callback_password)


def _confirm_loss(
    verb: str, slot: Slot, registered: Registration, settings: RegistrarSettings, *, assumed: bool
) -> None:
    """Asks before a callback is lost that is not this deployment's own."""
    if settings.service.public_url is None or not owns(settings.desired(slot), registered):
        name, url = f"{slot.account} {slot.version}", _shown(registered, settings)
        confirm(f"{name}: {url} is registered, not by this deployment. {verb} it?", assumed)


def _has_login(registration: Registration) -> bool:
    return registration.username is not None or registration.password is not None


def _shown(registration: Registration, settings: RegistrarSettings) -> str:
    return shown_url(registration.url, settings.service.public_url) or ""


def _data(
    callback: "RegisteredCallback", slot: Slot, settings: RegistrarSettings
) -> dict[str, Any]:
    return {
        "account": slot.account,
        "version": slot.version,
        "service": printable(callback.service),
        "url": _shown(callback.registration, settings),
        "login": _has_login(callback.registration),
    }
