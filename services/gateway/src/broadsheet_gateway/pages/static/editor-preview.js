// The preview beside the text: what is saved, as it will be mailed, drawn anew after each save. The new one is loaded
// behind the one that is shown, scrolled to the same place, and then takes its place: nothing jumps, nothing flashes, and
// the cursor stays in the text. For that the frame has our origin; its sandbox lets nothing run in it.
"use strict";

(() => {
  let frame = document.querySelector("[data-preview-frame]");
  if (!frame) return;
  const LOADED_WITHIN_MS = 2000;
  const choices = document.querySelector("[data-preview-choices]");
  const holder = document.querySelector("[data-frame-holder]");
  const base = new URL(frame.src, location.href);
  const chosen = { scheme: "light", part: "html" };
  let version = 0;
  let next = null;
  // How far the mail is to be scrolled, and how far the one that is shown could be: a shorter one ends before.
  let wanted = 0;
  let reached = 0;

  const SWITCHES = [
    ["Dark", "Dark colours", (isOn) => { chosen.scheme = isOn ? "dark" : "light"; }],
    ["Phone", "As wide as a phone", (isOn) => { holder.classList.toggle("frame-phone", isOn); }],
    ["Text", "Plain text", (isOn) => { chosen.part = isOn ? "text" : "html"; }],
  ];

  function draw() {
    const address = new URL(base);
    for (const [name, value] of Object.entries(chosen)) address.searchParams.set(name, value);
    const reader = choices.querySelector("input")?.value.trim();
    if (reader) address.searchParams.set("reader", reader);
    address.searchParams.set("version", version);
    next?.remove();
    // A frame of its own: another address in the same one would make the Back button go through every version.
    const coming = frame.cloneNode(false);
    coming.removeAttribute("data-preview-frame");
    coming.classList.add("mail-frame-next");
    coming.src = address;
    next = coming;
    // Pictures of a slow server are not waited for.
    const overdue = setTimeout(() => show(coming), LOADED_WITHIN_MS);
    coming.addEventListener("load", () => {
      clearTimeout(overdue);
      show(coming);
      if (coming === frame) ready(coming);
    });
    holder.append(coming);
  }

  function show(coming) {
    if (coming !== next) return;
    const scrolled = placeOf(frame);
    if (scrolled !== reached) wanted = scrolled;
    const had = document.activeElement === frame;
    const gone = frame;
    frame = coming;
    next = null;
    keepPlace();
    coming.classList.remove("mail-frame-next");
    coming.dataset.previewFrame = "";
    gone.remove();
    if (had) coming.focus({ preventScroll: true });
  }

  // Of the window and not of the document, in which the mail's own names could stand in for what is asked.
  function placeOf(shown) {
    try {
      return shown.contentWindow.scrollY;
    } catch {
      return reached; // the browser's own page about a fault
    }
  }

  function keepPlace() {
    try {
      frame.contentWindow.scrollTo(0, wanted);
    } catch {
      // As above.
    }
    reached = placeOf(frame);
  }

  function ready(shown) {
    // What came late may have made it longer.
    if (placeOf(shown) === reached && reached !== wanted) keepPlace();
    try {
      shown.contentWindow.addEventListener("click", openApart);
    } catch {
      // As above.
    }
  }

  // A link of the mail opens beside the editor: the frame itself goes nowhere.
  function openApart(event) {
    const link = event.composedPath().find((one) => one.localName === "a" || one.localName === "area");
    if (!link) return;
    event.preventDefault();
    if (link.protocol === "https:" || link.protocol === "http:") window.open(link.href, "_blank", "noopener");
  }

  ready(frame);
  frame.addEventListener("load", () => ready(frame));

  for (const [text, name, turn] of SWITCHES) {
    const tool = document.createElement("button");
    tool.type = "button";
    tool.className = "tool";
    tool.textContent = text;
    tool.setAttribute("aria-label", name);
    tool.setAttribute("aria-pressed", "false");
    tool.addEventListener("click", () => {
      const isOn = tool.getAttribute("aria-pressed") !== "true";
      tool.setAttribute("aria-pressed", String(isOn));
      turn(isOn);
      draw();
    });
    choices.append(tool);
  }
  // The list is there for whoever may read subscribers.
  if (document.getElementById("sample-readers")) {
    const reader = document.createElement("input");
    reader.className = "tool reader-choice";
    reader.placeholder = "Address or name";
    reader.autocomplete = "off";
    reader.setAttribute("list", "sample-readers");
    reader.setAttribute("aria-label", "As the subscriber with this address, name or number");
    reader.addEventListener("change", draw);
    choices.append(reader);
  }
  choices.hidden = false;

  document.addEventListener("broadsheet:saved", (event) => {
    version = event.detail.version;
    draw();
  });
})();
