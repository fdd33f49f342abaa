"""The calls that report on upgrades: paths and states of v1, v2 and v3. Pure; all are GETs that change nothing.

The facts are the provider's pages [doc] and its public SDK [sdk]; docs/thingspace.md says where the two disagree. None
was tried on a live account.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from registrar.model import Slot
from registrar.thingspace.requests import Call

FIRST_CURSOR = "0"
"""Of every list. [doc]"""


@dataclass(frozen=True)
class ReportsApi:
    """One version.

    Attributes:
        version: `v1`, `v2` or `v3`.
        statuses: every state that can be asked for, in the order of the life of an upgrade, failures last: an upgrade
            that moves on during a sweep is then seen at least once.
        doubtful_statuses: of these, words that only some pages have: a refusal of one says nothing.
        list_paths: of the list of upgrades; where there are several, the documents disagree, and the first that
            exists is used.
        has_devices: whether the list has the devices of each upgrade.
        unlisted_statuses: states that exist, and that no list can be asked for.
    """

    version: str
    statuses: tuple[str, ...]
    list_paths: tuple[str, ...]
    doubtful_statuses: frozenset[str] = frozenset()
    has_devices: bool = False
    unlisted_statuses: frozenset[str] = frozenset()

    def status_of(self, said: object, listed: str) -> str:
        """The state of an upgrade in a list: its own word if that is a state, else the one of the list."""
        word = said.strip() if isinstance(said, str) else ""
        return word if word in self.statuses or word in self.unlisted_statuses else listed

    def list_call(self, account: str, status: str, cursor: str, path: str) -> Call:
        """One page of the upgrades in a state.

        Args:
            account: with its leading zeros.
            status: one of `statuses`.
            cursor: `FIRST_CURSOR`, or as the page before said.
            path: one of `list_paths`.
        """
        if self.version == "v1":
            parts = {"account": account, "status": status, "cursor": cursor}
            return Call("reports", "GET", path.format_map(_quoted(parts)))
        query = urlencode({"campaignStatus": status, "lastSeenCampaignId": cursor})
        return Call("reports", "GET", f"{path.format_map(_quoted({'account': account}))}?{query}")

    def upgrade_call(self, account: str, upgrade_id: str) -> Call:
        """One upgrade, by its id: also one in a state that no list has. [doc]"""
        kind = (
            "upgrades/{account}/upgrade/{id}"
            if self.version == "v1"
            else "campaigns/{account}/{id}"
        )
        path = f"/fota/{self.version}/{kind}".format_map(
            _quoted({"account": account, "id": upgrade_id})
        )
        return Call("upgrade", "GET", path)

    def devices_call(self, account: str, upgrade_id: str, cursor: str) -> Call:
        """One page of the devices of a campaign, of v2 and v3."""
        path = "/fota/{version}/reports/{account}/campaigns/{id}/devices".format_map(
            _quoted({"version": self.version, "account": account, "id": upgrade_id})
        )
        return Call("devices", "GET", f"{path}?{urlencode({'lastSeenDeviceId': cursor})}")


def name_of(call: Call) -> str:
    """The call as people and messages name it: without the cursor, so that it is the same in every sweep."""
    path = call.path.partition("/index/")[0]
    path, _, query = path.partition("?")
    kept = [pair for pair in query.split("&") if pair and not pair.startswith("lastSeen")]
    return f"{call.method} {path}{'?' if kept else ''}{'&'.join(kept)}"


def _quoted(parts: Mapping[str, str]) -> dict[str, str]:
    return {name: quote(text, safe="") for name, text in parts.items()}


_CAMPAIGN_STATUSES = (
    "CampaignRequestPending",
    "CampaignRequestQueued",
    "CampaignScheduled",
    "CampaignEnded",
    "CampaignRequestFailed",
    "CampaignCancelled",
    "CampaignAborted",
    "CampaignFailed",
)
V1 = ReportsApi(
    "v1",
    ("RequestPending", "Queued", "InProgress", "Finished", "RequestFailed", "UpgradeFailed"),
    ("/fota/v1/reports/{account}/status/{status}/index/{cursor}",),
    has_devices=True,
)
V2 = ReportsApi("v2", _CAMPAIGN_STATUSES, ("/fota/v2/reports/{account}/campaigns",))
V3 = ReportsApi(
    "v3",
    # The list takes CampaignRequestQueued; the life cycle calls the state CampaignQueued. [doc]
    (*_CAMPAIGN_STATUSES[:2], "CampaignQueued", *_CAMPAIGN_STATUSES[2:]),
    # The first is the SDK's, the second that of the page. [sdk, doc]
    ("/fota/v3/reports/{account}/firmware/campaigns", "/fota/v3/reports/{account}/campaigns"),
    doubtful_statuses=frozenset({"CampaignRequestQueued", "CampaignQueued"}),
    unlisted_statuses=frozenset({"CampaignPreScheduled"}),
)
APIS: Mapping[str, ReportsApi] = {api.version: api for api in (V1, V2, V3)}


def api_of(slot: Slot) -> ReportsApi:
    """The calls of a slot's version."""
    return APIS[slot.version]
