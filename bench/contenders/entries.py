"""The stream entry of a message as docs/queue.md defines it, for both Python contenders. Pure."""

import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

STREAM = "{fota:0}:messages"
SEEN = "{fota:0}:seen:"
KINDS = {
    "firmwareList": "firmware-available",
    "upgradeScheduled": "upgrade-scheduled",
    "upgradeProgress": "upgrade-started",
    "upgradeFinished": "upgrade-finished",
}


def authentic(
    username: str | None, password: str | None, expected_username: str, expected_password: str
) -> bool:
    """Compares both credentials in constant time."""
    named = hmac.compare_digest((username or "").encode(), expected_username.encode())
    proven = hmac.compare_digest((password or "").encode(), expected_password.encode())
    return named and proven


def entry(content: Mapping[str, Any], request_id: str | None) -> dict[str, str]:
    """The fields of the stream entry of a message without its credentials."""
    type_ = content.get("type") or "unknown"
    account = content.get("accountName")
    upgrade = (content.get(type_) or {}).get("upgradeId") if type_ != "firmwareList" else None
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    fields = {
        "specversion": "1.0",
        "id": hashlib.sha256(canonical.encode()).hexdigest()[:32],
        "source": f"/thingspace/fota/{quote(account, safe='')}" if account else "/thingspace/fota",
        "type": f"com.verizon.thingspace.fota.{type_}",
        "subject": upgrade,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "datacontenttype": "application/json",
        "data": json.dumps(content, separators=(",", ":"), ensure_ascii=False),
        "kind": KINDS.get(type_, "unknown"),
        "account": account,
        "requestid": request_id or uuid.uuid4().hex,
    }
    return {name: value for name, value in fields.items() if value is not None}


def script_arguments(fields: Mapping[str, str], window_s: int) -> tuple[list[str], list[str | int]]:
    """KEYS and ARGV of enqueue.lua."""
    keys = [STREAM, SEEN + fields["id"]]
    return keys, [window_s, *(part for pair in fields.items() for part in pair)]
