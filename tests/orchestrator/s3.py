"""An S3 server of this process on the loopback interface, which can be told to misbehave."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

KEY, SECRET = "AKIAEXAMPLE", "a-secret-that-nobody-prints"
Fault = Callable[[str, str], tuple[int, str] | None]  # (method, path) -> HTTP status and S3's code, None: as usual


class S3:
    """The server; `fault` decides on the fate of each request, `asked` counts them."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.fault: Fault = lambda method, path: None
        self.asked: list[tuple[str, str]] = []
        self._one = threading.Lock()
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None

    @property
    def url(self) -> str:
        """What AWS_ENDPOINT_URL is set to."""
        return f"http://127.0.0.1:{self.port}"

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer one request (WSGI)."""
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.asked.append((method, path))
        found = self.fault(method, path)
        if found is None:
            with self._one:  # as with S3 itself, of two conditional requests one comes first
                return self._app(environ, start_response)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, code = found
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} of the test</Message></Error>"
        start_response(f"{status} {code}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [b"" if method == "HEAD" else body.encode()]

    def start(self) -> None:
        """Answer from now on, with the objects of before."""
        self._server = make_server("127.0.0.1", self.port, self, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    @contextmanager
    def failing(self, fault: Fault) -> Iterator[None]:
        """Misbehave for a while."""
        self.fault, before = fault, self.fault
        try:
            yield
        finally:
            self.fault = before


def environment(server: S3) -> dict[str, str]:
    """What a process needs to reach the server; it tries a failed request once."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }
