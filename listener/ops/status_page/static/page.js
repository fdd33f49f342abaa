"use strict";
// Fetches the page every two seconds and replaces the sections that changed, so that the reader's scroll
// position, focus and opened details stay. While the service does not answer, the page says so.

const INTERVAL_MS = 2000;
const NO_ANSWER = "No answer from the service; what stands below is old";

function replace(old, fresh) {
  if (old.outerHTML === fresh.outerHTML) return;
  for (const details of old.querySelectorAll("details[open]")) {
    const same = fresh.querySelector("#" + details.id);
    if (same) same.open = true;
  }
  const scrolled = [...old.querySelectorAll(".wide")].map((box) => box.scrollLeft);
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const link = focused && focused.getAttribute("href");
  const summary = focused && focused.closest("summary");
  const box = [...old.querySelectorAll(".wide")].indexOf(focused);
  old.replaceWith(fresh);
  fresh.querySelectorAll(".wide").forEach((wide, place) => { wide.scrollLeft = scrolled[place] || 0; });
  if (box >= 0) fresh.querySelectorAll(".wide")[box]?.focus({ preventScroll: true });
  if (link) fresh.querySelector(`a[href="${CSS.escape(link)}"]`)?.focus({ preventScroll: true });
  if (summary) fresh.querySelector("summary")?.focus({ preventScroll: true });
}

// What is wrong stands first; the sections move only when that changes.
function reorder(order) {
  const main = document.querySelector("main");
  const sections = [...main.querySelectorAll(":scope > section")];
  if (sections.map((section) => section.id).join() === order.join()) return;
  const focused = document.activeElement;
  for (const id of order) main.append(document.getElementById(id));
  focused?.focus({ preventScroll: true });
}

// A screen reader reads the headline aloud when it changes.
function announce(headline) {
  const before = document.querySelector("h1").textContent;
  if (headline !== before) document.querySelector("#announcer").textContent = headline;
}

// A green headline must not stay when the service no longer answers.
function showNoAnswer() {
  const headline = document.querySelector("h1");
  document.title = "No answer · ThingSpace firmware listener";
  announce(NO_ANSWER);
  headline.textContent = NO_ANSWER;
  headline.className = "error";
}

async function refresh() {
  const freshness = document.querySelector("#freshness");
  try {
    const answer = await fetch(location.pathname + location.search, { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = fresh.title;
    announce(fresh.querySelector("h1").textContent);
    freshness.replaceWith(fresh.querySelector("#freshness"));
    const order = [...fresh.querySelectorAll("main > section")].map((section) => section.id);
    for (const section of fresh.querySelectorAll("main > section")) {
      const old = document.getElementById(section.id);
      if (old) replace(old, document.adoptNode(section));
    }
    reorder(order);
  } catch (problem) {
    showNoAnswer();
    freshness.className = "error";
  }
}

async function refreshForever() {
  for (;;) {
    await new Promise((done) => { setTimeout(done, INTERVAL_MS); });
    if (!document.hidden) await refresh();
  }
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
refreshForever();
