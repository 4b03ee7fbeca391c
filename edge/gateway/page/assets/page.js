// Keeps an open page current. The board sends events (EventSource). The script then fetches the same address again and
// replaces the parts marked data-swap. Without this script a reload shows the current state.
"use strict";
(() => {
  const ahead = Date.now() / 1000 - Number(document.body.dataset.now || 0); // seconds that this clock is ahead of the board's
  const minute = 60, hour = 3600, day = 86400;

  const span = (s) =>
    s < 2 * minute ? `${Math.round(s)} s`
    : s < 2 * hour ? `${Math.round(s / minute)} min`
    : s < 2 * day ? `${(s / hour).toFixed(1).replace(".0", "")} h`
    : `${Math.round(s / day)} days`;

  const tick = () => {
    const now = Date.now() / 1000 - ahead;
    for (const time of document.querySelectorAll("time[data-t]")) {
      const how = time.dataset.how;
      const text = span(Math.max(0, how === "in" ? time.dataset.t - now : now - time.dataset.t));
      const words = how === "ago" ? `${text} ago` : how === "in" ? `in ${text}` : text;
      if (time.textContent !== words) time.textContent = words;
    }
  };

  const say = (text) => {
    const place = document.getElementById("say");
    if (place && text && place.textContent !== text) place.textContent = text;
  };

  const live = (text) => {
    const place = document.getElementById("live");
    if (!place) return;
    place.textContent = text;
    place.hidden = !text;
  };

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
      if (part.dataset.say && part.dataset.say !== before.dataset.say) say(part.dataset.say);
      before.replaceWith(document.adoptNode(part));
      if (focus) focus.reduce((node, n) => node && node.children[n], part)?.focus({ preventScroll: true });
    }
  };

  const path = (root, node) => {
    const steps = [];
    for (; node !== root; node = node.parentElement) steps.unshift([...node.parentElement.children].indexOf(node));
    return steps;
  };

  const typing = () => {
    const at = document.activeElement;
    return at && document.getElementById("main").contains(at) && /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName);
  };

  let due = 0, lookedAt = 0, looking = false;

  // Fetches at most once a second, and waits at least twice as long as the last fetch took.
  let pause = 1000;
  const look = () => {
    if (due || document.hidden) return;
    due = setTimeout(async () => {
      due = 0;
      if (looking) return look();
      looking = true;
      lookedAt = Date.now();
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
        if (answer.redirected) return location.reload(); // the session has ended: the reload shows the login
        swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
        pause = Math.max(1000, 2 * (Date.now() - lookedAt));
        tick();
      } catch {
        live("not live");
      } finally {
        looking = false;
      }
    }, Math.max(50, lookedAt + pause - Date.now()));
  };

  // Does the same as the filter `honest` of the server: writes control characters as codes.
  const honest = (text) =>
    text.replace(/[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, (each) => {
      const code = each.charCodeAt(0).toString(16);
      return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
    }).slice(0, 120);

  // Draws progress from the event itself, without a fetch: such events come up to four times a second.
  const further = (job) => {
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
    for (const place of places("pn")) place.textContent = honest(note);
    return true;
  };

  let source = null;
  const connect = () => {
    if (source || document.hidden) return;
    let first = !lookedAt;
    source = new EventSource("/events");
    source.onopen = () => {
      live("");
      if (!first) look();
      first = false;
    };
    source.onerror = () => {
      live("not live");
      if (source && source.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(connect, 5000);
        look();
      }
    };
    source.addEventListener("job", (event) => {
      const { job } = JSON.parse(event.data);
      if (!job || !further(job)) look();
    });
    for (const about of ["power", "worker", "broker", "schedule", "reset", "dropped"]) source.addEventListener(about, look);
  };

  // A hidden page closes its connection: a browser allows six to one board, and each open tab would use one.
  const hide = () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (document.body.hasAttribute("data-live")) {
      if (lookedAt || !source) look();
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
