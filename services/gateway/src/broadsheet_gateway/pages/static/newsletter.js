// The pictures beside a newsletter's settings follow what is typed. Without this, their buttons show it.
(() => {
  "use strict";

  const WAIT_MS = 800;
  const waiting = new Map();

  function show(button) {
    const old = document.getElementsByName(button.dataset.picture)[0];
    // A new frame: what its first document is puts no step into the browser's history.
    const fresh = old.cloneNode(false);
    fresh.removeAttribute("src");
    old.replaceWith(fresh);
    button.form.requestSubmit(button);
  }

  for (const button of document.querySelectorAll("button[data-picture]")) {
    const fields = new Set(button.dataset.of.split(" "));
    button.form.addEventListener("input", (event) => {
      if (!fields.has(event.target.name)) { return; }
      window.clearTimeout(waiting.get(button));
      waiting.set(button, window.setTimeout(() => show(button), WAIT_MS));
    });
  }
})();
