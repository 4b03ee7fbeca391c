"""Plays the network between the broker and its clients: `python -m tests.powercut.proxy PORT BEHIND`.

SIGUSR1 resets every connection. SIGUSR2 drops all further data of the open connections, in both directions, so a
client that awaits an answer waits until its connection is reset. SIGSTOP makes the network mute: open connections
carry nothing, and new ones get no answer.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
import sys

_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Relays bytes from `port` to `behind`, on loopback."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._ends: set[asyncio.StreamWriter] = set()
        self._swallowing: set[asyncio.StreamWriter] = set()

    async def serve(self, port: int) -> None:
        """Relay connections at `port` until the process is killed."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._reset)
        loop.add_signal_handler(signal.SIGUSR2, lambda: self._swallowing.update(self._ends))
        server = await asyncio.start_server(self._meet, "127.0.0.1", port)
        await server.serve_forever()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, answer = await asyncio.open_connection("127.0.0.1", self._behind)
        except OSError:
            _abort(writer)
            return
        await asyncio.gather(self._relay(reader, answer), self._relay(there, writer))

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            while data := await reader.read(65536):
                if writer not in self._swallowing:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        finally:
            self._ends.discard(writer)
            self._swallowing.discard(writer)
            writer.close()

    def _reset(self) -> None:
        for writer in self._ends:
            _abort(writer)


def _abort(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


if __name__ == "__main__":
    asyncio.run(Proxy(int(sys.argv[2])).serve(int(sys.argv[1])))
