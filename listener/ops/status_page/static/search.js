"use strict";
// A search that ran out of time before it found enough goes on by itself: the rows are added below, and the sentence
// says how far it looked. It pauses as long as each answer took, so that the service has its time for messages.

const MAX_ANSWERS = 200;
// While the service or Redis is busy: so often, and after so long.
const MAX_FAILURES = 5;
const RETRY_MS = 2000;
const ENOUGH_ROWS = 50;

function rowsIn(node) {
  return [...node.querySelectorAll("#results tbody > tr")];
}

function addRows(fresh) {
  const rows = rowsIn(fresh);
  if (!rows.length) return;
  // What is found first is the newest, so it says where things are.
  const states = fresh.querySelector("#states");
  if (states && !rowsIn(document).length) document.querySelector("#states").replaceWith(document.adoptNode(states));
  const body = document.querySelector("#results tbody");
  if (body) body.append(...rows.map((row) => document.adoptNode(row)));
  else document.querySelector("#results").replaceWith(document.adoptNode(fresh.querySelector("#results")));
  document.querySelector("#nothing")?.remove();
}

function stopButton(place, stop) {
  const button = document.createElement("button");
  button.textContent = "Stop";
  button.addEventListener("click", stop);
  place.querySelector("#go-on").replaceWith(button);
}

let isRunning = false;

async function goOn() {
  if (isRunning) return;
  isRunning = true;
  try { await goOnUntilEnough(); } finally { isRunning = false; }
}

async function goOnUntilEnough() {
  let isWanted = true;
  let failures = 0;
  for (let answers = 0; isWanted && answers < MAX_ANSWERS && rowsIn(document).length < ENOUGH_ROWS; answers += 1) {
    const link = document.querySelector("#go-on[data-searching]");
    if (!link || document.hidden) return;
    const place = document.querySelector("#how-far");
    const old = place.cloneNode(true);
    stopButton(place, () => { isWanted = false; place.replaceWith(old); });
    const started = performance.now();
    let fresh;
    try {
      const answer = await fetch(link.href, { cache: "no-store", headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    } catch (problem) {
      if (!isWanted) return;
      place.replaceWith(old);
      failures += 1;
      if (failures > MAX_FAILURES) return;
      await new Promise((done) => { setTimeout(done, RETRY_MS); });
      continue;
    }
    if (!isWanted) return;
    failures = 0;
    addRows(fresh);
    place.replaceWith(document.adoptNode(fresh.querySelector("#how-far")));
    await new Promise((done) => { setTimeout(done, performance.now() - started); });
  }
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) goOn(); });
goOn();
