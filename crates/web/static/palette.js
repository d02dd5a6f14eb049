// The palette: search by keyboard from every page. Ctrl-K, Cmd-K or "/" opens it; without it the search form does the same.
(() => {
  "use strict";
  const form = document.querySelector("form.search");
  if (!form || typeof HTMLDialogElement === "undefined") return;
  const WAIT_MS = 120;

  const element = (name, attributes, text) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text) made.textContent = text;
    return made;
  };
  const dialog = element("dialog", { class: "palette", "aria-labelledby": "palette-label" });
  const label = element("label", { id: "palette-label", for: "palette-term" }, "Search");
  const input = element("input", {
    id: "palette-term", type: "search", autocomplete: "off", spellcheck: "false", "aria-describedby": "palette-hint",
  });
  const hint = element("p", { id: "palette-hint", class: "hint" }, "Arrow keys choose, Enter opens, Escape closes.");
  const said = element("p", { class: "unseen", role: "status" });
  const found = element("div", { class: "results" });
  dialog.append(label, input, hint, said, found);
  document.body.append(dialog);

  const links = () => Array.from(found.querySelectorAll("a"));
  let timer = 0;
  let asking = null;

  const ask = async () => {
    if (asking) asking.abort();
    const term = input.value.trim();
    if (!term) {
      found.replaceChildren();
      said.textContent = "";
      return;
    }
    asking = new AbortController();
    try {
      const address = "/search?fragment=1&q=" + encodeURIComponent(term);
      const answer = await fetch(address, { signal: asking.signal, credentials: "same-origin" });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      // Signed out in the meantime, or something failed: the page of the form says so properly.
      if (answer.redirected || !answer.ok || page.querySelector("main")) {
        found.replaceChildren(element("p", {}, "The search did not answer. Press Enter to search on a page of its own."));
        return;
      }
      found.replaceChildren(...page.body.childNodes);
      const count = links().length;
      said.textContent = count === 1 ? "1 result" : count + " results";
    } catch (error) {
      if (error.name !== "AbortError") said.textContent = "The search did not answer";
    }
  };

  const open = (term) => {
    if (dialog.open) return;
    input.value = term;
    found.replaceChildren();
    dialog.showModal();
    input.focus();
    input.select();
    if (term) ask();
  };

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT_MS);
  });
  dialog.addEventListener("keydown", (event) => {
    const all = links();
    const at = all.indexOf(document.activeElement);
    if (event.key === "ArrowDown" && all.length > 0) {
      event.preventDefault();
      all[Math.min(at + 1, all.length - 1)].focus();
    } else if (event.key === "ArrowUp" && at >= 0) {
      event.preventDefault();
      (at === 0 ? input : all[at - 1]).focus();
    } else if (event.key === "Enter" && document.activeElement === input) {
      event.preventDefault();
      location.assign("/search?q=" + encodeURIComponent(input.value));
    }
  });
  // A click beside the dialog closes it.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]");
    const chord = (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k";
    const slash = event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && !typing;
    if (chord || slash) {
      event.preventDefault();
      open(form.querySelector("input").value);
    }
  });
})();
