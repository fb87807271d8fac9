// Shortcuts of the pages inside. Everything they do can be done without them, and who dictates or hits keys by chance
// can turn the single keys off (WCAG 2.2, 2.1.4).
"use strict";

(() => {
  const AFTER_G_MS = 1500;
  const STORED = "broadsheet-single-keys";
  const sheet = document.getElementById("shortcuts");
  const choice = document.getElementById("shortcuts-on");
  let wentAt = -AFTER_G_MS;

  // A browser may forbid the store: then the choice is good for this page only, and says so.
  function stored() {
    try {
      return localStorage.getItem(STORED);
    } catch {
      return null;
    }
  }

  function store(value) {
    try {
      localStorage.setItem(STORED, value);
    } catch {
      choice.labels[0].textContent = "Single keys are shortcuts, on this page";
    }
  }

  function isTyping(target) {
    return target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]") !== null;
  }

  choice.checked = stored() !== "off";
  choice.addEventListener("change", () => store(choice.checked ? "on" : "off"));

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !choice.checked || isTyping(event.target)) return;
    if (event.key === "?") {
      sheet.togglePopover();
      return;
    }
    if (event.key === "/") {
      const search = document.querySelector("input[type=search]");
      if (!search) return;
      event.preventDefault();
      search.focus();
      search.select();
      return;
    }
    if (event.key === "g") {
      wentAt = event.timeStamp;
      return;
    }
    if (event.timeStamp - wentAt > AFTER_G_MS) return;
    wentAt = -AFTER_G_MS;
    const place = document.querySelector(`[data-shortcut="${CSS.escape(event.key)}"]`);
    if (place) place.click();
  });
})();
