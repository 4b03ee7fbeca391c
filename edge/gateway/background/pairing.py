"""Pairs clients that show a code: holds their requests, waits for an approval and writes the files.

While no request is open, nothing is watched and no timer runs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from edge.access import pairing as requests
from edge.access.pairing import Outcome, Pairing, PairingBook
from edge.access.tokens import Scope, Token, Tokens
from edge.core import durable
from edge.core.errors import EdgeError, StorageError, WrongState
from edge.core.layout import Layout
from edge.core.watch import Watch
from edge.model.pairing import Code, new_echo, new_nonce

log = logging.getLogger(__name__)


class Pairings:
    """Holds the pairing requests, and the HTTP requests that wait for their outcome. Belongs to the event loop.

    The commands on the board (`edge token`) read the pairing requests from a file. To approve one they write its token
    to the token file, then an approval file next to the file of requests. The gateway sees that file and wakes the
    waiting HTTP request.
    """

    def __init__(self, layout: Layout, certificate: str, *, button_scopes: Sequence[Scope] = ()) -> None:
        """Start without requests, and remove the files of an earlier gateway.

        Args:
            layout: where the files are.
            certificate: SHA-256 of the certificate that clients see; empty if the gateway has no certificate.
            button_scopes: scopes of a token that the button approves; empty if the button cannot approve.
        """
        self._layout, self._button_scopes = layout, tuple(button_scopes)
        self._approving: set[asyncio.Task[None]] = set()
        self._admitting: set[str] = set()  # requests whose token is being written; they can no longer be denied
        self._book = PairingBook(certificate)
        self._tokens = Tokens(layout.tokens, paired=layout.paired)
        self._waiters: set[asyncio.Future[None]] = set()
        self._watch: Watch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        with suppress(OSError):
            for path in layout.pairing.parent.iterdir():
                path.unlink(missing_ok=True)

    # ---- for clients that want to pair ----

    def ask(self, name: str, *, sha256: str, address: str) -> Pairing:
        """Make a request. It has no code before `reveal`. Raises TooManyPairings."""
        return self._book.ask(name, sha256=sha256, address=address, now=time.monotonic())

    def reveal(self, request_id: str, own_nonce: str, *, here: bool = False) -> Pairing:
        """Return the request with its binding, the first part of its code. From now on it can be approved.

        Args:
            request_id: the id of the request.
            own_nonce: the random number of the client.
            here: the request came through a page of this gateway.

        Raises:
            UnknownPairing: there is no such request.
            WrongState: the client sent another number before.
            StorageError: the gateway cannot watch for approvals.
        """
        now = time.monotonic()
        self._book.find(request_id, now=now)
        self._start()
        try:
            return self._book.reveal(request_id, own_nonce, now=now, here=here)
        finally:
            self._changed()

    def ask_here(self, name: str, *, sha256: str, address: str) -> tuple[Pairing, Code]:
        """Make a request that comes through a page of this gateway; return it with its code.

        Raises TooManyPairings, StorageError.
        """
        made = self.reveal(self.ask(name, sha256=sha256, address=address).id, new_nonce(), here=True)
        return made, Code(made.binding, new_echo())

    async def wait(self, request_id: str, wait_s: float) -> Pairing:
        """Return the request once it is decided, or after `wait_s`.

        Raises UnknownPairing if there is no such request, or if it expires during the wait.
        """
        ends_at = time.monotonic() + wait_s
        while True:
            now = time.monotonic()
            found = self._book.find(request_id, now=now)
            if found.outcome is not Outcome.WAITING or now >= ends_at or self._closed:
                return found
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await asyncio.wait([waiter], timeout=min(ends_at, found.until) - now)
            finally:
                self._waiters.discard(waiter)

    def withdraw(self, request_id: str) -> None:
        """Remove a request that its client has withdrawn. Raises WrongState if its token is being written."""
        self._check_free(request_id)
        self._book.withdraw(request_id)
        self._changed()

    # ---- for admins, who decide ----

    def open(self) -> list[Pairing]:
        """Return the requests that can be approved, oldest first."""
        return self._book.open(time.monotonic())

    async def approve(self, code: Code, scopes: Sequence[Scope], *, name: str = "", replace: bool = False) -> Token:
        """Approve the request with this code. Its token is durable on return.

        Raises UnknownPairing, WrongState, UsageError (TokenExists), BadTokenFile, StorageError.
        """
        found = self._book.by_code(code, now=time.monotonic())
        self._check_free(found.id)
        token = await self._admit(found, scopes, name=name, replace=replace)
        self._approved(found, token, code.echo)
        self._changed()
        return token

    def deny(self, code: Code) -> None:
        """Deny the request with this code. Raises UnknownPairing, or WrongState if its token is being written."""
        self._look()  # a command on the board may have approved it a moment ago
        found = self._book.by_code(code, now=time.monotonic())
        self._check_free(found.id)
        self._book.settle(found.id, Outcome.DENIED)
        self._changed()

    # ---- inside ----

    def close(self) -> None:
        """Wake all that wait, because the gateway stops."""
        self._closed = True
        self._stop()
        self._publish([])
        self._wake()

    def _start(self) -> None:
        """Watch for approvals by commands on the board. Raises StorageError."""
        if self._watch is not None or self._closed:
            return
        folder = self._layout.pairing.parent
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._watch = Watch(folder)
        except OSError as err:
            raise StorageError(f"cannot watch {folder}", err) from err
        if self._button_scopes:
            try:
                self._watch.add(self._layout.button_held.parent)
            except OSError as err:
                log.error("%s: %s; the button cannot approve requests", self._layout.button_held, err.strerror or err)
        asyncio.get_running_loop().add_reader(self._watch, self._look)

    def _stop(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            asyncio.get_running_loop().remove_reader(watch)
            watch.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._watch is None:
            return
        if self._watch.read().may_touch(self._layout.button_held.name):
            self._button()
        folder, found = self._layout.pairing.parent, False
        for each in self.open():
            path = folder / f"{each.id}{requests.APPROVED}"
            approval = requests.taken_approval(path) if path.exists() else None
            if approval is not None:
                self._approved(each, approval.token, approval.echo)
                found = True
        if found:
            self._changed()

    def _button(self) -> None:
        """Approve the one request that was open when the button was held. With several open requests, approve none."""
        at = requests.held_at(self._layout.button_held)
        still = [] if at is None else [each for each in self.open() if each.revealed_at < at]
        if len(still) > 1:
            log.warning(
                "the button was held, but %d requests are open: `edge token approve CODE` chooses one", len(still)
            )
        if len(still) == 1 and self._button_scopes:
            task = asyncio.get_running_loop().create_task(self._approve_by_button(still[0]))
            self._approving.add(task)
            task.add_done_callback(self._approving.discard)

    async def _approve_by_button(self, found: Pairing) -> None:
        try:
            token = await self._admit(found, self._button_scopes)
        except EdgeError as err:
            log.error("the button was held for %s: %s", found.address, err)
            return
        self._approved(found, token, "")
        self._changed()

    async def _admit(self, found: Pairing, scopes: Sequence[Scope], *, name: str = "", replace: bool = False) -> Token:
        self._admitting.add(found.id)
        try:
            return await asyncio.to_thread(
                self._tokens.admit, name or found.name, scopes, sha256=found.sha256, replace=replace, by_gateway=True
            )
        finally:
            self._admitting.discard(found.id)

    def _check_free(self, request_id: str) -> None:
        """Raise WrongState if the token of this request is being written.

        Otherwise the client could get the answer "denied" although its token is valid a moment later.
        """
        if request_id in self._admitting:
            raise WrongState(f"pairing request {request_id!r} is being approved at this moment")

    def _approved(self, found: Pairing, token: Token, echo: str) -> None:
        """Note and log that a request was approved. The token is durable."""
        log.info("paired: token %r for %s may %s", token.name, found.address, ", ".join(token.scopes))
        self._book.settle(found.id, Outcome.APPROVED, token=token, echo=echo)

    def _changed(self) -> None:
        """Write the file of open requests, wake all that wait, and set the timer for the first request to expire."""
        if self._closed:
            return
        still = self.open()
        self._publish(still)
        self._wake()
        if not still:
            self._stop()
            return
        if self._timer is not None:
            self._timer.cancel()
        left_s = min(each.until for each in still) - time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(max(0.0, left_s), self._changed)

    def _publish(self, still: Sequence[Pairing]) -> None:
        path = self._layout.pairing
        try:
            if still:
                durable.replace_volatile(path, requests.encode(still))
            else:
                path.unlink(missing_ok=True)
        except OSError as err:
            log.error("%s: %s; `edge token approve` cannot see the open requests", path, err.strerror or err)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
