"""Facts about the provider that the listener relies on; docs/thingspace.md has their sources and marks."""

DEFAULT_CALLBACK_PATH = "/CallbackListener/FirmwareServiceMessages.asmx"
"""docs/thingspace.md#the-url"""

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
"""docs/thingspace.md#source-addresses: a filter, not a proof."""
