// Consumes the queue with Node.js (20 or later) and the package `redis`.
//
//     npm ci && REDIS_URL=redis://localhost:6379/0 GROUP=billing node consumer.mjs
//
// Each message is handled at least once: it is acknowledged after the work, and what a crashed
// process left is taken over. A message whose id was handled before is not handled again. For a
// standalone Redis; docs/queue.md tells what differs on a Cluster.

import { setTimeout as sleep } from 'node:timers/promises';
import { hostname } from 'node:os';
import { createClient } from 'redis';

const URL = process.env.REDIS_URL ?? 'redis://localhost:6379/0';
const NAMESPACE = process.env.QUEUE_NAMESPACE ?? 'fota';
const PARTITIONS = Number(process.env.QUEUE_PARTITIONS ?? 1);
const GROUP = process.env.GROUP ?? 'node';
// One name for each process that runs at a time, and the same one after a restart.
const CONSUMER = process.env.CONSUMER ?? hostname();
// Longer than the slowest handler takes: after that others may take its message over.
const TAKE_OVER_AFTER_MS = Number(process.env.TAKE_OVER_AFTER_MS ?? 60_000);
const BATCH = 10;
const BLOCK_MS = 1000;
const POLL_MS = 100;
const HANDLED_FOR_S = 7 * 24 * 3600;

const STREAMS = Array.from({ length: PARTITIONS }, (_, n) => `{${NAMESPACE}:${n}}:messages`);

// Your work. If it throws, the message comes again after TAKE_OVER_AFTER_MS. It must not return before
// the work is done: console.log would not wait until the line is written.
async function handle(fields, data) {
  const line = `${fields.id} ${fields.kind} ${Object.keys(data).length} members\n`;
  await new Promise((resolve) => process.stdout.write(line, resolve));
}

// Handles a message once, and acknowledges it; leaves it pending if the handler fails.
async function work(client, stream, entry, fields) {
  // Anybody may add an entry that is no message: without an id, for instance.
  const handled = `${GROUP}:handled:${fields.id ?? entry}`;
  if (!(await client.exists(handled))) {
    try {
      // Numbers beyond 2^53, such as an ICCID that was sent as one, lose digits in JSON.parse.
      await handle(fields, JSON.parse(fields.data));
    } catch (error) {
      console.error(entry, 'failed:', error);
      return;
    }
    // After the work: a crash between the two does the work twice rather than never.
    await client.set(handled, entry, { expiration: { type: 'EX', value: HANDLED_FOR_S } });
  }
  await client.xAck(stream, GROUP, entry);
}

// Handles what was read long ago and never acknowledged, by whomever.
async function takeOver(client) {
  for (const stream of STREAMS) {
    // Each call looks at a part of what is pending, and says where the next has to go on.
    let start = '0-0';
    do {
      const found = await client.xAutoClaim(stream, GROUP, CONSUMER, TAKE_OVER_AFTER_MS, start, { COUNT: BATCH });
      for (const entry of found.messages) {
        // Redis 6.2 also lists entries that are gone.
        if (entry) await work(client, stream, entry.id, entry.message);
      }
      start = found.nextId;
    } while (start !== '0-0' && !stopping);
  }
}

// Handles what no consumer of the group has read yet; waits a moment for it. Each partition is read by
// a command of its own: a Cluster, and shards behind one address, refuse one that names several. So with
// several partitions the waiting is done here, not in Redis.
async function readNew(client) {
  const waiting = STREAMS.length === 1 ? { BLOCK: BLOCK_MS } : {};
  let isEmpty = true;
  for (const key of STREAMS) {
    const found = await client.xReadGroup(GROUP, CONSUMER, { key, id: '>' }, { COUNT: BATCH, ...waiting });
    for (const { messages } of found ?? []) {
      isEmpty = false;
      for (const { id, message } of messages) await work(client, key, id, message);
    }
  }
  if (isEmpty && STREAMS.length > 1) await sleep(POLL_MS);
}

// Makes the group where it does not exist: from the oldest entry there is.
async function createGroups(client) {
  for (const stream of STREAMS) {
    try {
      await client.xGroupCreate(stream, GROUP, '0', { MKSTREAM: true });
    } catch (error) {
      // Only this one is harmless: the group exists.
      if (!error.message.startsWith('BUSYGROUP')) throw error;
    }
  }
}

let stopping = false;
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => { stopping = true; });

const client = createClient({
  url: URL,
  // Without a time limit a lost connection would be waited on for ever.
  socket: { socketTimeout: BLOCK_MS + 5000 },
});
// Without a listener an error would end the process; the client connects again by itself.
client.on('error', (error) => console.error('Redis does not answer:', error.message));
await client.connect();

let create = true;
while (!stopping) {
  try {
    if (create) await createGroups(client);
    create = false;
    await takeOver(client);
    await readNew(client);
  } catch (error) {
    console.error('again in a moment:', error.message);
    // The stream was deleted, and the group with it.
    create = error.message.startsWith('NOGROUP');
    await sleep(500);
  }
}
client.destroy();
