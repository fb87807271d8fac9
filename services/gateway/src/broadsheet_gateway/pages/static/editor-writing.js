// Helps with writing: a toolbar and shortcuts for Markdown, merge fields, links from the clipboard, lengths, the line
// of an inbox, line numbers for code, and jumps to what is at fault.
"use strict";

(() => {
  const form = document.querySelector("[data-draft]");
  if (!form) return;
  const content = form.elements.content;
  const format = form.elements.format;
  const writing = form.querySelector("[data-writing]");
  const toolbar = form.querySelector("[data-toolbar]");
  const ADDRESS = /^https?:\/\/\S+$/;
  const PICTURE = /\.(png|jpe?g|gif|webp|avif|svg)(\?\S*)?$/i;
  let faultyLines = new Set();

  // Changing the text, so that the browser's own undo takes it back -----------------------------------------------

  function replaceSelection(text, selectFrom, selectTo) {
    const start = content.selectionStart;
    content.focus();
    if (!document.execCommand("insertText", false, text)) {
      content.setRangeText(text, content.selectionStart, content.selectionEnd, "end");
      content.dispatchEvent(new Event("input", { bubbles: true }));
    }
    if (selectFrom !== undefined) content.setSelectionRange(start + selectFrom, start + (selectTo ?? selectFrom));
  }

  function selected() {
    return content.value.slice(content.selectionStart, content.selectionEnd);
  }

  function around(mark, words) {
    const text = selected() || words;
    replaceSelection(mark + text + mark, mark.length, mark.length + text.length);
  }

  // Each line of the selection begins with the mark, or does not any more.
  function eachLine(mark) {
    const start = content.value.lastIndexOf("\n", content.selectionStart - 1) + 1;
    const found = content.value.indexOf("\n", content.selectionEnd);
    content.setSelectionRange(start, found === -1 ? content.value.length : found);
    const lines = selected().split("\n");
    const have = lines.every((line) => line.startsWith(mark));
    const text = lines.map((line) => (have ? line.slice(mark.length) : mark + line)).join("\n");
    replaceSelection(text, 0, text.length);
  }

  function link() {
    const text = selected();
    if (ADDRESS.test(text)) return replaceSelection(`[](${text})`, 1);
    const words = text || "the words of the link";
    replaceSelection(`[${words}](https://)`, words.length + 3, words.length + 11);
  }

  function picture() {
    const text = selected();
    const address = ADDRESS.test(text) ? text : "https://";
    replaceSelection(`![](${address}){width=540}`, address === text ? 2 : 4, address === text ? 2 : 12);
  }

  const TOOLS = [
    ["B", "Bold", "b", () => around("**", "bold"), "tool-bold"],
    ["I", "Italic", "i", () => around("*", "italic"), "tool-italic"],
    ["H", "Heading", "", () => eachLine("## ")],
    ["Link", "Link", "k", link],
    ["Picture", "Picture by its address", "", picture],
    ["List", "List", "", () => eachLine("- ")],
    ["Quote", "Quote", "", () => eachLine("> ")],
    ["Button", "Link as a button", "", () => replaceSelection("[Read the rest](https://){.button}", 17, 25)],
  ];

  function makeToolbar() {
    for (const [text, name, key, act, look] of TOOLS) {
      const tool = document.createElement("button");
      tool.type = "button";
      tool.className = look ? `tool ${look}` : "tool";
      tool.textContent = text;
      tool.dataset.markdown = "";
      tool.setAttribute("aria-label", name);
      tool.title = key ? `${name} (Ctrl or ⌘ ${key.toUpperCase()})` : name;
      tool.addEventListener("click", act);
      toolbar.append(tool);
    }
    const menu = document.createElement("select");
    menu.className = "tool-menu";
    menu.setAttribute("aria-label", "Insert a merge field");
    menu.append(new Option("Merge field…", ""));
    for (const option of document.querySelectorAll("#merge-fields option")) {
      menu.append(new Option(option.label, option.value));
    }
    menu.addEventListener("change", () => {
      const field = menu.value;
      menu.value = "";
      replaceSelection(field, field.length);
    });
    toolbar.append(menu);
    toolbar.hidden = false;
    // One stop for the Tab key; arrows go from tool to tool.
    const tools = [...toolbar.children];
    tools.forEach((tool, place) => { tool.tabIndex = place === 0 ? 0 : -1; });
    toolbar.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const able = tools.filter((tool) => !tool.hidden);
      const next = able[(able.indexOf(document.activeElement) + step + able.length) % able.length];
      event.preventDefault();
      tools.forEach((tool) => { tool.tabIndex = tool === next ? 0 : -1; });
      next.focus();
    });
  }

  content.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || format.value !== "markdown") return;
    const tool = TOOLS.find(([, , key]) => key && key === event.key.toLowerCase());
    if (!tool) return;
    event.preventDefault();
    tool[3]();
  });

  content.addEventListener("paste", (event) => {
    const pasted = event.clipboardData.getData("text/plain").trim();
    if (format.value !== "markdown" || !ADDRESS.test(pasted)) return;
    const text = selected();
    if (!text && !PICTURE.test(pasted)) return;
    event.preventDefault();
    if (PICTURE.test(pasted)) replaceSelection(`![${text}](${pasted}){width=540}`, 2, 2 + text.length);
    else replaceSelection(`[${text}](${pasted})`, text.length + pasted.length + 4);
  });

  // Lengths, and the line of an inbox ------------------------------------------------------------------------------

  function showLengths() {
    for (const control of form.querySelectorAll("[data-counted]")) {
      const label = form.querySelector(`label[for="${control.id}"]`);
      let count = label.querySelector(".counted");
      if (!count) {
        count = document.createElement("span");
        count.className = "counted";
        count.setAttribute("aria-hidden", "true");
        label.append(count);
      }
      const most = Number(control.dataset.counted);
      const length = [...control.value].length;
      count.textContent = `${length} of about ${most}`;
      count.classList.toggle("counted-over", length > most);
    }
    const title = form.elements.title.value;
    document.querySelector("[data-inbox-subject]").textContent = form.elements.subject.value || title || "No subject";
    document.querySelector("[data-inbox-preheader]").textContent = form.elements.preheader.value;
    document.querySelector("h1").textContent = title || "Untitled";
    document.title = `${title || "Untitled"} · Edit · Broadsheet`;
  }

  // Code: line numbers, and marks at lines with faults -------------------------------------------------------------

  function isCode() {
    return format.value === "html" || format.value === "mjml";
  }

  function showGutter() {
    let gutter = writing.querySelector(".gutter");
    writing.classList.toggle("writing-code", isCode());
    for (const tool of toolbar.querySelectorAll("[data-markdown]")) tool.hidden = format.value !== "markdown";
    if (!isCode()) return gutter?.remove();
    if (!gutter) {
      gutter = document.createElement("pre");
      gutter.className = "gutter";
      gutter.setAttribute("aria-hidden", "true");
      writing.prepend(gutter);
    }
    const lines = content.value.split("\n").length;
    gutter.replaceChildren();
    for (let line = 1; line <= lines; line += 1) {
      const number = document.createElement("span");
      if (faultyLines.has(line)) number.className = "gutter-fault";
      number.textContent = String(line);
      gutter.append(number, "\n");
    }
    gutter.scrollTop = content.scrollTop;
  }

  content.addEventListener("scroll", () => {
    const gutter = writing.querySelector(".gutter");
    if (gutter) gutter.scrollTop = content.scrollTop;
  });

  // Faults, and jumps to them --------------------------------------------------------------------------------------

  const NAMES = { text_content: "Plain text", layout: "Layout" };

  function showFaults(faults) {
    const section = form.querySelector("[data-faults]");
    const list = section.querySelector("ul");
    list.replaceChildren(
      ...faults.map((fault) => {
        const item = document.createElement("li");
        const place = document.createElement("a");
        place.href = `#${fault.field === "layout" ? "layout_id" : fault.field}`;
        place.dataset.jump = fault.field;
        if (fault.line) Object.assign(place.dataset, { line: fault.line, column: fault.column || 1 });
        const name = NAMES[fault.field] || fault.field[0].toUpperCase() + fault.field.slice(1);
        const version = fault.variant ? ` of version ${fault.variant}` : "";
        place.textContent = name + version + (fault.line ? `, line ${fault.line}` : "");
        item.append(place, `: ${fault.detail}`);
        return item;
      }),
    );
    section.hidden = faults.length === 0;
    faultyLines = new Set(faults.filter((one) => one.field === "content" && !one.variant).map((one) => one.line));
    showGutter();
  }

  function jump(name, line, column) {
    const control = form.elements[name === "layout" ? "layout_id" : name];
    if (!control) return;
    const folded = control.closest("details");
    if (folded) folded.open = true;
    control.focus();
    if (!line || control.tagName !== "TEXTAREA") return;
    const lines = control.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
    control.setSelectionRange(start + Math.max(0, column - 1), start + (lines[line - 1] || "").length);
    // Browsers bring the selection into view when the field gets the focus.
    control.blur();
    control.focus();
  }

  form.addEventListener("click", (event) => {
    const place = event.target.closest("[data-jump]");
    if (!place) return;
    event.preventDefault();
    jump(place.dataset.jump, Number(place.dataset.line), Number(place.dataset.column));
  });
  document.addEventListener("broadsheet:saved", (event) => showFaults(event.detail.faults));

  function readFaults() {
    return [...form.querySelectorAll("[data-faults] [data-jump=content][data-line]")].map((at) => Number(at.dataset.line));
  }

  // ----------------------------------------------------------------------------------------------------------------

  form.addEventListener("input", () => {
    showLengths();
    showGutter();
  });
  makeToolbar();
  faultyLines = new Set(readFaults());
  showLengths();
  showGutter();
  const asked = new URLSearchParams(location.search);
  if (asked.has("jump")) jump(asked.get("jump"), Number(asked.get("line")), Number(asked.get("column")));
})();
