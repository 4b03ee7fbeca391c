// A code for a phone (`edge token add --qr`) brings the token behind the `#`, which no browser sends. It is filled in
// and removed from the address. A person has to press the button: somebody else's link must not log anybody in.
"use strict";
(() => {
  const token = location.hash.slice(1);
  if (!/^edge_[\w-]{20,100}$/.test(token)) return;
  history.replaceState(null, "", location.pathname + location.search);
  const field = document.getElementById("token");
  field.value = token;
  document.getElementById("token-h").textContent = "The token of the code is filled in.";
  field.form.querySelector("button").focus();
})();
