"""Flask with one redis-py call for each request: `gunicorn bench.contenders.flask_app:app`."""

import logging
import os
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, jsonify, request
from marshmallow import INCLUDE, Schema, ValidationError, fields
from redis import Redis

from bench.contenders import entries

USERNAME = os.environ["CALLBACK_USERNAME"]
PASSWORD = os.environ["CALLBACK_PASSWORD"]
WINDOW_S = 1800

logging.basicConfig(level=os.environ["LOG_LEVEL"].upper(), format="%(asctime)s %(message)s")
log = logging.getLogger("contender")

redis = Redis.from_url(os.environ["REDIS_URL"])
enqueue = redis.register_script(Path(__file__).with_name("enqueue.lua").read_text())


class Applicable(fields.Field[Any]):
    """A container, which the provider sends as any empty JSON value where it does not apply."""

    def __init__(self, shape: fields.Field[Any]) -> None:
        super().__init__(allow_none=True)
        self.shape = shape

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return value if value in ("", [], {}) else self.shape.deserialize(value, *args, **kwargs)


class Envelope(Schema):
    """The members that are checked; all others are kept."""

    class Meta:
        unknown = INCLUDE

    type = fields.String(allow_none=True)
    accountName = fields.String(allow_none=True)  # noqa: N815 (the provider's names)
    username = fields.String(allow_none=True)
    password = fields.String(allow_none=True)
    firmwareList = Applicable(fields.List(fields.Dict()))  # noqa: N815
    upgradeScheduled = Applicable(fields.Dict())  # noqa: N815
    upgradeProgress = Applicable(fields.Dict())  # noqa: N815
    upgradeFinished = Applicable(fields.Dict())  # noqa: N815


envelope = Envelope()
app = Flask(__name__)


@app.get("/readyz")
def ready() -> Response:
    """Answers 200 if Redis does."""
    redis.ping()
    return jsonify(status="ready")


@app.post("/cb")
def receive() -> Response:
    """Stores a message."""
    try:
        content = envelope.load(request.get_json(force=True))
    except ValidationError:
        abort(400)
    username, password = content.pop("username", None), content.pop("password", None)
    if not entries.authentic(username, password, USERNAME, PASSWORD):
        abort(401)
    entry = entries.entry(content, request.headers.get("X-Request-Id"))
    keys, arguments = entries.script_arguments(entry, WINDOW_S)
    _, known = enqueue(keys=keys, args=arguments)
    log.info("kept %s %s duplicate=%s", entry["kind"], entry["id"], bool(known))
    return jsonify(id=entry["id"], duplicate=bool(known))
