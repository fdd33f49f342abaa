"""Fills a queue as years of use without a consumer would: entries, fingerprints, groups behind."""

from bench.load import messages
from bench.rig.store import Store, stream

GROUPS = 10
PENDING = 1000
STEP = 10_000
WINDOW_S = 7200
# KEYS: the stream. ARGV: the first number, how many, the fingerprints' life in seconds, the data.
FILL = """
for number = ARGV[1], ARGV[1] + ARGV[2] - 1 do
  local id = string.format('%032x', number)
  local entry = redis.call('XADD', KEYS[1], '*', 'specversion', '1.0', 'id', id,
    'source', '/thingspace/fota/0242078689-00001',
    'type', 'com.verizon.thingspace.fota.upgradeProgress', 'subject', id,
    'time', '2026-11-23T00:00:00.000000Z', 'datacontenttype', 'application/json',
    'data', ARGV[4], 'kind', 'upgrade-started', 'account', '0242078689-00001', 'requestid', id)
  redis.call('SET', '{fota:0}:seen:' .. id, entry, 'EX', ARGV[3])
end
"""


def fill(store: Store, entries: int) -> None:
    """Adds entries with a fingerprint each, and groups that have some pending and are far behind."""
    data = messages.body(messages.samples(), 1)
    script = store.client.register_script(FILL)
    for first in range(0, entries, STEP):
        script(keys=[stream(0)], args=[first, min(STEP, entries - first), WINDOW_S, data])
    for number in range(GROUPS):
        name = f"group-{number}"
        store.client.xgroup_create(stream(0), name, id="0")
        store.client.xreadgroup(name, "one", {stream(0): ">"}, count=PENDING)
