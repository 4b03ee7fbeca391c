// Keeps an open page current. The board sends events (EventSource). The script then fetches the same address again and
// replaces the parts marked data-swap. Without this script a reload shows the current state.
"use strict";
(() => {
  const ahead = Date.now() / 1000 - Number(document.body.dataset.now || 0); // seconds that this clock is ahead of the board's
  const minute = 60, hour = 3600, day = 86400;

  // A duration in words, as the server writes it.
  const span = (s) =>
    s < 2 * minute ? `${Math.round(s)} s`
    : s < 2 * hour ? `${Math.round(s / minute)} min`
    : s < 2 * day ? `${(s / hour).toFixed(1).replace(".0", "")} h`
    : `${Math.round(s / day)} days`;

  // Keeps the durations on the page current.
  const tick = () => {
    const now = Date.now() / 1000 - ahead;
    for (const time of document.querySelectorAll("time[data-t]")) {
      const how = time.dataset.how;
      const text = span(Math.max(0, how === "in" ? time.dataset.t - now : now - time.dataset.t));
      const words = how === "ago" ? `${text} ago` : how === "in" ? `in ${text}` : text;
      if (time.textContent !== words) time.textContent = words;
    }
  };

  // Tells screen readers of a change.
  const announce = (text) => {
    const place = document.getElementById("say");
    if (place && text && place.textContent !== text) place.textContent = text;
  };

  // Shows that the connection is lost; an empty text removes the notice.
  const showLive = (text) => {
    const place = document.getElementById("live");
    if (!place) return;
    place.textContent = text;
    place.hidden = !text;
  };

  // Replaces the parts that differ in the fresh page. Open details and the focus are kept.
  const swap = (fresh) => {
    const old = new Map([...document.querySelectorAll("[data-swap]")].map((part) => [part.id, part]));
    const next = [...fresh.querySelectorAll("[data-swap]")];
    if (next.some((part) => !old.has(part.id)) || old.size !== next.length) {
      const main = fresh.getElementById("main");
      if (!typing()) return document.getElementById("main").replaceWith(document.adoptNode(main));
    }
    for (const part of next) {
      const before = old.get(part.id);
      if (!before || before.innerHTML === part.innerHTML) continue;
      const focus = before.contains(document.activeElement) ? path(before, document.activeElement) : null;
      for (const open of before.querySelectorAll("details[open][id]")) {
        const same = part.querySelector(`#${open.id}`);
        if (same) same.open = true;
      }
      if (part.dataset.say && part.dataset.say !== before.dataset.say) announce(part.dataset.say);
      before.replaceWith(document.adoptNode(part));
      if (focus) focus.reduce((node, n) => node && node.children[n], part)?.focus({ preventScroll: true });
    }
  };

  // The place of a node below root, as a list of child numbers.
  const path = (root, node) => {
    const steps = [];
    for (; node !== root; node = node.parentElement) steps.unshift([...node.parentElement.children].indexOf(node));
    return steps;
  };

  // True while the person is in a form field: then the whole page is not replaced.
  const typing = () => {
    const at = document.activeElement;
    return at && document.getElementById("main").contains(at) && /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName);
  };

  let due = 0, refreshedAt = 0, refreshing = false;

  // Fetches at most once a second, and waits at least twice as long as the last fetch took.
  let pause = 1000;
  const refresh = () => {
    if (due || document.hidden) return;
    due = setTimeout(async () => {
      due = 0;
      if (refreshing) return refresh();
      refreshing = true;
      refreshedAt = Date.now();
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
        if (answer.redirected) return location.reload(); // the session has ended: the reload shows the login
        swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
        pause = Math.max(1000, 2 * (Date.now() - refreshedAt));
        tick();
      } catch {
        showLive("not live");
      } finally {
        refreshing = false;
      }
    }, Math.max(50, refreshedAt + pause - Date.now()));
  };

  // Writes control characters as codes, as `printable` on the server does, and cuts the text to 120 characters.
  const printable = (text) =>
    text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, (each) => {
      const code = each.charCodeAt(0).toString(16);
      return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
    }).slice(0, 120);

  // Draws progress from the event itself, without a fetch: such events come up to four times a second.
  const drawProgress = (job) => {
    const places = (name) => document.querySelectorAll(`[data-${name}="${CSS.escape(job.id)}"]`);
    const bars = places("p");
    if (!bars.length || job.state !== "running" || !job.progress || job.held) return false;
    const { done = 0, total = 0, note = "" } = job.progress;
    if (!total || !note !== !places("pn").length) return false;
    for (const bar of bars) {
      bar.max = total;
      bar.value = Math.min(done, total);
    }
    for (const place of places("pt")) place.textContent = `${Math.round((100 * Math.min(done, total)) / total)} %`;
    for (const place of places("pn")) place.textContent = printable(note);
    return true;
  };

  let source = null;
  const connect = () => {
    if (source || document.hidden) return;
    let first = !refreshedAt;
    source = new EventSource("/events");
    source.onopen = () => {
      showLive("");
      if (!first) refresh();
      first = false;
    };
    source.onerror = () => {
      showLive("not live");
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(connect, 5000);
        refresh();
      }
    };
    source.addEventListener("job", (event) => {
      const { job } = JSON.parse(event.data);
      if (!job || !drawProgress(job)) refresh();
    });
    for (const about of ["power", "worker", "broker", "schedule", "reset", "dropped"]) source.addEventListener(about, refresh);
  };

  // A hidden page closes its connection: a browser allows six to one board, and each open tab would use one.
  const hide = () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (document.body.hasAttribute("data-live")) {
      if (refreshedAt || !source) refresh();
      connect();
    }
  };

  tick();
  setInterval(tick, 1000);
  if (document.body.hasAttribute("data-live")) {
    connect();
    document.addEventListener("visibilitychange", hide);
    addEventListener("pagehide", () => { source?.close(); source = null; });
    addEventListener("pageshow", (event) => { if (event.persisted) hide(); });
  }
})();
