// A button that copies a text of the page. Without scripts the text can be selected.
"use strict";

(() => {
  const SHOWN_MS = 4000;

  function select(source) {
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  }

  async function copy(source) {
    // Only pages over HTTPS, and those of this machine, have a clipboard.
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(source.textContent);
      return;
    }
    select(source);
    if (!document.execCommand("copy")) throw new Error("the browser does not copy");
  }

  for (const place of document.querySelectorAll("[data-copies]")) {
    const source = document.getElementById(place.dataset.copies);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button-quiet";
    button.textContent = place.dataset.label;
    const said = document.createElement("span");
    said.setAttribute("role", "status");
    place.append(button, " ", said);

    button.addEventListener("click", async () => {
      try {
        await copy(source);
        said.textContent = place.dataset.done;
      } catch {
        select(source);
        said.textContent = place.dataset.failed;
      }
      setTimeout(() => { said.textContent = ""; }, SHOWN_MS);
    });
  }
})();
