"""What is known of the provider, as data: the defaults of the sandbox's options.

Marks, here and in the whole package: [doc] Verizon's pages, [sdk] Verizon's public SDK, [seen]
measured by others on a sibling service, [?] unknown, so a guess of ours.
"""

import re
from typing import Literal, TypeAlias, get_args

Version: TypeAlias = Literal["v1", "v2", "v3"]
VERSIONS: tuple[Version, ...] = get_args(Version)

# [doc, sdk] "##########-#####", leading zeros kept.
ACCOUNT = re.compile(r"[0-9]{10}-[0-9]{5}")
# [doc] That is the usual form only.
ACCOUNT_OF_ANOTHER_FORM = re.compile(r"[^/]+-[^/]+")
EXAMPLE_ACCOUNT = "0242078689-00001"

# [doc, sdk] The one name of a callback service in FOTA.
SERVICE_NAME = "Fota"

# [doc] A token lives an hour from when it was first issued; asking again returns the same one.
TOKEN_LIFE_S = 3600.0
# [doc] A session dies after twenty idle minutes.
SESSION_IDLE_S = 1200.0
# [doc] Consecutive failed logins that lock the account until Verizon Support unlocks it.
FAILED_LOGINS_TO_LOCK = 5

# [seen] What messages are sent with. There is no Authorization header.
USER_AGENT = "Verizon's callback service"
# [seen] A refused message is tried once more, so long afterwards, and is then lost.
RETRY_AFTER_MIN_S = 1.2
RETRY_AFTER_MAX_S = 1.7
# [seen] Without an answer the message is sent again while the first is still being handled.
DUPLICATE_AFTER_S = 4.0
# [?] How long the provider waits for an answer at all.
GIVE_UP_AFTER_S = 30.0
# [seen] After a new password was registered, messages carried another one for 9 to 14 minutes.
# Zero here, because most users want the registered one.
ROTATION_LAG_S = 0.0
