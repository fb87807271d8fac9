// Shortcuts of the pages inside. Everything they do can be done without them.
"use strict";

(() => {
  const AFTER_G_MS = 1500;
  let wentAt = 0;

  function isTyping(target) {
    return target.closest("input, textarea, select, [contenteditable]") !== null;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
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
    wentAt = 0;
    const place = document.querySelector(`[data-shortcut="${CSS.escape(event.key)}"]`);
    if (place) place.click();
  });
})();
