"""A client like HARP's own: plain HTTP, event streams read line by line as each of its generations does."""

import contextlib
import json
import socket
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

JSON = dict[str, Any]


class Refused(Exception):
    """The server ended a call with an error; the text is what HARP would show."""


@dataclass
class Client:
    """HARP of one generation ("2.2", "3.0", "3.1" or "later") with one model loaded from a base URL."""

    base: str
    generation: str = "later"
    headers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        once = httpx.Limits(max_keepalive_connections=0)
        told = {"Accept": "*/*", **self.headers}
        self.http = httpx.Client(headers=told, timeout=60, follow_redirects=True, limits=once)

    def url(self, part: str) -> str:
        return f"{self.base.rstrip('/')}/gradio_api/{part}"

    def start(self, name: str, data: list[Any]) -> str:
        answer = self.http.post(self.url(f"call/{name}"), json={"data": data})
        assert answer.status_code == 200, answer.text
        return answer.json()["event_id"]

    def lines(self, name: str, event: str) -> Generator[str, None, None]:
        with self.http.stream("GET", self.url(f"call/{name}/{event}")) as stream:
            assert stream.status_code == 200
            yield from stream.iter_lines()

    def wait(self, name: str, event: str) -> Any:
        with contextlib.closing(self.lines(name, event)) as lines:
            return json.loads(self.read(lines))

    def call(self, name: str, data: list[Any]) -> Any:
        return self.wait(name, self.start(name, data))

    def read(self, lines: Iterator[str]) -> str:
        """What follows the line that ends a call, as this generation finds it."""
        for line in lines:
            if self.generation == "later":
                kind = line.removeprefix("event:").strip() if line.startswith("event:") else ""
                done, failed = kind == "complete", kind == "error"
            else:
                seen = line.lower() if self.generation == "3.1" else line
                done, failed = "complete" in seen, "error" in seen
            if done or failed:
                following = next(lines)
                assert following.startswith("data: ")
                text = following.partition("data: ")[2]
                if failed and not done:
                    raise Refused(text)
                return text
        raise AssertionError("the stream ended without a result")

    def upload(self, name: str, content: bytes) -> str:
        """A file sent as JUCE sends it: audio/midi whatever it is, its name raw UTF-8."""
        boundary = "3f1a5b7c9d2e4f60"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
            "Content-Type: audio/midi\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        ).encode()
        body = head + content + f"\r\n--{boundary}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        answer = self.http.post(self.url("upload"), content=body, headers=kind)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert isinstance(found, list)
        assert len(found) == 1
        return found[0]

    def controls(self) -> JSON:
        found = self.call("controls", [])
        assert isinstance(found, list)
        assert len(found) == 1
        return found[0]

    def values(self, **changes: Any) -> list[Any]:
        """The value of every control, with changes by label; sliders as floats. For the first one, the track, None."""
        told = self.controls()
        parts, key = (told["ctrls"], "ctrl_type") if self.generation == "2.2" else (told["inputs"], "type")
        sent: list[Any] = []
        for part in parts:
            if part[key] in ("audio_in", "audio_track"):
                sent.append(None)
                continue
            value = changes.pop(part["label"].replace(" ", "_"), part["value"])
            sent.append(float(value) if part[key] == "slider" else value)
        assert not changes, f"no control for {changes}"
        return sent

    def process(self, path: str | None, **changes: Any) -> tuple[bytes, JSON]:
        """A take's bytes and its labels."""
        take, labels = self.call("process", self.request(path, **changes))
        return self.fetch(take), labels

    def request(self, path: str | None, **changes: Any) -> list[Any]:
        sent = self.values(**changes)
        sent[0] = None if path is None else {"path": path, "meta": {"_type": "gradio.FileData"}}
        return sent

    def fetch(self, file: JSON) -> bytes:
        """What HARP downloads: by the URL alone, as it is written."""
        answer = httpx.get(file["url"], timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.content


def forwarded() -> tuple[socket.socket, str]:
    """A free local port for a forwarder to listen at, and its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"
