// The QR code of `edge token add --qr` contains the token behind the `#` of the address. Browsers do not send that part.
// This script fills the token in and removes it from the address. The person must press the button: otherwise a link
// from somebody else could log a person in under a foreign token.
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
