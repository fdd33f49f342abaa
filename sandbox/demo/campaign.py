"""The messages of a small firmware campaign, to play to a listener: pure functions.

The envelope is v1's as far as the public text goes [doc]; the members inside `upgradeScheduled`,
`upgradeProgress` and `upgradeFinished` are modelled on replies of the REST API [?].
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

Message: TypeAlias = dict[str, Any]

FIRMWARE = {
    "firmwareName": "FOTA_Verizon_Model-A_01To02_HF",
    "releaseNote": "",
    "model": "Model-A",
    "make": "Verizon",
    "fromVersion": "VerizonFirmwareVersion-01",
    "toVersion": "VerizonFirmwareVersion-02",
}
# IMEIs, 15 digits, as strings [doc].
PILOT = "990013907835573"
GOOD = "990013907884259"
FAILING = "990013907211458"
REJECTED = "990013907640021"


def new_upgrade_id() -> str:
    """[doc] The UUID that the request for an upgrade was answered with."""
    return str(uuid.uuid4())


def campaign(
    account: str, start: datetime, *, new_id: Callable[[], str] = new_upgrade_id
) -> list[Message]:
    """Eleven different messages, in the order in which they would be sent.

    New firmware is available; one pilot device is upgraded; then three more are scheduled, of
    which one is rejected, one succeeds and one fails, tries again as OMA-DM devices do, and
    succeeds late.

    Args:
        account: whose campaign it is.
        start: when it begins; an aware time.
        new_id: makes an upgrade's id.
    """
    clock = Steps(start.astimezone(UTC))
    pilot = Upgrade(account, new_id(), clock)
    rest = Upgrade(account, new_id(), clock)
    return [
        firmware_available(account, clock),
        pilot.scheduled({PILOT: None}),
        pilot.started(PILOT),
        pilot.finished(PILOT),
        rest.scheduled({GOOD: None, FAILING: None, REJECTED: "Device not eligible for service."}),
        rest.started(GOOD),
        rest.started(FAILING),
        rest.finished(GOOD),
        rest.finished(FAILING, failure="Download of the package was interrupted."),
        rest.started(FAILING),
        rest.finished(FAILING),
    ]


@dataclass
class Steps:
    """A time that moves on by a few minutes whenever it is read, so that no two messages agree."""

    now: datetime

    def next(self) -> datetime:
        self.now += timedelta(minutes=7)
        return self.now


def firmware_available(account: str, clock: Steps) -> Message:
    launched = clock.next().strftime("%Y-%m-%dT%H:%M:%S.000Z")
    firmware = {"participantName": account, "launchDate": launched, **FIRMWARE}
    return _envelope(account, "firmwareList", firmwareList=[firmware])


@dataclass(frozen=True)
class Upgrade:
    """One upgrade of some devices; its id is in every message about it. [doc]"""

    account: str
    upgrade_id: str
    clock: Steps = field(repr=False)

    def scheduled(self, rejections: Mapping[str, str | None]) -> Message:
        """Some devices are to be upgraded.

        Args:
            rejections: by device: why it was rejected; None: it was accepted.
        """
        devices = [
            {
                "deviceId": device,
                "status": "Device Rejected" if reason else "Device Accepted",
                "resultReason": reason or "success",
            }
            for device, reason in rejections.items()
        ]
        day = self.clock.next().strftime("%Y-%m-%d")
        return self._message("upgradeScheduled", startDate=day, deviceList=devices)

    def started(self, device: str) -> Message:
        time = self.clock.next().strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._message(
            "upgradeProgress", deviceId=device, status="InProgress", upgradeStartTime=time
        )

    def finished(self, device: str, *, failure: str | None = None) -> Message:
        """A device's upgrade ended.

        Args:
            device: which it was.
            failure: why it failed; None: it succeeded.
        """
        return self._message(
            "upgradeFinished",
            deviceId=device,
            status="UpgradeFailed" if failure else "UpgradeSuccess",
            reason=failure or "success",
            upgradeFinishTime=self.clock.next().strftime("%Y-%m-%d %H:%M:%S.608 +0000 UTC"),
        )

    def _message(self, kind: str, **members: Any) -> Message:
        about = {"firmwareName": FIRMWARE["firmwareName"], "upgradeId": self.upgrade_id}
        return _envelope(self.account, kind, **{kind: {**about, **members}})


def _envelope(account: str, kind: str, **containers: Any) -> Message:
    """[doc] Elements that do not apply are sent empty. The sender fills in the login."""
    return {
        "accountName": account,
        "participantName": account,
        "type": kind,
        "username": "",
        "password": "",
        "firmwareList": [],
        "upgradeScheduled": {},
        "upgradeProgress": {},
        **containers,
    }
