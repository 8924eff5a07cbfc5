"""A server of key sets on a real socket, which can be broken in every way that we know."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Answer = Callable[[socket.socket], None]


def reply(content: bytes, status: str = "200 OK", *headers: str) -> Answer:
    """A whole answer."""
    lines = (f"HTTP/1.1 {status}", f"content-length: {len(content)}", "connection: close", *headers, "", "")
    return lambda connection: connection.sendall("\r\n".join(lines).encode() + content)


def keys(*published: Any) -> Answer:
    """The public parts of keys as a JWKS."""
    return reply(json.dumps({"keys": [key.as_dict(private=False) for key in published]}).encode())


class KeyServer:
    """Answers each connection as `answer` says, and counts them."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Answer = reply(b"")
        self.is_over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}/jwks"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self.is_over.is_set():
            with suppress(OSError):
                connection, _ = self._socket.accept()
                with connection:
                    if connection.recv(65536):
                        self.asked += 1
                        self.answer(connection)

    def drip(self, start: bytes) -> Answer:
        """A start, and then a byte at a time: for five seconds, or until the test is over."""

        def answer(connection: socket.socket) -> None:
            connection.sendall(start)
            for _ in range(100):
                if self.is_over.wait(0.05):
                    return
                connection.sendall(b"a")

        return answer

    def stop(self) -> None:
        """Nobody listens there any more."""
        self.is_over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@contextmanager
def serving_keys() -> Iterator[KeyServer]:
    """A server that ends with the block."""
    server = KeyServer()
    try:
        yield server
    finally:
        server.stop()
