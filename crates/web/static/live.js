// Keeps parts of a page up to date while it is open. A part says in data-live which events concern it; where one comes,
// the page is asked for again and that part is put in place of the old one. Without this script people reload by hand.
(() => {
  "use strict";
  const parts = [...document.querySelectorAll("[data-live][id]")];
  if (parts.length === 0 || !("EventSource" in window)) return;

  const kindsOf = (part) => part.dataset.live.split(" ");
  const allKinds = new Set(parts.flatMap(kindsOf));
  let concerned = new Set();
  let timer = null;
  let busy = false;

  // Whoever types into a part or holds its control is not interrupted.
  const inUse = (part) => {
    const active = document.activeElement;
    return active !== null && active !== document.body && part.contains(active)
      && active.matches("input, select, textarea");
  };

  const refresh = async () => {
    timer = null;
    if (busy) return later();
    const ids = concerned;
    concerned = new Set();
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok || answer.redirected) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const id of ids) {
        const old = document.getElementById(id);
        const replacement = fresh.getElementById(id);
        if (!old || !replacement) continue;
        if (inUse(old)) { concerned.add(id); continue; }
        if (old.innerHTML === replacement.innerHTML) continue;
        const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
        old.replaceWith(document.adoptNode(replacement));
        if (focused) document.getElementById(id).querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
      }
    } catch {
      // The server is away for a moment; the next event asks again.
    } finally {
      busy = false;
      if (concerned.size > 0) later();
    }
  };

  const later = () => { timer ??= setTimeout(refresh, 700); };

  const concerns = (kind) => {
    for (const part of parts) {
      if (kind === "missed" || kindsOf(part).includes(kind)) concerned.add(part.id);
    }
    later();
  };

  const source = new EventSource("/events");
  for (const kind of allKinds) source.addEventListener(kind, () => concerns(kind));
  source.addEventListener("missed", () => concerns("missed"));
  // What happened while the stream was away is not told again.
  let opened = false;
  source.addEventListener("open", () => { if (opened) concerns("missed"); opened = true; });
  addEventListener("pagehide", () => source.close());
})();
