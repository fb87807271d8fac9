// Saves a draft while it is being written. No typed word is lost: what is not saved yet is also kept in this browser,
// and whatever a save is answered, the form keeps what it holds.
//
// There is one queue: one save at a time, and a click on a button of the form waits for the one that is under way. So
// nobody is told that somebody else is writing by their own tab.
"use strict";

(() => {
  const PAUSE_MS = 1200; // after the last key
  const LATEST_MS = 8000; // while somebody types without a pause
  const ASK_STATE_MS = 10000;
  const ANSWER_MS = 30000;
  const RETRY_MS = [2000, 4000, 8000, 15000, 30000];
  const KEEP_MS = 300;

  const form = document.querySelector("[data-draft]");
  if (!form) return;
  const shown = document.querySelector("[data-save-state]");
  const notices = document.querySelector("[data-editor-notices]");
  // A record for each tab: the save of one must not drop what another keeps.
  const keptBeginning = `broadsheet draft ${form.dataset.draft} of ${form.dataset.user} in `;
  const keptName = keptBeginning + tabName();

  let isDirty = false;
  let running = null; // the save that is under way
  let unanswered = null; // the body of a save of which it is not known whether it was made
  let saves = 0;
  let failures = 0;
  let timer = 0;
  let dirtySince = 0;
  let keeping = 0;
  let savedAt = 0;
  let isLeaving = false;
  // Why nothing is saved by itself: "" while all is well. A page that shows a refused form waits for its button.
  let halted = form.dataset.isSaved === "yes" ? "" : "form";

  function tabName() {
    try {
      const known = sessionStorage.getItem("broadsheet tab");
      if (known) return known;
      const made = crypto.getRandomValues(new Uint32Array(2)).join("-");
      sessionStorage.setItem("broadsheet tab", made);
      return made;
    } catch {
      return "a tab";
    }
  }

  // What is said -------------------------------------------------------------------------------------------------

  function say(text) {
    savedAt = 0;
    if (shown.textContent !== text) shown.textContent = text;
  }

  function sayAge() {
    if (!savedAt) return;
    const seconds = Math.round((Date.now() - savedAt) / 1000);
    const age = seconds < 2 ? "just now" : seconds < 60 ? `${seconds} s ago` : `${Math.floor(seconds / 60)} min ago`;
    shown.textContent = `Saved ${age}`;
  }

  // A notice with actions; one of each kind at most.
  function tell(kind, text, actions = []) {
    withdraw(kind);
    const notice = document.createElement("div");
    notice.className = "notice notice-notice";
    notice.setAttribute("role", "alert");
    notice.dataset.notice = kind;
    const words = document.createElement("span");
    words.textContent = text;
    const row = document.createElement("div");
    row.className = "row-actions";
    row.append(...actions);
    notice.append(words, row);
    notices.append(notice);
  }

  function withdraw(kind) {
    notices.querySelector(`[data-notice="${kind}"]`)?.remove();
  }

  function button(text, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "button button-quiet";
    made.textContent = text;
    made.addEventListener("click", act);
    return made;
  }

  function link(text, address, isNewTab = false) {
    const made = document.createElement("a");
    made.className = "button button-quiet";
    made.textContent = text;
    made.href = address;
    if (isNewTab) Object.assign(made, { target: "_blank", rel: "noopener" });
    return made;
  }

  // What is kept in this browser ---------------------------------------------------------------------------------

  function fields() {
    const found = Object.fromEntries(new FormData(form));
    delete found.csrf_token;
    delete found.etag;
    return found;
  }

  function keep() {
    keeping = 0;
    try {
      localStorage.setItem(keptName, JSON.stringify({ at: Date.now(), etag: form.elements.etag.value, fields: fields() }));
    } catch {
      // A full or forbidden store keeps nothing; the form and the server do.
    }
  }

  function dropKept(name = keptName) {
    clearTimeout(keeping);
    keeping = 0;
    try {
      localStorage.removeItem(name);
    } catch {
      // There is none.
    }
  }

  // The newest record of this draft by this user, whichever tab kept it.
  function readKept() {
    let newest = null;
    try {
      for (const name of Object.keys(localStorage)) {
        if (!name.startsWith(keptBeginning)) continue;
        const kept = JSON.parse(localStorage.getItem(name));
        if (kept?.fields && (!newest || kept.at > newest.at)) newest = { ...kept, name };
      }
    } catch {
      // What cannot be read is not offered.
    }
    return newest;
  }

  function fill(kept) {
    for (const control of form.elements) {
      if (!control.name || ["csrf_token", "etag", "then"].includes(control.name)) continue;
      if (control.type === "checkbox") control.checked = control.name in kept;
      else if (control.name in kept) {
        if (control.options && ![...control.options].some((option) => option.value === kept[control.name])) {
          control.append(new Option(kept[control.name], kept[control.name]));
        }
        control.value = kept[control.name];
      }
    }
    form.dispatchEvent(new Event("input", { bubbles: true }));
  }

  function offerKept() {
    const kept = readKept();
    if (!kept) return;
    const now = fields();
    const differs = Object.keys({ ...now, ...kept.fields }).some((name) => now[name] !== kept.fields[name]);
    if (!differs) return dropKept(kept.name);
    const at = new Date(kept.at).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
    tell("kept", `This browser kept words of ${at}, by its own clock, that were not saved.`, [
      button("Put them back", () => {
        withdraw("kept");
        // Under the tag that they were typed under: if somebody saved since, both texts are shown.
        form.elements.etag.value = kept.etag;
        fill(kept.fields);
        if (kept.name !== keptName) dropKept(kept.name);
      }),
      button("Discard them", () => {
        withdraw("kept");
        dropKept(kept.name);
      }),
    ]);
  }

  // Saving -------------------------------------------------------------------------------------------------------

  function schedule(after) {
    clearTimeout(timer);
    timer = setTimeout(save, after);
  }

  function adopt(answer) {
    if (answer.etag) form.elements.etag.value = answer.etag;
    if (answer.csrf_token) form.elements.csrf_token.value = answer.csrf_token;
  }

  function typed() {
    isDirty = true;
    if (!keeping) keeping = setTimeout(keep, KEEP_MS);
    if (halted) return;
    dirtySince ||= Date.now();
    say("Not saved yet");
    schedule(Math.max(0, Math.min(PAUSE_MS, dirtySince + LATEST_MS - Date.now())));
  }

  async function send(body) {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json" },
      body,
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const media = answer.headers.get("Content-Type") || "";
    if (media.includes("application/json")) return answer.json();
    // A refusal before the save itself; what may pass is tried again.
    const mayPass = answer.status >= 500 || answer.status === 408 || answer.status === 429;
    if (mayPass || !media.includes("problem+json")) throw new Error(`status ${answer.status}`);
    const problem = await answer.json();
    return { result: "forbidden", detail: problem.detail || problem.title };
  }

  function save() {
    clearTimeout(timer);
    if (running) return running;
    if (halted || !isDirty) return Promise.resolve();
    running = saveOnce().finally(() => {
      running = null;
      // What was typed during the save; a form that was refused waits for its next word.
      if (dirtySince && !halted && !failures) schedule(PAUSE_MS);
    });
    return running;
  }

  async function saveOnce() {
    isDirty = false;
    dirtySince = 0;
    saves += 1;
    say("Saving…");
    const now = new URLSearchParams(new FormData(form));
    // A save whose answer was lost may have been made. It is sent again as it was, so that its own text is known when
    // it is met; then comes what was typed since.
    const body = unanswered || now;
    body.set("csrf_token", form.elements.csrf_token.value);
    const isOld = body.toString() !== now.toString();
    let answer;
    try {
      answer = await send(body);
    } catch {
      answer = { result: "unavailable" };
    }
    unanswered = answer.result === "unavailable" ? body : null;
    adopt(answer);
    if (answer.result !== "saved" || isOld) isDirty = true;
    if (answer.result === "saved" && isOld) dirtySince ||= Date.now();
    await ANSWERED[answer.result](answer);
  }

  const ANSWERED = {
    saved(answer) {
      failures = 0;
      for (const kind of ["offline", "session", "refused"]) withdraw(kind);
      showErrors({});
      if (!isDirty) {
        dropKept();
        savedAt = Date.now();
        sayAge();
      }
      document.dispatchEvent(new CustomEvent("broadsheet:saved", { detail: answer }));
    },
    unavailable() {
      say("Not saved: no answer");
      tell("offline", "There is no connection, or a service does not answer. What you type is kept in this browser, and saved as soon as it works again.");
      schedule(RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]);
      failures += 1;
    },
    "signed-out"() {
      halted = "session";
      say("Not saved: your session has ended");
      tell("session", "Your session has ended. Nothing is lost: log in in another tab and come back, and what you typed is saved.", [
        link("Log in", "/login", true),
        button("I have logged in", askState),
      ]);
    },
    "out-of-date"() {
      // The session is another one than that of this page: its token is asked for, and the save repeated.
      halted = "session";
      setTimeout(askState, 0);
    },
    forbidden(answer) {
      halted = "forbidden";
      say("Not saved");
      tell("forbidden", `Nothing was saved: ${answer.detail} What you typed is still here.`, [
        button("Try again", () => {
          halted = "";
          withdraw("forbidden");
          save();
        }),
      ]);
    },
    refused(answer) {
      say("Not saved: something is to be corrected");
      showErrors(answer.errors);
      if (answer.detail) tell("refused", answer.detail);
    },
    conflict(answer) {
      halted = "conflict";
      say("Not saved: somebody else saved this draft");
      const who = answer.saved_by_oneself ? "Another tab of yours" : answer.saved_by;
      tell("conflict", `${who} saved this draft while you were writing. Nothing is lost: what you typed is here, and theirs is version ${answer.version}.`, [
        button("Compare both", () => form.requestSubmit()),
      ]);
    },
    "no-draft"(answer) {
      halted = "no-draft";
      say("Not saved: this issue is no draft any more");
      tell("no-draft", `This issue is no draft any more. ${answer.detail} What you typed is still here, to be copied.`, [
        link("See what became of it", `/admin/issues/${form.dataset.draft}`, true),
      ]);
    },
    gone() {
      halted = "gone";
      say("Not saved: this draft was deleted");
      tell("gone", "Somebody deleted this draft. What you typed is still here, to be copied into a new one.", [
        link("All issues", "/admin/issues", true),
      ]);
    },
  };

  // A message at each field, as the page itself would show it.
  function showErrors(errors) {
    for (const old of form.querySelectorAll("[data-live-error]")) {
      const control = form.elements[old.dataset.liveError];
      control.removeAttribute("aria-invalid");
      control.removeAttribute("aria-describedby");
      control.closest(".field")?.classList.remove("field-invalid");
      old.remove();
    }
    for (const [name, text] of Object.entries(errors || {})) {
      const control = form.elements[name];
      if (!control || !control.id) continue;
      const message = document.createElement("p");
      message.className = "field-error";
      message.id = `${name}-live-error`;
      message.dataset.liveError = name;
      message.textContent = text;
      control.before(message);
      control.setAttribute("aria-invalid", "true");
      control.setAttribute("aria-describedby", message.id);
      control.closest(".field")?.classList.add("field-invalid");
      const folded = control.closest("details");
      if (folded) folded.open = true;
    }
  }

  // Nothing is saved under the name of somebody who did not write it, unless they say so.
  function isSomebodyElse(state) {
    if (halted === "other-user") return;
    halted = "other-user";
    clearTimeout(timer);
    say("Not saved: somebody else is signed in");
    tell("other-user", `${state.username} is signed in now, and ${form.dataset.user} wrote this.`, [
      button(`Save as ${state.username}`, () => {
        form.dataset.user = state.username;
        form.elements.csrf_token.value = state.csrf_token;
        halted = "";
        withdraw("other-user");
        withdraw("session");
        isDirty = true;
        save();
      }),
      link("Log in again", "/login", true),
    ]);
  }

  // What others did meanwhile ------------------------------------------------------------------------------------

  async function askState() {
    if (document.hidden || running) return;
    const before = saves;
    let state;
    try {
      const answer = await fetch(form.dataset.state, {
        headers: { Accept: "application/json" },
        cache: "no-store",
        redirect: "manual",
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      if (answer.type === "opaqueredirect") {
        if (!halted) ANSWERED["signed-out"]();
        return;
      }
      if (answer.status === 404) return ANSWERED.gone();
      if (!answer.ok) return;
      state = await answer.json();
    } catch {
      return; // the next round asks again
    }
    // A save of our own in between makes the answer old.
    if (running || before !== saves) return;
    if (state.username !== form.dataset.user) return isSomebodyElse(state);
    if (halted === "other-user") {
      halted = "";
      withdraw("other-user");
      if (isDirty) schedule(0);
    }
    form.elements.csrf_token.value = state.csrf_token;
    if (halted === "session") {
      halted = "";
      withdraw("session");
      if (isDirty) save();
    }
    if (halted) return;
    if (state.status !== "draft") return ANSWERED["no-draft"]({ detail: `It is ${state.status_label.toLowerCase()}.` });
    if (state.etag === form.elements.etag.value) return withdraw("newer");
    const who = state.saved_by_oneself ? "Another tab of yours" : state.saved_by;
    if (isDirty) return; // the save that is due finds out, and keeps both
    tell("newer", `${who} has just saved this draft as version ${state.version}.`, [link("Load it", location.pathname)]);
  }

  // ----------------------------------------------------------------------------------------------------------------

  form.addEventListener("input", typed);
  form.addEventListener("submit", (event) => {
    if (running) {
      event.preventDefault();
      const submitter = event.submitter;
      running.finally(() => form.requestSubmit(submitter));
      return;
    }
    clearTimeout(timer);
    keep();
    isLeaving = true;
  });
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.key.toLowerCase() !== "s") return;
    event.preventDefault();
    if (halted === "form" || halted === "conflict") form.requestSubmit();
    else {
      isDirty = true;
      save();
    }
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      if (isDirty) keep();
      save();
    } else askState();
  });
  addEventListener("pagehide", () => {
    if (isDirty) keep();
  });
  addEventListener("online", () => {
    failures = 0;
    save();
  });
  addEventListener("beforeunload", (event) => {
    if ((isDirty || running) && !isLeaving) event.preventDefault();
  });
  addEventListener("pageshow", () => {
    isLeaving = false;
  });
  setInterval(sayAge, 1000);
  setInterval(askState, ASK_STATE_MS);
  // Somebody may have typed before this script ran, and browsers put back what was typed before a reload.
  function isChanged(control) {
    if (!control.name || control.type === "hidden") return false;
    if (control.type === "checkbox") return control.checked !== control.defaultChecked;
    if (control.options) {
      const chosen = [...control.options].findIndex((option) => option.defaultSelected);
      return control.selectedIndex !== Math.max(0, chosen);
    }
    return "defaultValue" in control && control.value !== control.defaultValue;
  }

  // A form that was answered with faults holds more than what is kept.
  if (halted) keep();
  else if ([...form.elements].some(isChanged)) typed();
  else offerKept();
})();
