// The form of a segment: buttons that change its rows work without loading the page anew, and the count follows what is
// typed. The server makes every row; without this script the same buttons send the form.
"use strict";

(() => {
  const COUNT_AFTER_MS = 600;
  const TRIES_MAX = 3;

  const form = document.querySelector("[data-segment-form]");
  if (!form) return;
  let waiting = 0;
  let latest = 0;

  const part = (root, name) => root.querySelector(`[data-swap="${name}"]`);

  function typed() {
    return new URLSearchParams(new FormData(form)).toString();
  }

  // What the server makes of the form after one of its buttons. Null: it did not answer, or the session has ended.
  async function ask(button) {
    const body = new URLSearchParams(new FormData(form));
    body.set("do", button);
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      body,
      headers: { Accept: "text/html" },
      cache: "no-store",
      redirect: "manual",
      signal: AbortSignal.timeout(30000),
    });
    if (answer.type === "opaqueredirect" || !(answer.headers.get("content-type") || "").startsWith("text/html")) return null;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return page.querySelector("[data-segment-form]") ? page : null;
  }

  function swap(page, name) {
    const old = part(document, name);
    const fresh = part(page, name);
    if (old && fresh) old.replaceWith(document.adoptNode(fresh));
  }

  // Without the number: a screen reader is told of a count once it is there, not of each key.
  function sayCount(text) {
    const place = part(document, "count");
    if (place) place.querySelector(".small").textContent = text;
  }

  async function count() {
    const mine = ++latest;
    sayCount("Counting…");
    try {
      const page = await ask("count");
      if (mine !== latest) return;
      if (page) swap(page, "count");
      else sayCount("The count did not come. Load the page again.");
    } catch {
      if (mine === latest) sayCount("The count did not come. Try again in a moment.");
    }
  }

  function countSoon() {
    latest += 1;
    clearTimeout(waiting);
    waiting = setTimeout(count, COUNT_AFTER_MS);
  }

  async function redraw(button) {
    clearTimeout(waiting);
    latest += 1;
    const focused = document.activeElement ? document.activeElement.id : "";
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      const before = typed();
      let page = null;
      try {
        page = await ask(button);
      } catch {
        page = null;
      }
      if (!page) {
        sayCount("The form could not be redrawn. Save it, or load the page again.");
        return;
      }
      // What was typed meanwhile must not be lost: ask again with it.
      if (typed() !== before) continue;
      swap(page, "faults");
      swap(page, "rows");
      const next = form.querySelector("[autofocus]") || (focused && document.getElementById(focused)) || part(document, "rows").querySelector("select, button");
      if (next) next.focus();
      if (button === "count") swap(page, "count");
      else countSoon();
      return;
    }
  }

  form.addEventListener("submit", (event) => {
    const button = event.submitter && event.submitter.name === "do" ? event.submitter.value : "";
    if (button === "count") {
      event.preventDefault();
      clearTimeout(waiting);
      redraw("count");
    } else if (button === "redraw" || /^(add|group|remove):/.test(button)) {
      event.preventDefault();
      redraw(button);
    }
  });
  form.addEventListener("change", (event) => {
    if (event.target.matches("[data-redraws]")) redraw("redraw");
    else if (event.target.name !== "name") countSoon();
  });
  form.addEventListener("input", (event) => {
    if (event.target.name !== "name" && !event.target.matches("select")) countSoon();
  });

  // What is stored, when the page opens. After that, what is typed.
  async function countStored(address) {
    const mine = ++latest;
    sayCount("Counting…");
    try {
      const answer = await fetch(address, {
        headers: { Accept: "application/json" },
        cache: "no-store",
        redirect: "manual",
        signal: AbortSignal.timeout(30000),
      });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const { matching } = await answer.json();
      if (mine !== latest) return;
      part(document, "count").querySelector(".count-figure").textContent = new Intl.NumberFormat("en").format(matching);
      sayCount(`${matching === 1 ? "matches" : "match"} now, whatever they are subscribed to.`);
    } catch {
      if (mine === latest) sayCount("The count did not come. Try again in a moment.");
    }
  }

  const stored = part(document, "count").dataset.count;
  if (stored) countStored(stored);
})();
