// The page that sends an issue: says what the button will do, and what time it will be on one's own clock.
"use strict";

(() => {
  const form = document.querySelector("[data-send]");
  if (!form) return;
  const button = form.querySelector("button[type=submit]");
  const sendsNow = button.textContent;
  const shown = form.querySelector("[data-own-clock]");

  // Minutes that the zone is ahead of UTC at that moment; null for a zone that the browser does not know.
  function minutesAhead(zone, moment) {
    try {
      const parts = new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" }).formatToParts(moment);
      const offset = parts.find((part) => part.type === "timeZoneName").value.match(/([+-])(\d\d):(\d\d)/);
      return offset ? (offset[1] === "-" ? -1 : 1) * (Number(offset[2]) * 60 + Number(offset[3])) : 0;
    } catch {
      return null;
    }
  }

  function momentOf(local, zone) {
    const asUtc = new Date(`${local}:00Z`);
    const first = minutesAhead(zone, asUtc);
    if (first === null || Number.isNaN(asUtc.getTime())) return null;
    const guess = new Date(asUtc.getTime() - first * 60000);
    return new Date(asUtc.getTime() - minutesAhead(zone, guess) * 60000);
  }

  function update() {
    const when = form.elements.when.value;
    const moment = when === "later" && form.elements.at.value ? momentOf(form.elements.at.value, form.elements.time_zone.value.trim()) : null;
    button.textContent = when === "now" ? sendsNow : "Schedule it";
    shown.textContent = moment
      ? `On your clock: ${moment.toLocaleDateString("en-GB", { dateStyle: "long" })}, ${moment.toLocaleTimeString("en-GB", { timeStyle: "short" })}`
      : "";
  }

  form.addEventListener("input", (event) => {
    // Who fills in a time does not mean now.
    if (event.target.name === "at" && form.elements.when.value === "now") form.elements.when.value = "later";
    update();
  });
  update();
})();
