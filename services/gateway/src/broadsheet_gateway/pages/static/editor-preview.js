// The preview beside the text: what is saved, as it will be mailed, drawn anew after each save.
"use strict";

(() => {
  const frame = document.querySelector("[data-preview-frame]");
  if (!frame) return;
  const choices = document.querySelector("[data-preview-choices]");
  const holder = document.querySelector("[data-frame-holder]");
  const base = new URL(frame.src, location.href);
  const chosen = { scheme: "light", part: "html" };
  let version = 0;

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
    // Not by `src`, which would make the Back button go through every version.
    frame.contentWindow.location.replace(address);
  }

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
