// Goes on by itself once the code is confirmed or refused: one long request at a time. Without it a link does the same.
"use strict";
(async () => {
  const place = document.querySelector("[data-pairing]");
  while (place) {
    const began = Date.now();
    try {
      const answer = await fetch(`/v1/pair/${place.dataset.pairing}?wait_s=280`, { cache: "no-store" });
      if (!answer.ok || (await answer.json()).state !== "waiting") return location.replace("/pair");
    } catch {
      // The board restarts, or the network is away: the request is asked for again.
    }
    await new Promise((done) => setTimeout(done, Math.max(0, 2000 - (Date.now() - began))));
  }
})();
