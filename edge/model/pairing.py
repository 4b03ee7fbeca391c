"""Makes and reads the short code that proves to a person that a laptop talks to the board directly.

The code detects an attacker who stands between laptop and board. It has three parts, eight characters together:

- The *binding*: each end computes it from its own data. The laptop uses the certificate that it received, the board
  uses the certificate that it has. An attacker must show the laptop another certificate. Then the two bindings differ,
  and the board has no request with the code on the laptop's screen.
- The *echo*: two characters that only the laptop knows at first. The board learns them when the owner types the code
  there, and sends them back. So an attacker cannot pretend to the laptop that the owner has agreed.
- A check character, which finds typing errors.

The binding is short, so an attacker must not be able to try many of them. First the board sends the hash of its random
number and is committed to the number by it. Then the laptop sends its random number, and then the board sends its own.
The attacker must choose his numbers before he can compute a binding. He has one chance in 2**25 for each request, and
the board accepts few requests.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.core.errors import UsageError

#: Crockford's base 32, without letters that look like a digit.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_BINDING, _ECHO = 5, 2
_LENGTH = _BINDING + _ECHO + 1
_BITS = 5
_CODE = re.compile(f"[{_ALPHABET}]{{{_LENGTH}}}")

TokenName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Nonce = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]


class Code(msgspec.Struct, frozen=True):
    """The two secret parts of a code. `str` returns the whole code for people."""

    binding: str
    echo: str

    def __str__(self) -> str:
        text = self.binding + self.echo
        text += _check_character(text)
        return f"{text[: _LENGTH // 2]}-{text[_LENGTH // 2 :]}"


class ButtonHeld(msgspec.Struct, frozen=True):
    """The governor's report that the button was held to approve a pairing request."""

    boot_id: str
    at: float  # seconds of the monotonic clock


def new_nonce() -> str:
    """Return a random number for one request."""
    return secrets.token_hex(16)


def new_echo() -> str:
    """Return the part of a code that only the laptop knows at first."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ECHO))


def commitment(nonce: str) -> str:
    """Return the hash that commits the board to `nonce` before it sends the nonce itself."""
    return sha256(f"edge pairing commitment 1\n{nonce}".encode()).hexdigest()


def binding_of(*, certificate: str, token_sha256: str, name: str, board_nonce: str, own_nonce: str) -> str:
    """Return the binding of one request.

    Args:
        certificate: SHA-256 of the board's certificate in DER, in hex; empty over plain HTTP.
        token_sha256: hash of the token that the board is asked to accept.
        name: the name that the laptop gives itself.
        board_nonce: the random number to which the board is committed.
        own_nonce: the random number of the laptop.
    """
    fields = ("edge pairing code 1", certificate, token_sha256, name, board_nonce, own_nonce)
    number = int.from_bytes(sha256("\n".join(fields).encode()).digest()[:4])
    return "".join(_ALPHABET[number >> _BITS * place & 31] for place in range(_BINDING))


def typed(text: str) -> Code:
    """Return the code that a person typed. Small letters, spaces, O for 0, and I or L for 1 are accepted.

    Raises:
        UsageError: the text is not a code, or has a typing error.
    """
    code = text.strip().upper().translate(_READ_AS)
    if _CODE.fullmatch(code) is None:
        raise UsageError(f"code {text[:40]!r}: expected {_LENGTH} letters and digits, as in 7KQ4-M2XD")
    if _check_character(code[:-1]) != code[-1]:
        raise UsageError(f"code {text[:40]!r} has a typing error: its last character does not fit the others")
    return Code(code[:_BINDING], code[_BINDING:-1])


def _check_character(text: str) -> str:
    """Return the check character: a sum with odd weights, which every single wrong character changes."""
    return _ALPHABET[sum((2 * place + 1) * _ALPHABET.index(one) for place, one in enumerate(text)) % len(_ALPHABET)]
