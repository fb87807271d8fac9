// Keeps the figures of issues that are still moving up to date. The pages work without it: they have a link to reload.
"use strict";

(() => {
  const POLL_MS = 1000;
  const POLL_SLOWEST_MS = 30000;
  const FAILURES_MAX = 12;
  const POLLS_MAX = 4 * 3600;

  const note = document.querySelector("[data-live-note]");
  const numbers = new Intl.NumberFormat("en");
  let failures = 0;
  let polls = 0;

  const moving = () => [...document.querySelectorAll("[data-progress-url]")];

  function say(text) {
    if (note && note.textContent !== text) note.textContent = text;
  }

  async function fetchFresh(url, accept) {
    // A redirect means that the session has ended; the answer then is not ok, and is taken for a failure.
    const answer = await fetch(url, {
      headers: { Accept: accept },
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(10000),
    });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    return answer;
  }

  function showSegments(block, counts) {
    const bars = [...block.querySelectorAll("[data-live-segment]")];
    const total = Math.max(1, bars.reduce((sum, bar) => sum + counts[bar.dataset.liveSegment], 0));
    let before = 0;
    for (const bar of bars) {
      const count = counts[bar.dataset.liveSegment];
      bar.setAttribute("x", `${(before * 100) / total}%`);
      bar.setAttribute("width", `${(count * 100) / total}%`);
      before += count;
    }
  }

  function showFigures(block, progress) {
    const figures = {
      settled: progress.settled,
      settled_percent: progress.settled_percent,
      not_sent: progress.not_sent,
      audience: progress.counts.audience,
    };
    for (const [part, count] of Object.entries(progress.counts)) figures[`counts.${part}`] = count;
    for (const element of block.querySelectorAll("[data-live]")) {
      const name = element.dataset.live;
      if (name === "spread") {
        element.setAttribute("aria-valuenow", progress.settled_percent);
      } else if (name in figures) {
        element.textContent = numbers.format(figures[name]);
      }
    }
    showSegments(block, progress.counts);
  }

  // A new status changes more than figures: take the parts that are marked for it from a fresh copy of this page.
  async function swapParts() {
    const page = await (await fetchFresh(location.href, "text/html")).text();
    const fresh = new DOMParser().parseFromString(page, "text/html");
    for (const old of document.querySelectorAll("[data-swap]")) {
      const replacement = fresh.querySelector(`[data-swap="${CSS.escape(old.dataset.swap)}"]`);
      if (!replacement) continue;
      const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      old.replaceWith(replacement);
      if (focused) replacement.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    }
  }

  async function poll(block) {
    const progress = await (await fetchFresh(block.dataset.progressUrl, "application/json")).json();
    showFigures(block, progress);
    if (progress.status === block.dataset.status) return false;
    say(`${block.dataset.title}: ${progress.status_label}`);
    return true;
  }

  async function tick() {
    if (!document.hidden) {
      polls += 1;
      try {
        const changed = await Promise.all(moving().map(poll));
        if (changed.includes(true)) await swapParts();
        failures = 0;
      } catch {
        failures += 1;
      }
    }
    if (moving().length === 0) return;
    if (failures >= FAILURES_MAX || polls >= POLLS_MAX) {
      say("The figures no longer update by themselves.");
      return;
    }
    setTimeout(tick, Math.min(POLL_MS * 2 ** failures, POLL_SLOWEST_MS));
  }

  if (moving().length > 0) {
    say("The figures update by themselves.");
    setTimeout(tick, POLL_MS);
  }
})();
