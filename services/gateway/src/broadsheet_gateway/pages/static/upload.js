// Shows how far a file is sent. The form works without it: the browser then sends it by itself.
"use strict";

(() => {
  const HUNDRED = 100;
  let isSending = false;

  function show(form, text, percent) {
    const place = form.querySelector("[data-upload-note]");
    const bar = place.querySelector("progress");
    place.hidden = false;
    place.querySelector("span").textContent = text;
    if (percent === null) bar.removeAttribute("value");
    else bar.value = percent;
  }

  function end(form) {
    isSending = false;
    form.querySelector("button[type=submit]").disabled = false;
  }

  // A refused form is a page with everything that was typed: it takes the place of this one.
  function showAnswer(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    document.title = fresh.title;
    document.querySelector("main").replaceWith(fresh.querySelector("main"));
    const summary = document.querySelector(".error-summary") || document.querySelector("main");
    summary.focus();
    summary.scrollIntoView();
    prepare();
  }

  function send(form) {
    const request = new XMLHttpRequest();
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "text/html");
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      const percent = Math.floor((event.loaded * HUNDRED) / event.total);
      if (percent < HUNDRED) show(form, `${percent} % is sent. Keep this page open.`, percent);
      else show(form, "All of it is sent. It is being stored.", null);
    });
    request.addEventListener("load", () => {
      end(form);
      const isElsewhere = request.responseURL !== "" && request.responseURL !== form.action;
      if (isElsewhere) location.assign(request.responseURL);
      else showAnswer(request.responseText);
    });
    request.addEventListener("error", () => {
      end(form);
      show(form, "The upload broke off. Nothing was imported. Send it again.", 0);
    });
    request.send(new FormData(form));
  }

  function prepare() {
    const form = document.querySelector("form[data-upload]");
    if (!form) return;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (isSending) return;
      isSending = true;
      form.querySelector("button[type=submit]").disabled = true;
      show(form, "The file is being sent. Keep this page open.", 0);
      send(form);
    });
  }

  window.addEventListener("beforeunload", (event) => {
    if (isSending) event.preventDefault();
  });
  prepare();
})();
