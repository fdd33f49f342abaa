"""What the replies of the reporting calls say: pages of upgrades and of devices, whatever form they have. Pure.

The form of an empty reply is not documented [?]: no body, 204, `null`, `[]`, `{}`, a list that is null or absent all
mean an empty page here, and never that an upgrade is gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registrar.errors import RejectedError
from registrar.http.reply import Reply
from registrar.thingspace.faults import NO_SUCH_PATH, parse_fault, raise_for_fault, unreadable_reply

LISTS = ("reportList", "campaignList", "deviceList")
HAS_MORE = ("hasMoreFlag", "hasMoreData")
CURSORS = ("lastSeenUpgradeId", "lastSeenCampaignId", "lastSeenDeviceId")
# A telephone number: it leaves the reply here, before anything is logged, stored or queued.
SECRET_MEMBER = "mdn"  # noqa: S105 - the name of a member


class NoSuchPathError(RejectedError):
    """There is nothing at the path of the call: of two that the documents name the other may exist.

    Attributes:
        is_of_gateway: whether the gateway says that there is no such call.
    """

    def __init__(self, reply: Reply) -> None:
        fault = parse_fault(reply)
        self.is_of_gateway = fault.of_gateway or fault.code == NO_SUCH_PATH
        super().__init__("no-such-path", f"HTTP {reply.status} {fault}")


@dataclass(frozen=True)
class Page:
    """One page of a list.

    Attributes:
        items: its objects.
        next_cursor: where the next page begins; None: this is the last one, as far as the reply says.
    """

    items: Sequence[Mapping[str, Any]] = ()
    next_cursor: str | None = None


def read_page(reply: Reply) -> Page:
    """One page of upgrades or devices.

    Raises:
        RegistrarError: ThingSpace refused, cannot answer, or answered something else.
    """
    content = _content(reply)
    if isinstance(content, list):
        return Page(_objects(content))
    if not isinstance(content, dict):
        return Page()
    listed = next((content[name] for name in LISTS if content.get(name)), ())
    if not isinstance(listed, Sequence):
        raise unreadable_reply(Reply(reply.status))
    more = next((content[name] for name in HAS_MORE if name in content), False)
    cursor = next((_cursor(content[name]) for name in CURSORS if name in content), None)
    return Page(_objects(listed), cursor if _is_true(more) else None)


def read_upgrade(reply: Reply) -> Mapping[str, Any] | None:
    """One upgrade; None: the reply is empty, which says nothing. Raises as `read_page`."""
    content = _content(reply)
    if isinstance(content, list):
        content = content[0] if content else None
    return content if isinstance(content, dict) and content else None


def id_of(report: Mapping[str, Any]) -> str | None:
    """The id of an upgrade or a campaign; None: it has none."""
    found = report.get("id") or report.get("campaignId") or report.get("upgradeId")
    return str(found) if isinstance(found, str | int) and str(found).strip() else None


def devices_in(report: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The devices that a report lists; empty without any."""
    listed = report.get("deviceList")
    return _objects(listed) if isinstance(listed, list) else ()


def device_id_of(device: Mapping[str, Any]) -> str | None:
    """The IMEI, as text: it is a number in some examples [doc]. None: it has none."""
    found = device.get("deviceId")
    return str(found) if isinstance(found, str | int) and str(found).strip() else None


def _content(reply: Reply) -> Any:
    if reply.status == 404 or parse_fault(reply).code == NO_SUCH_PATH:
        raise NoSuchPathError(reply)
    raise_for_fault(reply)
    if reply.status == 204 or not reply.text:
        return None
    try:
        return _without_secrets(reply.json())
    except ValueError as error:
        raise unreadable_reply(
            reply if reply.text.startswith("<") else Reply(reply.status)
        ) from error


def _without_secrets(content: Any) -> Any:
    """The same without every member that holds a telephone number, at any depth."""
    if isinstance(content, dict):
        return {
            name: _without_secrets(value)
            for name, value in content.items()
            if name.casefold() != SECRET_MEMBER
        }
    if isinstance(content, list):
        return [_without_secrets(each) for each in content]
    return content


def _objects(listed: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [each for each in listed if isinstance(each, dict)]


def _cursor(value: Any) -> str | None:
    """A number or a text; ids are texts in v2 and v3, and an index is a number in v1. [doc]"""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def _is_true(value: Any) -> bool:
    return value is True or str(value).strip().casefold() == "true"
