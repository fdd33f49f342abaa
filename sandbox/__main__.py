"""`python -m sandbox`: the stand-in for ThingSpace, alone."""

from typing import Any

import click
from marshmallow import ValidationError

from sandbox import provider_facts
from sandbox.app import create_app
from sandbox.reports.options import ReportOptions, changed
from sandbox.server import listen, serving, stop_event
from sandbox.settings import DEAD_SESSIONS, EMPTY_FORMS, QUERY_FORMS, Settings
from sandbox.state import State

HELP = """A stand-in for Verizon ThingSpace: its API, its upgrades and its sender, faults included.

It listens on this machine, needs nothing else, and keeps everything in memory. When it is ready it
prints the base of the API. SIGTERM or Ctrl-C ends it.

\b
Example:
  python -m sandbox --port 8900 --key k --secret s --username u --password p \\
      --account 0242078689-00001
  # register a URL at http://127.0.0.1:8900/api/fota/v1/callbacks/…, then:
  curl -d @listener/messages/samples/upgrade-started.json 'http://127.0.0.1:8900/sandbox/messages?wait=1'
  curl http://127.0.0.1:8900/sandbox/deliveries
  curl -d '{"path": "/api/fota", "shape": "html-bad-gateway", "count": 2}' \\
      http://127.0.0.1:8900/sandbox/faults
  # an upgrade of 20 devices, of which every tenth callback is lost
  curl -d '{"devices": 20, "lose": 1, "lose_of": 10}' http://127.0.0.1:8900/sandbox/campaigns

http://127.0.0.1:8900/ lists every call; docs/sandbox.md explains them.

Faults, each for the next `count` calls whose path begins with `path`: a `status` or a `shape` (GET
/sandbox/faults lists them), a `body` and `headers` of your own, `next_access_s` for a gateway that
throttles, `delay_s` (a hang), `drop` (the connection is cut), `expire` token or session. With
"when": "after" the call takes effect first: a login is evaluated, and its answer lost. See
sandbox/faults.py; all of the control API stands in sandbox/control/__init__.py.

Spans are in seconds. Where it is not known what the real provider does, an option chooses, and
says that its default is a guess.
"""

DEFAULT = Settings()
SECONDS = click.FloatRange(min=0)


def check_accounts(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    for account in values:
        if not provider_facts.ACCOUNT_OF_ANOTHER_FORM.fullmatch(account):
            raise click.BadParameter(f"{account!r} is not of the form ##########-#####.")
        if not provider_facts.ACCOUNT.fullmatch(account):
            click.echo(f"{account!r} is not of the usual form, ##########-#####.", err=True)
    return values


def parse_options(
    _context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]
) -> ReportOptions:
    named = dict(value.split("=", 1) for value in values if "=" in value)
    if len(named) < len(values):
        raise click.BadParameter("Each is NAME=VALUE, and no name comes twice.")
    try:
        return changed(ReportOptions(), named)
    except ValidationError as problem:
        raise click.BadParameter(str(problem.messages)) from None


