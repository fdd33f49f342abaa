"""The page at `/`: every call that the sandbox answers, read from the application itself."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from flask import Blueprint, Response, current_app, render_template_string

from sandbox.reports import options
from sandbox.state import state

index = Blueprint("index", __name__)
HIDDEN = {"HEAD", "OPTIONS"}

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ThingSpace sandbox</title>
<style>
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; width: 100%; }
th, td { padding: .25rem .75rem .25rem 0; text-align: left; vertical-align: top; }
code { overflow-wrap: anywhere; }
</style>
</head>
<body>
<main>
<h1>ThingSpace sandbox</h1>
<p>A stand-in for Verizon ThingSpace. The accounts are {{ accounts | join(", ") }}. The marks say how sure a call is:
[doc] Verizon's pages, [sdk] its public SDK, [?] a guess. <code>docs/sandbox.md</code> explains everything.</p>
{% for title, calls in groups %}
<h2>{{ title }}</h2>
<table>
<thead><tr><th scope="col">Method</th><th scope="col">Path</th><th scope="col">What it does</th></tr></thead>
<tbody>
{% for call in calls %}
<tr><td>{{ call.method }}</td><td><code>{{ call.path }}</code></td><td>{{ call.about }}</td></tr>
{% endfor %}
</tbody>
</table>
{% endfor %}
<h2>Options of the reports</h2>
<table>
<thead><tr><th scope="col">Option</th><th scope="col">Now</th><th scope="col">Choices</th></tr></thead>
<tbody>
{% for name, value in options.items() %}
<tr><td><code>{{ name }}</code></td><td>{{ value }}</td><td>{{ choices.get(name, []) | join(", ") }}</td></tr>
{% endfor %}
</tbody>
</table>
</main>
</body>
</html>
"""


class Call(NamedTuple):
    path: str
    method: str
    about: str


@index.get("/")
def page() -> Response:
    """This page."""
    calls = sorted(all_calls())
    api, control = (
        [call for call in calls if call.path.startswith(prefix)] for prefix in ("/api", "/sandbox")
    )
    text = render_template_string(
        PAGE,
        accounts=state().settings.accounts,
        groups=[("ThingSpace's calls", api), ("The control side", control)],
        options=options.as_json(state().report_options.get()),
        choices=options.CHOICES,
    )
    return Response(text, content_type="text/html; charset=utf-8")


def all_calls() -> Iterator[Call]:
    """Every call of the application, less the rule for all other paths."""
    for rule in current_app.url_map.iter_rules():
        if rule.endpoint == "api.no_resource":
            continue
        about = (current_app.view_functions[rule.endpoint].__doc__ or "").split("\n", 1)[0]
        for method in (rule.methods or set()) - HIDDEN:
            yield Call(_readable(rule.rule), method, about)


def _readable(rule: str) -> str:
    """A rule's path without the parts that only its matching needs."""
    return re.sub(r"<int:(\w+)>", r"<\1>", re.sub(r"<any\((.*?)\):\w+>", r"(\1)", rule))
