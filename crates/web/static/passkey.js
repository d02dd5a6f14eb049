// Passkeys: asks the server for a challenge and the browser for a device's answer, and sends that with the form.
(() => {
  "use strict";
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  /** Why this browser cannot do it here; empty where it can. */
  const obstacle = (form) => {
    if (location.origin !== form.dataset.origin) {
      return "Passkeys work at " + form.dataset.origin + " only: open this page there.";
    }
    if (!window.isSecureContext || !window.PublicKeyCredential) return "This browser cannot use passkeys.";
    return "";
  };

  /** What the server asks, in the form that the browser wants. */
  const prepared = ({ publicKey }) => {
    publicKey.challenge = bytes(publicKey.challenge);
    if (publicKey.user) publicKey.user.id = bytes(publicKey.user.id);
    for (const list of [publicKey.excludeCredentials, publicKey.allowCredentials]) {
      for (const known of list || []) known.id = bytes(known.id);
    }
    return { publicKey };
  };

  /** What the device answered, in the form that the server wants. */
  const answered = ({ id, rawId, type, response }) => {
    const said = { clientDataJSON: text(response.clientDataJSON) };
    if (response.attestationObject) {
      said.attestationObject = text(response.attestationObject);
    } else {
      said.authenticatorData = text(response.authenticatorData);
      said.signature = text(response.signature);
      said.userHandle = response.userHandle ? text(response.userHandle) : null;
    }
    return JSON.stringify({ id, rawId: text(rawId), type, response: said });
  };

  const words = (error) => {
    if (error.name === "NotAllowedError") return "Nothing was done: no passkey was used, or the time ran out.";
    if (error.name === "InvalidStateError") return "This device has a passkey of yours for this server already.";
    return "This did not work: reload the page and try again.";
  };

  const ask = async (form) => {
    const headers = { "x-csrf-token": form.elements.csrf.value };
    const answer = await fetch(form.getAttribute("action") + "/challenge", {
      method: "POST", headers, credentials: "same-origin",
    });
    // The server first wants to know again that it is you, or the sign-in took too long.
    if (answer.redirected) {
      location.assign(answer.url);
      return false;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const options = prepared(await answer.json());
    const credential =
      form.dataset.passkey === "create" ? await navigator.credentials.create(options) : await navigator.credentials.get(options);
    form.elements.answer.value = answered(credential);
    return true;
  };

  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const said = form.querySelector("[data-said]");
    const button = form.querySelector("button");
    said.textContent = obstacle(form);
    if (said.textContent) continue;
    button.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      said.textContent = "Waiting for your device.";
      try {
        if (await ask(form)) form.submit();
      } catch (error) {
        said.textContent = words(error);
        button.disabled = false;
      }
    });
  }
})();
