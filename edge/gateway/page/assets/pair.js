// Goes on when the code is confirmed or refused. It waits in one long request at a time. Without this script the link on
// the page does the same.
"use strict";
(async () => {
  const place = document.querySelector("[data-pairing]");
  while (place) {
    const began = Date.now();
    try {
      const answer = await fetch(`/v1/pair/${place.dataset.pairing}?wait_s=280`, { cache: "no-store" });
      if (!answer.ok || (await answer.json()).state !== "waiting") return location.replace("/pair");
    } catch {
      // The board restarts, or the network is down: try again.
    }
    await new Promise((done) => setTimeout(done, Math.max(0, 2000 - (Date.now() - began))));
  }
})();
