// Everything works without this. It follows the server's events, keeps drafts, counts characters,
// warns before a deadline and notes how an answer came.
"use strict";
(() => {
  let source = null, looking = 0, waiting = 0;
  const main = () => document.querySelector("main");
  const say = (text) => { const live = document.getElementById("live"); if (live) live.textContent = text; };

  // ---- the page follows the server
  let busy = false, again = false, sending = false, changed = -Infinity;
  async function look() {
    // While an answer is under way the page that comes with it is the one to show.
    if (busy || sending) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      // Whatever is wrong there: what somebody is writing or choosing here stays.
      if (!answer.ok && (answer.status === 429 || answer.status >= 500 || inUse())) { lookLater(); return; }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = fresh.querySelector("main");
      if (!next) return;
      if (sending) { again = true; return; }
      const isOther = next.dataset.key !== main().dataset.key;
      if (isOther && !isTyped()) {
        put(fresh);
      } else {
        // The same page, or one with what nobody else has: only its living parts, so that nobody
        // loses what they are writing.
        if (isOther) lookLater();
        main().dataset.version = next.dataset.version || "";
        for (const part of next.querySelectorAll("[data-part]")) {
          const old = main().querySelector(`[data-part="${part.dataset.part}"]`);
          if (old && old.outerHTML !== part.outerHTML && !old.contains(document.activeElement)) renew(old, part);
        }
        times();
      }
    } catch { /* no connection: the stream tries again by itself */ }
    finally { busy = false; if (again && !sending) { again = false; look(); } }
  }

  let later = 0;
  function lookLater() { clearTimeout(later); later = setTimeout(look, 4000 + 4000 * Math.random()); }
  const inUse = () => main().querySelector("textarea[data-draft], input[type=radio]:checked") !== null;
  // Whether something is typed that is kept nowhere else, as a draft is.
  const isTyped = () => [...main().querySelectorAll("textarea:not([data-draft]), input[type=text]")]
    .some((each) => each.value !== each.defaultValue);

  // Another page in the place of this one.
  function put(fresh) {
    for (const part of ["header.top", "main", "footer"]) {
      document.querySelector(part).replaceWith(document.adoptNode(fresh.querySelector(part)));
    }
    document.title = fresh.title;
    const h1 = main().querySelector("h1");
    changed = performance.now();
    if (h1) { h1.tabIndex = -1; h1.focus(); window.scrollTo(0, 0); }
    begin();
  }

  // The element itself stays: a screen reader follows a live region only as long as it does.
  function renew(old, part) {
    for (const name of old.getAttributeNames()) if (!part.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of part.attributes) old.setAttribute(name, value);
    old.replaceChildren(...part.childNodes);
  }

  // Said while there is no connection. The stream comes back by itself, and what waits is fetched.
  function lost(is) { const said = document.getElementById("lost"); if (said) said.hidden = !is; }

  function listen() {
    if (source) { source.close(); source = null; }
    clearInterval(looking); clearTimeout(waiting);
    const seconds = Number(main().dataset.refresh);
    if (seconds) looking = setInterval(() => { if (!document.hidden) look(); }, 1000 * seconds);
    const address = main().dataset.events;
    if (!address) { lost(false); return; }
    source = new EventSource(address);
    source.addEventListener("open", () => lost(false));
    source.addEventListener("error", () => {
      lost(true);
      // Some browsers, and all of them after an answer that is no stream, do not try again.
      if (source && source.readyState === EventSource.CLOSED) {
        clearTimeout(waiting);
        waiting = setTimeout(() => { look(); listen(); }, 4000 + 2000 * Math.random());
      }
    });
    source.addEventListener("ready", (event) => { if (event.data !== main().dataset.version) look(); });
    source.addEventListener("changed", look);
  }

  // ---- times as the reader's clock has them, and a warning before a deadline
  function times() {
    const now = new Date(), shown = document.documentElement.lang;
    // The page's language as the reader's country writes it: 07:12 in en-GB, 07:12 AM in en-US.
    const language = navigator.languages.find((each) => each.split("-")[0] === shown) || shown;
    for (const time of document.querySelectorAll("time[data-clock]")) {
      const at = new Date(time.dateTime), how = { hour: "2-digit", minute: "2-digit" };
      if (time.dataset.clock === "date" || at.toDateString() !== now.toDateString()) {
        Object.assign(how, { day: "numeric", month: "short" });
        if (at.getFullYear() !== now.getFullYear()) how.year = "numeric";
      }
      time.textContent = at.toLocaleString(language, how);
    }
  }
  let warned = "";
  function tick() {
    const bar = main().querySelector("[data-seconds-left]");
    if (!bar) return;
    if (!bar.dataset.ends) bar.dataset.ends = String(Date.now() + 1000 * Number(bar.dataset.secondsLeft));
    const left = (Number(bar.dataset.ends) - Date.now()) / 1000;
    if (left < 60) {
      bar.classList.add("soon");
      const mark = main().dataset.key + bar.dataset.until;
      if (warned !== mark) { warned = mark; say(bar.dataset.warning); }
    }
    if (left < 5) flush();
    if (left < -1 && left > -8) look();
  }

  // ---- opinions: counter and draft
  let timer = 0, last = null, flush = () => {};
  function opinion() {
    clearTimeout(timer); timer = 0; flush = () => {};
    const area = main().querySelector("textarea[data-draft]");
    if (!area) return;
    const form = area.form, counter = main().querySelector("[data-counter]");
    const state = main().querySelector("[data-draft-state]");
    // What is not yet with the server is kept in this tab, should it be reloaded without a
    // connection. The key is the person's own, should another one use the browser.
    const key = `unsent ${form.elements.csrf.value} ${form.elements.round.value}`;
    const keep = (text) => {
      try { if (text === null) sessionStorage.removeItem(key); else sessionStorage.setItem(key, text); }
      catch { /* full, or forbidden */ }
    };
    let before = null;
    try { before = sessionStorage.getItem(key); } catch { /* forbidden */ }
    form.arrived = () => keep(null);
    const count = () => {
      if (counter) counter.textContent = counter.dataset.counter.replace("{n}", String([...area.value.trim()].length));
    };
    const soon = (milliseconds) => { if (!timer) timer = setTimeout(save, milliseconds); };
    const save = async () => {
      clearTimeout(timer); timer = 0;
      if (area.value === last || !area.isConnected || form.dataset.sent) return;
      const text = area.value;
      const body = String(new URLSearchParams(new FormData(form)));
      let status = 0;
      try {
        // Browsers refuse to keep more than 64 KiB alive, and then send nothing.
        status = (await fetch(area.dataset.draft, { method: "POST", keepalive: body.length < 60000,
          credentials: "same-origin", body,
          headers: { "Content-Type": "application/x-www-form-urlencoded" } })).status;
      } catch { /* no connection */ }
      // Only one answer says that it is kept. A page of any kind does not.
      if (status === 204) {
        last = text; state.textContent = state.dataset.saved;
        if (area.value === text) keep(null);
      }
      else { state.textContent = state.dataset.unsaved; soon(5000); }
      if (status === 409) look();
    };
    last = area.value; flush = save;
    if (before !== null && before !== last) { area.value = before; soon(500); }
    // Every so often, not when a pause comes: somebody may write for minutes without one.
    area.addEventListener("input", () => { keep(area.value); count(); soon(1500); });
    area.addEventListener("blur", save);
    count();
  }

  // An answer goes before the page does: where it is refused for now or the line is dead, everything
  // stays where it is and goes again. Refused for good it stays too, and the reason is said.
  async function send(form) {
    const said = form.querySelector("[data-unsent]");
    while (form.isConnected) {
      if (form.told) form.told();
      sending = true;
      try {
        const answer = await fetch(form.action, { method: "POST", credentials: "same-origin",
          body: new URLSearchParams(new FormData(form)) });
        // A form to join may be refused for good: that page says why.
        const isSaid = form.dataset.send === "join" && answer.status !== 429 && answer.status < 500;
        if (answer.ok || answer.status === 422 || isSaid) {
          const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
          if (fresh.querySelector("main") && form.isConnected) {
            if (answer.ok && form.arrived) form.arrived();
            history.replaceState(null, "", answer.ok || !isSaid ? "/here" : location.pathname);
            put(fresh);
            return;
          }
        } else if (answer.status >= 400 && answer.status < 500 && ![408, 409, 429].includes(answer.status)) {
          const page = new DOMParser().parseFromString(await answer.text(), "text/html");
          if (said) { said.textContent = (page.querySelector("main p") ?? page.body).textContent.trim(); said.hidden = false; }
          delete form.dataset.sent;
          return;
        }
      } catch { /* no connection */ }
      finally { sending = false; if (again && !busy) { again = false; look(); } }
      if (said) { said.textContent = said.dataset.unsent; said.hidden = false; }
      await new Promise((go) => setTimeout(go, 3000 + 2000 * Math.random()));
    }
  }

  // ---- how an answer came
  function handling() {
    const form = main().querySelector("form[data-rating]");
    if (!form) return;
    let first = 0, changes = 0;
    form.addEventListener("change", () => { if (first) changes += 1; else first = performance.now(); });
    form.told = () => {
      for (const [name, value] of [["first_input_ago", first ? Math.round(performance.now() - first) : ""],
        ["n_changes", changes]]) {
        const field = form.elements[name] || document.createElement("input");
        field.type = "hidden"; field.name = name; field.value = String(value);
        form.append(field);
      }
    };
  }

  // ---- a form is sent once
  document.addEventListener("submit", (event) => {
    const form = event.target;
    // A press that was meant for the page before, which changed under the finger, is none.
    if (main().querySelector(".room") && performance.now() - changed < 700) { event.preventDefault(); return; }
    if (form.dataset.sent) { event.preventDefault(); return; }
    // More time needs no new page: what is written or chosen stays as it is.
    const more = event.submitter?.dataset.given ? event.submitter : null;
    if (more) {
      event.preventDefault();
      fetch(more.formAction, { method: "POST", credentials: "same-origin",
        body: new URLSearchParams(new FormData(form)) })
        .then((answer) => { if (answer.ok) say(more.dataset.given); look(); }, () => {});
      return;
    }
    form.dataset.sent = "yes";
    if ("send" in form.dataset && !("direct" in (event.submitter?.dataset ?? {}))) {
      event.preventDefault();
      if (event.submitter?.name) {  // which button was pressed is part of what is sent
        const pressed = document.createElement("input");
        pressed.type = "hidden"; pressed.name = event.submitter.name; pressed.value = event.submitter.value;
        form.append(pressed);
      }
      send(form);
      return;
    }
    setTimeout(() => { delete form.dataset.sent; }, 4000);
  });

  // The browser has forgotten somebody: so does this tab, which keeps what could not be sent.
  function forget() {
    if (!main().querySelector("[data-forget]")) return;
    try { sessionStorage.clear(); } catch { /* forbidden */ }
  }

  // ---- printing, which is also how a browser makes a PDF
  function printing() {
    for (const button of main().querySelectorAll("[data-print]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        for (const one of main().querySelectorAll("details")) one.open = true;
        window.print();
      });
    }
  }

  function begin() { listen(); times(); opinion(); handling(); forget(); printing(); }
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && source) look(); });
  setInterval(tick, 1000);
  // What an address says once ("?stale=1") is not to be said again when it is fetched again.
  if (main().querySelector("[data-once]")) history.replaceState(null, "", location.pathname);
  begin();
})();