@click.command(help=HELP, context_settings={"show_default": True, "max_content_width": 100})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8900, type=click.IntRange(0, 65535), help="0: any free one.")
@click.option("--key", default=DEFAULT.key, help="The application's key.")
@click.option("--secret", default=DEFAULT.secret, help="The application's secret.")
@click.option("--username", default=DEFAULT.username, help="The user who logs in.")
@click.option("--password", default=DEFAULT.password, help="That user's password.")
@click.option(
    "--account",
    "accounts",
    multiple=True,
    default=DEFAULT.accounts,
    callback=check_accounts,
    help="A billing account, usually ##########-#####. May be repeated.",
)
@click.option(
    "--token-life",
    "token_life_s",
    default=DEFAULT.token_life_s,
    type=SECONDS,
    help="From a token's first issue until it expires.",
)
@click.option(
    "--session-idle",
    "session_idle_s",
    default=DEFAULT.session_idle_s,
    type=SECONDS,
    help="A session dies after being idle for so long.",
)
@click.option(
    "--lock-after",
    default=DEFAULT.lock_after,
    type=click.IntRange(min=1),
    help="Consecutive failed logins that lock the account.",
)
@click.option(
    "--refused-login",
    default=str(DEFAULT.refused_login),
    type=click.Choice(["400", "401"]),
    help="Status for a wrong password; both have been reported.",
)
@click.option(
    "--dead-session",
    default=DEFAULT.dead_session,
    type=click.Choice(DEAD_SESSIONS),
    help="How a dead session is answered. The default, a 400 whose code says expired or invalid, "
    "is a guess: it is a sibling API's.",
)
@click.option(
    "--empty",
    default=DEFAULT.empty,
    type=click.Choice(EMPTY_FORMS),
    help="How a query is answered where nothing is registered, and a deregistration too if that is an "
    "error. The default, a list for v1 and an object for v2 and v3, is a guess.",
)
@click.option(
    "--v1-query",
    default=DEFAULT.v1_query,
    type=click.Choice(QUERY_FORMS),
    help="The form of v1's answer to a query; an older description shows an object.",
)
@click.option(
    "--option",
    "report_options",
    multiple=True,
    metavar="NAME=VALUE",
    envvar="SANDBOX_OPTIONS",
    show_envvar=True,
    callback=parse_options,
    help="An option of the reports, such as empty=null; the environment has several, with spaces between "
    "them. They can be changed at any time: see GET and PUT /sandbox/options. May be repeated.",
)
@click.option(
    "--allow-http", is_flag=True, help="Let v2 and v3 register http URLs; the real ones do not."
)
@click.option(
    "--retry-after-min",
    "retry_after_min_s",
    default=DEFAULT.retry_after_min_s,
    type=SECONDS,
    help="A refused message is sent once more, at the earliest so long afterwards.",
)
@click.option(
    "--retry-after-max",
    "retry_after_max_s",
    default=DEFAULT.retry_after_max_s,
    type=SECONDS,
    help="… and at the latest so long afterwards.",
)
@click.option(
    "--duplicate-after",
    "duplicate_after_s",
    default=DEFAULT.duplicate_after_s,
    type=SECONDS,
    help="Without an answer for so long the message is sent again, meanwhile.",
)
@click.option(
    "--give-up-after",
    "give_up_after_s",
    default=DEFAULT.give_up_after_s,
    type=click.FloatRange(min=0, min_open=True),
    help="How long an answer is waited for at all. A guess.",
)
@click.option(
    "--rotation-lag",
    "rotation_lag_s",
    default=DEFAULT.rotation_lag_s,
    type=SECONDS,
    help="For so long after a new password was registered, messages carry the old one. With the "
    "real provider 9 to 14 minutes have been seen.",
)
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False),
    help="Certificates to trust in the listener's place of the public ones.",
)
@click.option(
    "--exit-on-eof",
    is_flag=True,
    help="Stop when standard input ends, as it does when the program that started this one dies.",
)
@click.option("--verbose", is_flag=True, help="Print a line for each request.")
def main(
    host: str,
    port: int,
    *,
    exit_on_eof: bool,
    verbose: bool,
    report_options: ReportOptions,
    **options: Any,
) -> None:
    settings = Settings(**{**options, "refused_login": int(options["refused_login"])})
    if settings.retry_after_min_s > settings.retry_after_max_s:
        raise click.UsageError("--retry-after-min is greater than --retry-after-max.")
    state = State.build(settings, report_options=report_options)
    state.runner.start()
    with stop_event(on_eof=exit_on_eof) as stop:
        server = listen(create_app(state), host, port, verbose=verbose)
        with serving(server):
            root = f"http://{host}:{server.port}"
            click.echo(f"ThingSpace sandbox is ready: {root}/api (control: {root}/sandbox)")
            stop.wait()


if __name__ == "__main__":
    main(prog_name="python -m sandbox")
