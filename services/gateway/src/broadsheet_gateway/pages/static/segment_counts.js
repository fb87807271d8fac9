// Counts the segments of the list, one after the other, so that the database has one count of ours at a time. Without it
// each has a link that counts it.
"use strict";

(() => {
  const numbers = new Intl.NumberFormat("en");
  const cells = [...document.querySelectorAll("[data-count]")];
  const note = document.querySelector("[data-count-note]");

  async function countAll() {
    for (const cell of cells) {
      try {
        const answer = await fetch(cell.dataset.count, {
          headers: { Accept: "application/json" },
          cache: "no-store",
          redirect: "manual",
          signal: AbortSignal.timeout(30000),
        });
        if (!answer.ok) return; // the session has ended, or the service does not answer: the links are still there
        cell.textContent = numbers.format((await answer.json()).matching);
      } catch {
        return;
      }
    }
    if (note) note.textContent = "All segments are counted.";
  }

  if (cells.length > 0) countAll();
})();
