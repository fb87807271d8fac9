// The pictures beside a newsletter's settings follow what is typed. Without this, their buttons show it.
(() => {
  "use strict";

  const WAIT_MS = 800;
  const waiting = new Map();
  const buttons = [...document.querySelectorAll("button[data-picture]")];
  // Of each frame, the button whose picture it shows.
  const shown = new Map();

  function frameOf(button) {
    return document.getElementsByName(button.dataset.picture)[0];
  }

  function show(button) {
    const old = frameOf(button);
    // A new frame: what its first document is puts no step into the browser's history.
    const fresh = old.cloneNode(false);
    fresh.removeAttribute("src");
    old.replaceWith(fresh);
    shown.set(button.dataset.picture, button);
    window.clearTimeout(waiting.get(button.dataset.picture));
    button.form.requestSubmit(button);
  }

  for (const button of buttons) {
    const name = button.dataset.picture;
    const fields = new Set(button.dataset.of.split(" "));
    button.formTarget = name;
    if (!shown.has(name)) shown.set(name, button);
    button.form.addEventListener("input", (event) => {
      if (!fields.has(event.target.name)) { return; }
      window.clearTimeout(waiting.get(name));
      waiting.set(name, window.setTimeout(() => show(button), WAIT_MS));
    });
    // A frame of several pages shows the one whose words are being looked at.
    button.form.addEventListener("focusin", (event) => {
      if (fields.has(event.target.name) && shown.get(name) !== button) show(button);
    });
    button.addEventListener("click", (event) => {
      if (event.detail) frameOf(button).scrollIntoView({ block: "nearest" });
    });
  }
})();
