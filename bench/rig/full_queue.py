"""Fills a queue as years without a consumer would."""

import os
from typing import Any

from bench.load import messages
from bench.rig.store import Store, stream_key
from testbed.polling import wait_until

PENDING = 1000
STEP = 10_000
WINDOW_S = 7200
FILE_TIMEOUT_S = 300
# KEYS: the stream. ARGV: the first number, how many, the fingerprints' lifetime in seconds, the data. The fingerprints
# are no message's, in the same hashes.
FILL = """
for number = ARGV[1], ARGV[1] + ARGV[2] - 1 do
  local id = string.format('%032x', number)
  local entry = redis.call('XADD', KEYS[1], '*', 'specversion', '1.0', 'id', id,
    'source', '/thingspace/fota/0242078689-00001',
    'type', 'com.verizon.thingspace.fota.upgradeProgress', 'subject', id,
    'time', '2026-11-23T00:00:00.000000Z', 'datacontenttype', 'application/json',
    'data', ARGV[4], 'kind', 'upgrade-started', 'account', '0242078689-00001',
    'requestid', tostring(number))
  local hash = '{fota:0}:seen:' .. number % 2048
  redis.call('HSET', hash, string.sub(redis.sha1hex(id), 1, 12), (string.gsub(entry, '-', '')))
  if tonumber(number) < 2048 then
    redis.call('EXPIRE', hash, ARGV[3])
  end
end
"""


def fill(queue: Store, entries: int, groups: int) -> None:
    """Adds entries with their fingerprints, and groups that read a thousand of them and acknowledged none.

    Raises:
        DeadlineError: Redis did not write its file in time.
    """
    data = messages.body(messages.sample_templates(), 1)
    script = queue.client.register_script(FILL)
    # To write all of it to the file afterwards, at once, takes a third of the time.
    queue.client.config_set("appendonly", "no")
    for first in range(0, entries, STEP):
        count = min(STEP, entries - first)
        script(keys=[stream_key(0)], args=[first, count, WINDOW_S, data])
    for number in range(groups):
        name = f"group-{number}"
        queue.client.xgroup_create(stream_key(0), name, id="0")
        queue.client.xreadgroup(name, "one", {stream_key(0): ">"}, count=PENDING)
    queue.client.config_set("appendonly", "yes")
    wait_until(lambda: _is_in_file(queue), "Redis writes its file", timeout_s=FILE_TIMEOUT_S)
    # What is measured next does not wait for the disk to catch up.
    os.sync()


def _is_in_file(queue: Store) -> bool:
    info: Any = queue.client.info("persistence")
    return not info["aof_rewrite_in_progress"] and not info["aof_rewrite_scheduled"]
