"""A tiny OpenAI-compatible server on loopback that answers what a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Request = dict[str, Any]
#: A status and a body: JSON, or bytes that are sent as they are.
Answering = Callable[[Request], tuple[int, Any]]


class FakeServer:
    """`url` is its address, `requests` what it was asked. `answering` may block."""

    def __init__(self, answering: Answering) -> None:
        self.requests: list[Request] = []
        self._answering = answering
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._of_connection())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def _of_connection(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Connection(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                fake.requests.append({"path": self.path, **request})
                status, answer = fake._answering(request)
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Connection

    def run(self) -> None:
        self._server.serve_forever(poll_interval=0.01)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def model_server(answering: Answering) -> Iterator[FakeServer]:
    server = FakeServer(answering)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join()


def says(text: str, reason: str = "stop", **more: Any) -> Answering:
    """Always the same answer."""
    return lambda request: (200, completion(text, reason, **more))


def completion(text: str | None, reason: str = "stop", usage: Any = None, **message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": reason}
    return {"object": "chat.completion", "choices": [choice], **({"usage": usage} if usage else {})}
