"""A small Hugging Face hub on 127.0.0.1: it lists a repository and hands out files, from any byte on.

`cut_after` makes it drop the connection once, after so many bytes of a file; `broken` makes it refuse everything.
"""

import hashlib
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from ostinato.interop.hub import REPOSITORY

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub(ThreadingHTTPServer):
    """Serves the files of a folder as the repository that models are pulled from."""

    repository = REPOSITORY
    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked: list[tuple[str, str, str | None]] = []
        self.cut_after: int | None = None
        self.broken = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no news."""


class Handler(BaseHTTPRequestHandler):
    server: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        self.server.asked.append((self.command, self.path, self.headers.get("Range")))
        found = re.fullmatch(rf"/{self.server.repository}/resolve/([^/]+)/(.+)", self.path)
        if self.server.broken:
            self.refuse("", status=503)
        elif found and found[1] in ("main", COMMIT):
            self.file(self.server.folder / found[2], body)
        elif found:
            self.refuse("RevisionNotFound")
        elif self.path.startswith(f"/api/models/{self.server.repository}"):
            self.listing()
        else:
            self.refuse("RepoNotFound")

    def refuse(self, code: str, status: int = 404) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def listing(self) -> None:
        paths = [p.relative_to(self.server.folder).as_posix() for p in self.server.folder.rglob("*") if p.is_file()]
        tree = [{"type": "file", "path": path, "size": 1, "oid": "0" * 40} for path in sorted(paths)]
        about = {"id": self.server.repository, "sha": COMMIT, "siblings": [{"rfilename": p} for p in paths], "tags": []}
        text = json.dumps(tree if "/tree/" in self.path else about).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        _ = self.wfile.write(text)

    def file(self, path: Path, body: bool) -> None:
        if not path.is_file():
            self.refuse("EntryNotFound")
            return
        content = path.read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if body:
            self.send(content[start:])

    def send(self, content: bytes) -> None:
        cut = self.server.cut_after
        if cut is not None and len(content) > cut:
            self.server.cut_after = None
            _ = self.wfile.write(content[:cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        _ = self.wfile.write(content)


@contextmanager
def serving(folder: Path) -> Iterator[FakeHub]:
    """A hub that serves a folder while the block runs."""
    hub = FakeHub(folder)
    thread = Thread(target=hub.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
