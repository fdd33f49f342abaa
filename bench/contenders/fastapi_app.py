"""FastAPI, pydantic and redis.asyncio: `uvicorn bench.contenders.fastapi_app:app`."""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis

from bench.contenders import entries

USERNAME = os.environ["CALLBACK_USERNAME"]
PASSWORD = os.environ["CALLBACK_PASSWORD"]
WINDOW_S = 1800

logging.basicConfig(level=os.environ["LOG_LEVEL"].upper(), format="%(asctime)s %(message)s")
log = logging.getLogger("contender")

redis = Redis.from_url(os.environ["REDIS_URL"])
enqueue = redis.register_script(Path(__file__).with_name("enqueue.lua").read_text())

# The provider sends a container that does not apply as any empty JSON value.
Firmware = (
    list[dict[str, Any]] | Annotated[dict[str, Any], Field(max_length=0)] | Literal[""] | None
)
Group = dict[str, Any] | Annotated[list[Any], Field(max_length=0)] | Literal[""] | None


class Envelope(BaseModel):
    """The members that are checked; all others are kept."""

    model_config = ConfigDict(extra="allow")

    type: str | None = None
    accountName: str | None = None  # noqa: N815 (the provider's names)
    username: str | None = None
    password: str | None = None
    firmwareList: Firmware = None  # noqa: N815
    upgradeScheduled: Group = None  # noqa: N815
    upgradeProgress: Group = None  # noqa: N815
    upgradeFinished: Group = None  # noqa: N815


class Answer(BaseModel):
    """The response."""

    id: str
    duplicate: bool


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Closes the pool at the end."""
    yield
    await redis.aclose()


app = FastAPI(lifespan=lifespan)


@app.exception_handler(RequestValidationError)
async def refuse(_request: Request, _error: RequestValidationError) -> JSONResponse:
    """Answers 400, as the contract requires, instead of FastAPI's 422."""
    return JSONResponse({"reason": "wrong-shape"}, status_code=400)


@app.get("/readyz")
async def ready() -> dict[str, str]:
    """Answers 200 if Redis does."""
    await redis.ping()
    return {"status": "ready"}


@app.post("/cb")
async def receive(
    message: Envelope, x_request_id: Annotated[str | None, Header()] = None
) -> Answer:
    """Stores a message."""
    if not entries.authentic(message.username, message.password, USERNAME, PASSWORD):
        raise HTTPException(401)
    content = message.model_dump(exclude={"username", "password"}, exclude_unset=True)
    entry = entries.entry(content, x_request_id)
    keys, arguments = entries.script_arguments(entry, WINDOW_S)
    _, known = await enqueue(keys=keys, args=arguments)
    log.info("kept %s %s duplicate=%s", entry["kind"], entry["id"], bool(known))
    return Answer(id=entry["id"], duplicate=bool(known))
