"""Facts of the provider that the listener relies on, each with its source.

The documentation is that of Software Management Services at thingspace.verizon.com; docs/architecture.md
explains the marks.
"""

DEFAULT_CALLBACK_PATH = "/CallbackListener/FirmwareServiceMessages.asmx"
"""The path in the documentation's example of a registration."""

SOURCE_ADDRESSES = (
    "3.87.163.45",
    "3.91.119.203",
    "54.197.62.209",
    "54.200.43.232",
    "34.216.81.234",
    "35.165.205.14",
    "137.117.33.109",
    "168.62.173.153",
    "68.128.212.217",
)
"""The union of the published lists of addresses that callbacks come from.

The lists disagree and change, and the addresses are shared by all ThingSpace customers, any of whom
can register anybody's URL: a filter, not a proof.
"""
