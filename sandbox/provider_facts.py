"""Facts about the provider as data: the defaults of the sandbox's options.

docs/thingspace.md has each fact's source and explains the marks, here and in the whole package: [doc] Verizon's pages,
[sdk] Verizon's public SDK, [seen] measured by others on a sibling service, [?] a guess.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Version: TypeAlias = Literal["v1", "v2", "v3"]
VERSIONS: tuple[Version, ...] = get_args(Version)

# docs/thingspace.md#accounts
ACCOUNT = re.compile(r"[0-9]{10}-[0-9]{5}")
ACCOUNT_OF_ANOTHER_FORM = re.compile(r"[^/]+-[^/]+")
EXAMPLE_ACCOUNT = "0242078689-00001"

# docs/thingspace.md#registration
SERVICE_NAME = "Fota"

# docs/thingspace.md#tokens
TOKEN_LIFE_S = 3600.0
# docs/thingspace.md#sessions
SESSION_IDLE_S = 1200.0
# docs/thingspace.md#the-lock
FAILED_LOGINS_TO_LOCK = 5

# docs/thingspace.md#delivery
USER_AGENT = "Verizon's callback service"
RETRY_AFTER_MIN_S = 1.2
RETRY_AFTER_MAX_S = 1.7
DUPLICATE_AFTER_S = 4.0
# [?] How long the provider waits for an answer at all.
GIVE_UP_AFTER_S = 30.0
# docs/thingspace.md#credentials-in-messages; zero here, because most users want the registered login.
ROTATION_LAG_S = 0.0


@dataclass(frozen=True)
class Package:
    """A firmware or software package, with the make and model that it is for."""

    name: str
    version_from: str
    version_to: str
    make: str
    model: str
    launch_date: str


# docs/thingspace.md#reports
# The packages of the pages' examples. [doc, sdk]
EXAMPLE_PACKAGES: Mapping[Version, Package] = {
    "v1": Package(
        "FOTA_Verizon_Model-A_01To02_HF",
        "VerizonFirmwareVersion-01",
        "VerizonFirmwareVersion-02",
        "Verizon",
        "Model-A",
        "2018-04-01T16:03:00.000Z",
    ),
    "v2": Package(
        "FOTA_Verizon_Model-A_02To03_HF",
        "FOTA_Verizon_Model-A_00To01_HF",
        "FOTA_Verizon_Model-A_02To03_HF",
        "Verizon",
        "Model-A",
        "2020-08-31",
    ),
    "v3": Package(
        "SEQUANSCommunications_GM01Q_SR1.2.0.0-10512_SR1.2.0.0-10657",
        "SR1.2.0.0-10512",
        "SR1.2.0.0-10657",
        "SEQUANS Communications",
        "GM01Q",
        "2012-04-23T18:25:43.511Z",
    ),
}
