// Passkeys: asks for the options, runs the ceremony in the browser, and sends the form with what came of it.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  if (!window.PublicKeyCredential || !navigator.credentials) return;
  for (const note of document.querySelectorAll("[data-passkey-missing]")) note.hidden = true;

  function toBytes(text) {
    const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(plain, (char) => char.charCodeAt(0));
  }

  function toText(buffer) {
    const plain = String.fromCharCode(...new Uint8Array(buffer));
    return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  }

  function withBytes(descriptors) {
    return (descriptors || []).map((one) => ({ ...one, id: toBytes(one.id) }));
  }

  async function create(options) {
    const made = await navigator.credentials.create({
      publicKey: {
        ...options,
        challenge: toBytes(options.challenge),
        user: { ...options.user, id: toBytes(options.user.id) },
        excludeCredentials: withBytes(options.excludeCredentials),
      },
    });
    return sent(made, ["clientDataJSON", "attestationObject"]);
  }

  async function get(options) {
    const shown = await navigator.credentials.get({
      publicKey: {
        ...options,
        challenge: toBytes(options.challenge),
        allowCredentials: withBytes(options.allowCredentials),
      },
    });
    return sent(shown, ["clientDataJSON", "authenticatorData", "signature", "userHandle"]);
  }

  function sent(credential, members) {
    const response = {};
    for (const name of members) {
      if (credential.response[name]) response[name] = toText(credential.response[name]);
    }
    return { id: credential.id, rawId: toText(credential.rawId), type: credential.type, response };
  }

  async function run(form) {
    const token = form.elements.csrf_token;
    const answer = await fetch(form.dataset.passkeyOptions, {
      method: "POST",
      body: new URLSearchParams({ csrf_token: token ? token.value : "" }),
    });
    if (!answer.ok) throw new Error("refused");
    const options = await answer.json();
    const credential = await (form.dataset.passkey === "create" ? create(options) : get(options));
    form.elements.credential.value = JSON.stringify(credential);
    form.submit();
  }

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const note = form.querySelector("[data-passkey-note]");
    const button = form.querySelector("button");
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      note.textContent = "";
      button.disabled = true;
      try {
        await run(form);
      } catch (error) {
        note.textContent =
          error.name === "InvalidStateError"
            ? "This device has a passkey of yours already."
            : error.message === "refused"
              ? "That was refused. Load the page again."
              : "Nothing came of it. Try again.";
      } finally {
        button.disabled = false;
      }
    });
  }
});
