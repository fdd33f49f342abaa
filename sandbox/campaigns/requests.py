"""`POST /sandbox/campaigns`: a whole account's upgrades from one small JSON object."""

import random
import secrets
import uuid
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from sandbox.campaigns.catalogue import Batch
from sandbox.campaigns.devices import DeviceRange
from sandbox.campaigns.stages import ENDS, WORDS, Position, Stage, course, stage_of
from sandbox.campaigns.upgrade import CALLBACKS, ENVELOPES, Callbacks, Envelope, Plan, Upgrade
from sandbox.delivery.losses import Loss, Losses
from sandbox.provider_facts import EXAMPLE_PACKAGES, VERSIONS, Version

MAX_DEVICES = 1_000_000
MAX_UPGRADES = 10_000
DAY_S = 86_400.0
# The first device of the first request, unless one is named.
FIRST_DEVICE = 990_000_000_000_001
MAX_DEVICE = 10**15 - 1


@dataclass(frozen=True)
class CampaignRequest:
    """What is asked for.

    Attributes:
        devices: how many, spread evenly over the upgrades.
        upgrades: how many, at most as many as devices.
        pace_s: seconds from one device's start to the next one's, within an upgrade.
        failures: share of devices whose upgrade fails, 0 to 1.
        rejections: share of devices that are rejected, 0 to 1.
        states: places the upgrades in states, in which they stay and for which no callback is sent: the provider's
            word for each state, and its weight. Empty: they run their course.
        ends: the states in which courses end, and their weights. Empty: success.
        callbacks: `devices`, `upgrade` or `none`: whether a start and an end are sent for each device, for the
            whole upgrade, or not at all.
        envelope: the form of the callbacks, `v1` or `campaign`; None: the version's.
        announce: begin with a callback that new firmware is available, in v1's form.
        lose: of every `lose_of` callbacks so many are never sent.
        age_days: upgrades were created evenly between so many days ago and now.
        first_device: the lowest device id; None: the one after all earlier requests'.
        seed: chooses what is left to chance; None: a random one.
    """

    version: Version = "v1"
    account: str | None = None
    devices: int = 1
    upgrades: int = 1
    pace_s: float = 1.0
    failures: float = 0.0
    rejections: float = 0.0
    states: Mapping[str, float] = field(default_factory=dict)
    ends: Mapping[str, float] = field(default_factory=dict)
    callbacks: Callbacks = "devices"
    envelope: Envelope | None = None
    announce: bool = False
    lose: int = 0
    lose_of: int = 1
    age_days: float = 0.0
    first_device: str | None = None
    seed: str | None = None


def _weights() -> fields.Dict:
    return fields.Dict(
        keys=fields.String(), values=fields.Float(validate=validate.Range(min=0, max=1e9))
    )


def _share() -> fields.Float:
    return fields.Float(validate=validate.Range(min=0, max=1))


class CampaignRequestSchema(Schema):
    """The JSON of a request; see `CampaignRequest`."""

    version = fields.String(validate=validate.OneOf(VERSIONS))
    account = fields.String(allow_none=True)
    devices = fields.Integer(strict=True, validate=validate.Range(min=1, max=MAX_DEVICES))
    upgrades = fields.Integer(strict=True, validate=validate.Range(min=1, max=MAX_UPGRADES))
    pace_s = fields.Float(validate=validate.Range(min=0.001, max=1e6))
    failures = _share()
    rejections = _share()
    states = _weights()
    ends = _weights()
    callbacks = fields.String(validate=validate.OneOf(CALLBACKS))
    envelope = fields.String(allow_none=True, validate=validate.OneOf(ENVELOPES))
    announce = fields.Boolean(truthy={True}, falsy={False})
    lose = fields.Integer(strict=True, validate=validate.Range(min=0, max=1000))
    lose_of = fields.Integer(strict=True, validate=validate.Range(min=1, max=1000))
    age_days = fields.Float(validate=validate.Range(min=0, max=3650))
    first_device = fields.String(
        allow_none=True, validate=validate.Regexp(r"[0-9]{15}\Z", error="15 digits.")
    )
    seed = fields.String(allow_none=True, validate=validate.Length(max=200))

    @validates_schema
    def _fits(self, data: dict[str, Any], **_: Any) -> None:
        request = CampaignRequest(**data)
        if request.upgrades > request.devices:
            raise ValidationError("More upgrades than devices.", "upgrades")
        if request.lose > request.lose_of:
            raise ValidationError("More than lose_of.", "lose")
        if request.failures + request.rejections > 1:
            raise ValidationError("More than 1 together with the failures.", "rejections")
        if int(request.first_device or 0) + request.devices - 1 > MAX_DEVICE:
            raise ValidationError("Leaves no 15 digits for the last device.", "first_device")
        _check_weights("states", request.states, request.version, tuple(Stage))
        _check_weights("ends", request.ends, request.version, ENDS)

    @post_load
    def _build(self, data: dict[str, Any], **_: Any) -> CampaignRequest:
        return CampaignRequest(**data)


