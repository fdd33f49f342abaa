"""The calls of the control side for upgrades, and for the options of reports."""

from dataclasses import asdict
from typing import Any

from flask import Response, jsonify
from marshmallow import ValidationError
from werkzeug.exceptions import BadRequest, NotFound

from sandbox.campaigns.catalogue import Batch
from sandbox.campaigns.requests import CampaignRequestSchema
from sandbox.control.blueprint import control, json_object, number
from sandbox.delivery.losses import LossSchema
from sandbox.reports import options
from sandbox.state import state

MOST_LISTED = 1000


@control.post("/campaigns")
def add_campaigns() -> tuple[Response, int]:
    """Makes upgrades: see `sandbox.campaigns.requests.CampaignRequest`."""
    try:
        wanted = CampaignRequestSchema().load(json_object())
    except ValidationError as problem:
        return jsonify(error="Not a request for campaigns.", fields=problem.messages), 400
    account = wanted.account or state().settings.accounts[0]
    if account not in state().settings.accounts:
        raise BadRequest("The sandbox was not started with this account.")
    batch = state().campaigns.create(wanted, account)
    return jsonify(_summary(batch)), 201


@control.get("/campaigns")
def campaigns() -> Response:
    """The requests so far, and what became of their callbacks."""
    return jsonify(campaigns=[_summary(batch) for batch in state().catalogue.batches()])


@control.delete("/campaigns")
def clear_campaigns() -> Response:
    """Forgets all upgrades."""
    state().campaigns.clear()
    return jsonify(campaigns=[])


@control.get("/campaigns/<int:wanted>/upgrades")
def upgrades(wanted: int) -> Response:
    """The ids of a request's upgrades and what each is now, at most a thousand. Query: after=N."""
    after, now = number("after"), state().clock()
    batch = next((each for each in state().catalogue.batches() if each.number == wanted), None)
    if batch is None:
        raise NotFound("There is no such request.")
    items = [
        {
            "number": upgrade.number + 1,
            "id": upgrade.id,
            "stage": upgrade.stage(now).value,
            "created": upgrade.created,
            "devices": len(upgrade.devices),
            "first_device": upgrade.devices[0],
        }
        for upgrade in batch.upgrades[after : after + MOST_LISTED]
    ]
    return jsonify(upgrades=items)


@control.get("/losses")
def losses() -> Response:
    """Which of all messages are lost on purpose."""
    return jsonify(asdict(state().losses.loss))


@control.put("/losses")
def change_losses() -> tuple[Response, int]:
    """Chooses how many of how many messages are lost on purpose."""
    try:
        loss = LossSchema().load(json_object())
    except ValidationError as problem:
        return jsonify(error="Not losses.", fields=problem.messages), 400
    state().losses.replace(loss)
    return jsonify(asdict(loss)), 200


@control.get("/options")
def report_options() -> Response:
    """The options of the reports, and what can be chosen."""
    return jsonify(options=options.as_json(state().report_options.get()), choices=options.CHOICES)


@control.put("/options")
def change_options() -> tuple[Response, int]:
    """Changes some of the options."""
    try:
        chosen = state().report_options.change(json_object())
    except ValidationError as problem:
        return jsonify(error="Not options.", fields=problem.messages), 400
    return jsonify(options=options.as_json(chosen)), 200


@control.delete("/options")
def reset_options() -> Response:
    """Back to the options of the start."""
    return jsonify(options=options.as_json(state().report_options.reset()))


def _summary(batch: Batch) -> dict[str, Any]:
    return {
        "number": batch.number,
        "version": batch.plan.version,
        "account": batch.plan.account,
        "seed": batch.plan.seed,
        "upgrades": len(batch.upgrades),
        "devices": len(batch.devices),
        "first_device": batch.devices[0],
        "last_device": batch.devices[-1],
        "first_id": batch.upgrades[0].id,
        "callbacks": batch.tally.counts(),
    }
