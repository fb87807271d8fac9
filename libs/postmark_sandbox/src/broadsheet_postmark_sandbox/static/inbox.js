// Comfort for the inbox: new mail appears by itself, j and k go through the list. Everything works without it.
(() => {
  "use strict";

  const ASK_EVERY_MS = 2000;
  const list = document.getElementById("list");
  if (list === null) { return; }

  const rows = () => Array.from(list.querySelectorAll("a.row"));
  const current = () => list.querySelector("a.row[aria-current]");
  if (current() !== null) { current().scrollIntoView({ block: "nearest" }); }

  function step(by) {
    const all = rows();
    if (all.length === 0) { return; }
    const focused = all.indexOf(document.activeElement);
    const from = focused >= 0 ? focused : all.indexOf(current());
    const to = from < 0 ? 0 : Math.min(Math.max(from + by, 0), all.length - 1);
    all[to].focus();
    all[to].scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) { return; }
    if (event.key === "j") { step(1); } else if (event.key === "k") { step(-1); } else if (event.key === "/") {
      event.preventDefault();
      document.getElementById("recipient").focus();
    }
  });

  // Only the newest page follows: on an older one the mails would move while they are read.
  async function refresh() {
    const answer = await fetch(`/inbox/new${list.dataset.query}`, { cache: "no-store" });
    if (!answer.ok) { return; }
    const now = await answer.json();
    const shown = list.dataset;
    if (String(now.newest) === shown.newest && String(now.generation) === shown.generation) { return; }
    const added = String(now.generation) === shown.generation ? now.total - Number(shown.total) : now.total;
    const page = await fetch(window.location.href, { cache: "no-store" });
    if (!page.ok) { return; }
    const made = new DOMParser().parseFromString(await page.text(), "text/html");
    const fresh = made.getElementById("list");
    const focused = document.activeElement?.dataset?.id;
    list.replaceChildren(...fresh.childNodes);
    Object.assign(list.dataset, fresh.dataset);
    document.getElementById("total").textContent = made.getElementById("total").textContent;
    const tag = document.getElementById("tag");
    if (document.activeElement !== tag) { tag.replaceChildren(...made.getElementById("tag").childNodes); }
    if (focused) { rows().find((row) => row.dataset.id === focused)?.focus({ preventScroll: true }); }
    document.getElementById("news").textContent = added === 1 ? "1 new mail" : `${added} new mails`;
  }

  async function follow() {
    try {
      if (!document.hidden) { await refresh(); }
    } catch {
      // The sandbox is away for the moment: asked again below.
    }
    window.setTimeout(follow, ASK_EVERY_MS);
  }
  if (list.dataset.first === "yes") { window.setTimeout(follow, ASK_EVERY_MS); }
})();
