"""Routes for every method: the views themselves refuse a method, so that the answer does not depend on the routing."""

from collections.abc import Callable

from flask import Blueprint
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from werkzeug.routing import Rule


def route_all_methods(
    blueprint: Blueprint, path: str, name: str, view: Callable[..., ResponseReturnValue]
) -> None:
    """Registers a view of a blueprint for a path and every method; `add_url_rule` would mean GET alone."""

    def register(state: BlueprintSetupState) -> None:
        endpoint = f"{blueprint.name}.{name}"
        state.app.url_map.add(Rule(path, endpoint=endpoint))
        state.app.view_functions[endpoint] = view

    blueprint.record_once(register)
