// Keeps the part of a page that still changes by itself up to date. The page works without it: it has a link to reload.
"use strict";

(() => {
  const POLL_MS = 1000;
  const POLL_SLOWEST_MS = 30000;
  const FAILURES_MAX = 12;
  const POLLS_MAX = 4 * 3600;

  const note = document.querySelector("[data-live-note]");
  let failures = 0;
  let polls = 0;

  const current = () => document.querySelector("[data-refreshed]");
  const isMoving = () => current() !== null && current().hasAttribute("data-moving");

  function say(text) {
    if (note && note.textContent !== text) note.textContent = text;
  }

  async function fetchPage() {
    // A redirect means that the session has ended; the answer then is not ok, and is taken for a failure.
    const answer = await fetch(current().dataset.refreshed, {
      headers: { Accept: "text/html" },
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(10000),
    });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  }

  async function refresh() {
    const fresh = (await fetchPage()).querySelector("[data-refreshed]");
    if (!fresh) throw new Error("nothing to show");
    const old = current();
    if (old.dataset.state !== fresh.dataset.state) {
      say(fresh.querySelector("h1").textContent + ": " + fresh.querySelector("[data-state-text]").textContent);
    }
    // What has the focus stays: it is found again by its address, or by its place among the buttons.
    const focused = old.contains(document.activeElement) ? document.activeElement : null;
    const address = focused?.getAttribute("href");
    const action = focused?.form?.getAttribute("action");
    old.replaceWith(fresh);
    if (address) fresh.querySelector(`a[href="${CSS.escape(address)}"]`)?.focus();
    else if (action) fresh.querySelector(`form[action="${CSS.escape(action)}"] button`)?.focus();
  }

  async function tick() {
    if (!document.hidden) {
      polls += 1;
      try {
        await refresh();
        failures = 0;
      } catch {
        failures += 1;
      }
    }
    if (!isMoving()) return;
    if (failures >= FAILURES_MAX || polls >= POLLS_MAX) {
      say("The figures no longer update by themselves.");
      return;
    }
    setTimeout(tick, Math.min(POLL_MS * 2 ** failures, POLL_SLOWEST_MS));
  }

  if (isMoving()) {
    say("The figures update by themselves.");
    setTimeout(tick, POLL_MS);
  }
})();
