// Keeps the figures of issues that are being sent up to date, by a stream of events (docs/event-streams.md). The pages
// work without it: they have a link to reload.
"use strict";

(() => {
  const SWAP_INTERVAL_MS = 2000;
  const SWAPS_MAX = 5;
  const REFRESH_INTERVAL_MS = 30000;
  const RETRY_MS = 2000;
  const RETRY_SLOWEST_MS = 60000;
  const FAILURES_MAX = 8;

  const stream = document.querySelector("[data-live-stream]");
  if (!stream) return;

  const numbers = new Intl.NumberFormat("en");
  let source = null;
  let failures = 0;
  let isOver = false;
  let sign = stream.dataset.liveSign;
  let swapping = false;
  let wanted = null;

  function say(text) {
    const note = document.querySelector("[data-live-note]");
    if (note && note.textContent !== text) note.textContent = text;
  }

  // The words are those of charts.py.
  function pace(issue) {
    if (issue.status === "paused") return "Nothing is sent while it is paused";
    if (!["publishing", "sending"].includes(issue.status)) return "";
    const words = [];
    const rate = issue.settled_per_s;
    if (rate !== null) {
      words.push(rate >= 1 ? `${numbers.format(Math.round(rate))} a second` : `${Math.round(rate * 60)} a minute`);
    }
    if (issue.seconds_left !== null) {
      const minutes = Math.ceil(issue.seconds_left / 60);
      if (minutes <= 1) words.push("less than a minute left");
      else if (minutes < 120) words.push(`about ${minutes} minutes left`);
      else words.push(`about ${Math.ceil(minutes / 60)} hours left`);
    }
    return words.join(" · ");
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

  function showFigures(issue) {
    const block = document.querySelector(`[data-issue="${issue.issue_id}"]`);
    if (!block) return;
    const counts = issue.counts;
    const notSent = counts.failed + counts.suppressed + counts.excluded + counts.cancelled;
    const settled = counts.accepted + notSent;
    const percent = counts.audience ? Math.floor((settled * 100) / counts.audience) : 0;
    const figures = { settled, settled_percent: percent, not_sent: notSent, audience: counts.audience };
    for (const [part, count] of Object.entries(counts)) figures[`counts.${part}`] = count;
    for (const element of block.querySelectorAll("[data-live]")) {
      const name = element.dataset.live;
      if (name === "spread") element.setAttribute("aria-valuenow", percent);
      else if (name === "pace") element.textContent = pace(issue);
      else if (name in figures) element.textContent = numbers.format(figures[name]);
    }
    showSegments(block, counts);
    if (issue.status !== block.dataset.status) {
      block.dataset.status = issue.status;
      const label = issue.status.charAt(0).toUpperCase() + issue.status.slice(1);
      say(`${block.dataset.title}: ${label}`);
    }
  }

  function secondsOf(moment) {
    return moment ? Math.floor(Date.parse(moment) / 1000) : "";
  }

  // What an event says beside figures. Those of a dashboard are put together as in events.py, those of an issue as in
  // views.py.
  function signOf(event) {
    if (stream.dataset.liveEvent === "issue") {
      return `${event.status}|${event.status_reason ?? ""}|${event.parked}`;
    }
    const list = (items, text) => (items ?? []).map(text).join(",");
    const sending = event.sending;
    return [
      sending ? `${sending.state}|${sending.reason ?? ""}|${secondsOf(sending.back_off_until)}|${sending.replicas}` : "",
      event.issues.map((one) => `${one.issue_id}=${one.status}`).sort().join(","),
      list(event.uncertain, (one) => `${one.issue_id}=${one.uncertain}/${one.parked}`),
      list(event.failing_webhooks, (one) => `${one.endpoint_id}=${one.disabled ? 1 : 0}`),
      list(event.imports_with_rejects, (one) => `${one.import_id}=${one.status}/${one.rejected}`),
    ].join(";");
  }

  // Whoever is at a link is brought back to it; of anything else nobody is taken away.
  function isInUse(part) {
    const at = document.activeElement;
    return part.contains(at) && !at.matches("a");
  }

  function keepOpen(old, replacement) {
    const fresh = [...replacement.querySelectorAll("details")];
    const shown = [...old.querySelectorAll("details")];
    if (fresh.length === shown.length) shown.forEach((one, at) => { fresh[at].open = one.open; });
  }

  function hasTyped(part) {
    return [...part.querySelectorAll("input:not([type=hidden]), textarea, select")].some((field) => {
      if (field.type === "radio" || field.type === "checkbox") return field.checked !== field.defaultChecked;
      if (field.matches("select")) return [...field.options].some((one) => one.selected && !one.defaultSelected && one.value);
      return field.value !== field.defaultValue;
    });
  }

  // More than figures has changed: take the parts that are marked for it from a fresh copy of this page. What somebody
  // is filling in stays.
  async function swapParts() {
    // A redirect means that the session has ended; the answer then is not ok, and is taken for a failure.
    const answer = await fetch(location.href, {
      headers: { Accept: "text/html" },
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(10000),
    });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-swap]")) {
      if (isInUse(old) || hasTyped(old)) continue;
      const replacement = fresh.querySelector(`[data-swap="${CSS.escape(old.dataset.swap)}"]`);
      if (!replacement) continue;
      keepOpen(old, replacement);
      if (replacement.isEqualNode(old)) continue;
      const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      old.replaceWith(replacement);
      if (focused) document.querySelector(`main a[href="${CSS.escape(focused)}"]`)?.focus();
    }
    return fresh.querySelector("[data-live-stream]")?.dataset.liveSign;
  }

  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  // The page asks several services, so a copy may be a moment older than the event: then another one is taken. If they
  // go on telling different things, the page stays as it is until the next change.
  async function swapUntilItIsSo() {
    if (swapping) return;
    swapping = true;
    let tries = 0;
    let aim = null;
    while (wanted !== sign) {
      tries = wanted === aim ? tries + 1 : 1;
      aim = wanted;
      try {
        // A page without a stream is that of an issue which is done.
        const shown = (await swapParts()) ?? aim;
        sign = tries < SWAPS_MAX ? shown : aim;
      } catch {
        if (tries >= SWAPS_MAX) sign = aim;
      }
      await pause(SWAP_INTERVAL_MS * tries);
    }
    swapping = false;
  }

  // What no event tells: the report, and on the page of an issue the state of sending.
  async function refresh() {
    if (isOver) return;
    if (!document.hidden && !swapping) {
      try {
        await swapParts();
      } catch {
        failures += 1; // the stream's own errors say when nothing answers any more
      }
    }
    setTimeout(refresh, REFRESH_INTERVAL_MS);
  }

  function onEvent(message) {
    failures = 0;
    const event = JSON.parse(message.data);
    for (const issue of stream.dataset.liveEvent === "issue" ? [event] : event.issues) showFigures(issue);
    if (event.is_final) {
      isOver = true;
      source.close();
    }
    wanted = signOf(event);
    if (wanted !== sign) swapUntilItIsSo();
  }

  // After any answer but 200 an EventSource gives up; while there is no connection it tries again by itself.
  function onError() {
    if (isOver) return;
    failures += 1;
    if (failures >= FAILURES_MAX) {
      isOver = true;
      source.close();
      say("The figures no longer update by themselves.");
      return;
    }
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(open, Math.min(RETRY_MS * 2 ** failures, RETRY_SLOWEST_MS));
    }
  }

  function open() {
    if (isOver || document.hidden) return;
    if (source) source.close();
    source = new EventSource(stream.dataset.liveStream);
    source.addEventListener(stream.dataset.liveEvent, onEvent);
    source.addEventListener("open", () => {
      failures = 0;
      say("The figures update by themselves.");
    });
    source.addEventListener("error", onError);
  }

  // A browser opens few connections to a host: a tab that is not seen gives its own back.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) source?.close();
    else open();
  });
  window.addEventListener("pagehide", () => source?.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) open();
  });

  open();
  setTimeout(refresh, REFRESH_INTERVAL_MS);
})();