def _check_weights(
    name: str, weights: Mapping[str, float], version: Version, allowed: Sequence[Stage]
) -> None:
    words = [word for stage, word in WORDS[version].items() if stage in allowed]
    if any(stage_of(version, word) not in allowed for word in weights):
        raise ValidationError(f"{version} has: {', '.join(words)}.", name)
    if weights and not sum(weights.values()):
        raise ValidationError("All weights are 0.", name)


def build(
    request: CampaignRequest, *, account: str, number: int, first_device: int, now: float
) -> Batch:
    """The upgrades that a request asks for.

    Args:
        request: what is asked for.
        account: whose they are.
        number: the request's.
        first_device: the lowest device id, unless the request names one.
        now: seconds since the epoch.
    """
    seed = request.seed if request.seed is not None else secrets.token_hex(8)
    plan = Plan(
        version=request.version,
        account=account,
        package=EXAMPLE_PACKAGES[request.version],
        pace_s=request.pace_s,
        failures=request.failures,
        rejections=request.rejections,
        callbacks="none" if request.states else request.callbacks,
        envelope=request.envelope or ("v1" if request.version == "v1" else "campaign"),
        announce=request.announce,
        seed=seed,
    )
    first = int(request.first_device or first_device)
    devices = DeviceRange(range(first, first + request.devices))
    upgrades = tuple(_upgrades(request, plan, devices, number, now))
    return Batch(number, plan, devices, upgrades, Losses(Loss(request.lose, request.lose_of, seed)))


def _upgrades(
    request: CampaignRequest, plan: Plan, devices: Sequence[str], number: int, now: float
) -> Iterator[Upgrade]:
    count = request.upgrades
    each, rest = divmod(len(devices), count)
    # Not secrets: ids have to be the same in every run.
    chance = random.Random(f"{plan.seed}:{number}")  # noqa: S311
    for index in range(count):
        start = index * each + min(index, rest)
        own = devices[start : start + each + (index < rest)]
        word = chosen(request.states or request.ends, index, count)
        stage = (stage_of(plan.version, word) if word else None) or Stage.DONE
        end = stage if stage in ENDS else Stage.DONE
        placed = position_of_stage(plan.version, stage, end, len(own)) if request.states else None
        # One that is placed began early enough to be there now.
        behind_it_s = (placed or 0.0) * plan.pace_s
        created = now - request.age_days * DAY_S * (1 - index / count) - behind_it_s
        upgrade_id = new_id(plan.version, created, chance)
        yield Upgrade(plan, index, upgrade_id, created, own, end, placed)


def chosen(weights: Mapping[str, float], index: int, count: int) -> str | None:
    """The word for one of `count` upgrades, so that their numbers are in the ratio of the weights, in the given order."""
    if not weights:
        return None
    sums = list(accumulate(weights.values()))
    place = bisect_right(sums, (index + 0.5) / count * sums[-1])
    return list(weights)[min(place, len(sums) - 1)]


def position_of_stage(version: Version, stage: Stage, end: Stage, devices: int) -> Position:
    """Where on its course an upgrade in a stage stays: half-way through the devices if it is under way."""
    begins = {each: at for at, each in course(version, end, devices)}
    halfway = devices / 2 if stage is Stage.UNDER_WAY else 0.0
    return begins[stage] + halfway


def new_id(version: Version, created: float, chance: random.Random) -> str:
    """A UUID: random in v1 and v2, with the time of its creation in v3, as the pages' examples have them. [doc]"""
    if version != "v3":
        return str(uuid.UUID(int=chance.getrandbits(128), version=4))
    # UUIDs count 100 ns from the beginning of the Gregorian calendar.
    ticks = int(created * 1e7) + 0x01B21DD213814000
    rest = chance.getrandbits(62)
    fields_ = (ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, ticks >> 48 & 0x0FFF)
    return str(
        uuid.UUID(
            fields=(*fields_, rest >> 56, rest >> 48 & 0xFF, rest & 0xFFFFFFFFFFFF), version=1
        )
    )
