// Warns before a page is left whose form `data-unsent` holds what somebody typed. Every button of that form sends it along.
// `data-was`: what a field held at first, where a refused form shows what was typed.
"use strict";

(() => {
  let isSending = false;

  function isChanged(field) {
    return field.type === "text" && field.value !== (field.dataset.was ?? field.defaultValue);
  }

  document.addEventListener("submit", (event) => {
    if (event.target.matches("form[data-unsent]")) isSending = true;
  });
  // A page that the browser brings back, as it was left.
  addEventListener("pageshow", () => {
    isSending = false;
  });
  addEventListener("beforeunload", (event) => {
    const forms = [...document.querySelectorAll("form[data-unsent]")];
    if (!isSending && forms.some((form) => [...form.elements].some(isChanged))) event.preventDefault();
  });
})();
