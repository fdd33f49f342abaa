"""Where the provider's pages contradict each other or say nothing: the choices, and their defaults, which are guesses."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

from marshmallow import Schema, ValidationError, fields, validate

from sandbox.campaigns.upgrade import Callbacks

EmptyResult: TypeAlias = Literal[
    "list", "null", "absent", "object", "null-body", "zero-bytes", "no-content", "error"
]
Cursors: TypeAlias = Literal["documented", "integer", "text"]


@dataclass(frozen=True)
class ReportOptions:
    """How reports are answered.

    Attributes:
        v3_campaigns_path: which path lists v3's campaigns: the SDK's, the pages', or both.
        v3_other_path: how the other path is answered.
        v3_queued: the word that v3's campaigns show for queued.
        v3_queued_query: the word by which queued ones can be asked for; the other one is answered 400.
        pre_scheduled: whether v3's pre-scheduled campaigns can be asked for, or are shown by their id alone.
        empty: the form of a result without items.
        beyond_end: how an index beyond v1's last record is answered.
        cursors: the form of cursors: as the pages have it for each call, record numbers, or text.
        last_cursor: the cursor of a last page: the last item's, 0, or none.
        cursor_stands_still: the cursor never moves on, and there is always more.
        upgrades_per_page, campaigns_per_page, devices_per_page: page sizes of v1's upgrades, of v2's and v3's
            campaigns, and of devices.
        throttle_every: every n-th call is answered 429; 0: none.
        retry_after: the header of that answer; empty: none.
        delay_s: seconds before each answer.
        v1_history_days, history_days: older upgrades are in no report of v1, or of v2 and v3; 0: all are.
        v1_results_late_s: the results of v1's devices are so many seconds old.
        v1_end_date: whether v1's upgrades show their `endDate`.
        v2_software_member: the member that names v2's software packages.
        scheduled_pace_s, scheduled_failures, scheduled_rejections, scheduled_callbacks: the courses of upgrades
            that are scheduled through the API, as `POST /sandbox/campaigns` has them.
    """

    v3_campaigns_path: Literal["sdk", "pages", "both"] = "sdk"
    v3_other_path: Literal["900906", "404"] = "900906"
    v3_queued: Literal["CampaignRequestQueued", "CampaignQueued"] = "CampaignRequestQueued"
    v3_queued_query: Literal["CampaignRequestQueued", "CampaignQueued", "both"] = (
        "CampaignRequestQueued"
    )
    pre_scheduled: Literal["by-id", "listed"] = "by-id"
    empty: EmptyResult = "list"
    beyond_end: Literal["error", "empty"] = "error"
    cursors: Cursors = "documented"
    last_cursor: Literal["item", "zero", "absent"] = "item"
    cursor_stands_still: bool = False
    upgrades_per_page: int = 100
    campaigns_per_page: int = 100
    devices_per_page: int = 1000
    throttle_every: int = 0
    retry_after: str = "1"
    delay_s: float = 0.0
    v1_history_days: float = 183.0
    history_days: float = 0.0
    v1_results_late_s: float = 0.0
    v1_end_date: bool = True
    v2_software_member: Literal["softwareName", "software"] = "softwareName"
    scheduled_pace_s: float = 1.0
    scheduled_failures: float = 0.0
    scheduled_rejections: float = 0.0
    scheduled_callbacks: Callbacks = "devices"


CHOICES: Mapping[str, tuple[str, ...]] = {
    name: get_args(hint) for name, hint in get_type_hints(ReportOptions).items() if get_args(hint)
}
_RANGES: Mapping[str, tuple[float, float]] = {
    "upgrades_per_page": (1, 10_000),
    "campaigns_per_page": (1, 10_000),
    "devices_per_page": (1, 100_000),
    "throttle_every": (0, 1e6),
    "delay_s": (0, 600),
    "v1_history_days": (0, 1e6),
    "history_days": (0, 1e6),
    "v1_results_late_s": (0, 1e9),
    "scheduled_pace_s": (0.001, 1e6),
    "scheduled_failures": (0, 1),
    "scheduled_rejections": (0, 1),
}
_NUMBERS: Mapping[type, type[fields.Field[Any]]] = {
    int: fields.Integer,
    float: fields.Float,
}


def _json_field(name: str, hint: Any) -> fields.Field[Any]:
    if name in CHOICES:
        return fields.String(validate=validate.OneOf(CHOICES[name]))
    if hint is bool:
        return fields.Boolean()
    if hint is str:
        return fields.String(validate=validate.Regexp(r"[ -~]*\Z", error="Printable ASCII."))
    low, high = _RANGES[name]
    return _NUMBERS[hint](validate=validate.Range(min=low, max=high))


OptionsSchema = Schema.from_dict(
    {name: _json_field(name, hint) for name, hint in get_type_hints(ReportOptions).items()},
    name="OptionsSchema",
)


def changed(options: ReportOptions, changes: Mapping[str, Any]) -> ReportOptions:
    """The options with some of them changed, given as JSON has them or as text.

    Raises:
        ValidationError: an option is unknown, or its value is not allowed.
    """
    result = replace(options, **OptionsSchema().load(dict(changes)))
    if result.scheduled_failures + result.scheduled_rejections > 1:
        raise ValidationError("More than 1 together with the failures.", "scheduled_rejections")
    return result


def as_json(options: ReportOptions) -> dict[str, Any]:
    return asdict(options)
