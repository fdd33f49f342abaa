// Fastify and ioredis, with as many processes as WEB_CONCURRENCY says, by node:cluster.

import cluster from "node:cluster";
import { createHash, randomUUID, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import Fastify from "fastify";
import { Redis } from "ioredis";

const { PORT, REDIS_URL, WEB_CONCURRENCY, LOG_LEVEL, ENQUEUE } = process.env;
const { CALLBACK_USERNAME, CALLBACK_PASSWORD } = process.env;
const STREAM = "{fota:0}:messages";
const SEEN = "{fota:0}:seen:";
const WINDOW_S = 1800;
const KINDS = {
  firmwareList: "firmware-available",
  upgradeScheduled: "upgrade-scheduled",
  upgradeProgress: "upgrade-started",
  upgradeFinished: "upgrade-finished",
};

// A container that does not apply may be sent as any empty JSON value.
const group = {
  anyOf: [
    { type: "object" },
    { type: "array", maxItems: 0 },
    { const: "" },
    { type: "null" },
  ],
};
const firmware = {
  anyOf: [
    { type: "array", items: { type: "object" } },
    { type: "object", maxProperties: 0 },
    { const: "" },
    { type: "null" },
  ],
};
const text = { type: ["string", "null"] };
const schema = {
  body: {
    type: "object",
    properties: {
      type: text,
      accountName: text,
      username: text,
      password: text,
      firmwareList: firmware,
      upgradeScheduled: group,
      upgradeProgress: group,
      upgradeFinished: group,
    },
  },
  response: {
    200: {
      type: "object",
      properties: { id: { type: "string" }, duplicate: { type: "boolean" } },
    },
  },
};

const sha256 = (given) => createHash("sha256").update(given).digest();
const expected = [sha256(CALLBACK_USERNAME), sha256(CALLBACK_PASSWORD)];

// Digests have one length, as timingSafeEqual wants it.
function authentic(username, password) {
  const named = timingSafeEqual(sha256(username ?? ""), expected[0]);
  const proven = timingSafeEqual(sha256(password ?? ""), expected[1]);
  return named && proven;
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  const result = {};
  for (const name of Object.keys(value).sort()) result[name] = sorted(value[name]);
  return result;
}

function entry(content, requestId) {
  const type = content.type || "unknown";
  const account = content.accountName;
  const upgrade = content[type]?.upgradeId;
  const id = sha256(JSON.stringify(sorted(content))).toString("hex").slice(0, 32);
  const source = "/thingspace/fota" + (account ? `/${encodeURIComponent(account)}` : "");
  const words = ["specversion", "1.0", "id", id, "source", source];
  words.push("type", `com.verizon.thingspace.fota.${type}`);
  if (upgrade) words.push("subject", upgrade);
  // Node's clock tells milliseconds.
  words.push("time", new Date().toISOString().replace("Z", "000Z"));
  words.push("datacontenttype", "application/json", "data", JSON.stringify(content));
  words.push("kind", KINDS[type] ?? "unknown");
  if (account) words.push("account", account);
  words.push("requestid", requestId ?? randomUUID().replaceAll("-", ""));
  return { id, kind: KINDS[type] ?? "unknown", words };
}

async function serve() {
  const redis = new Redis(REDIS_URL);
  redis.defineCommand("enqueue", { numberOfKeys: 2, lua: readFileSync(ENQUEUE, "utf8") });
  const app = Fastify({
    logger: { level: LOG_LEVEL === "warning" ? "warn" : LOG_LEVEL },
    // Its own two lines for each request would be more than the others write.
    disableRequestLogging: true,
    // Ajv would turn 1 into "1": a message is kept as it came.
    ajv: { customOptions: { coerceTypes: false } },
  });
  app.get("/readyz", async () => {
    await redis.ping();
    return { status: "ready" };
  });
  app.post("/cb", { schema }, async (request, reply) => {
    const { username, password, ...content } = request.body;
    if (!authentic(username, password)) return reply.code(401).send({ reason: "credentials" });
    const { id, kind, words } = entry(content, request.headers["x-request-id"]);
    const [, known] = await redis.enqueue(STREAM, SEEN + id, WINDOW_S, ...words);
    request.log.info({ kind, id, duplicate: known === 1 }, "kept");
    return { id, duplicate: known === 1 };
  });
  await app.listen({ port: Number(PORT), host: "127.0.0.1" });
  process.on("SIGTERM", async () => {
    await app.close();
    redis.disconnect();
    process.exit(0);
  });
}

if (cluster.isPrimary) {
  for (let number = 0; number < Number(WEB_CONCURRENCY); number += 1) cluster.fork();
  process.on("SIGTERM", () => {
    for (const worker of Object.values(cluster.workers)) worker.kill();
  });
} else {
  await serve();
}
