"""Who makes unloop's takes: a service in this process, or a server of the published application's kind elsewhere."""

import http.client
import json
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ..config import from_json
from ..errors import ServiceError
from . import published_api
from .desk import Desk
from .osc import TICK, WAITING, WORKING
from .unloop import Query

ENDPOINT = "vamp_1"
PATIENCE = 60.0
LARGEST = 200_000_000
Tell = Callable[[str], None]


class Near:
    """Makes takes with a desk's models; each voice, which is each file, has its turn. The loop goes round."""

    def __init__(self, desk: Desk, say: Callable[[str], object] = lambda line: None) -> None:
        self._desk, self._say = desk, say

    def __call__(self, loop: Path, query: Query, tell: Tell) -> tuple[Path, Path]:
        """Two takes of a loop, once it was their turn; their errors are the job's."""
        told = self._desk.workshop.stand_in(str(query.sent["model_choice"]))
        if told:
            _ = self._say(told)
        wanted = published_api.order(self._desk, loop, query.sent)
        wanted = replace(wanted, way=replace(wanted.way, loop=wanted.stretch == 1))
        ticket = self._desk.order(f"unloop {query.path}", wanted)
        while not wait([ticket.future], TICK).done:
            tell(WORKING if ticket.state.begun else WAITING)
        first, second = ticket.future.result()
        return first.path, second.path


class Far:
    """Asks a Gradio server for `/vamp_1`, as unloop's own client does.

    Args:
        url: where it is, `http://...` or `https://...`.
        say: called with what it warns of.

    Raises:
        ServiceError: that is no such address.
    """

    def __init__(self, url: str, say: Callable[[str], object] = lambda line: None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ServiceError(f"a server is written like http://127.0.0.1:7860, got '{url}'")
        self._url, self._say = url.rstrip("/"), say

    def __call__(self, loop: Path, query: Query, tell: Tell) -> tuple[Path, Path]:
        """Two takes of a loop, beside it.

        Raises:
            ServiceError: the server cannot be reached, says that something is wrong, or is of another kind.
        """
        try:
            return self._asked(loop, query, tell)
        except urllib.error.HTTPError as error:
            raise ServiceError(f"{self._url} answered {error.code}: {_reason(error)}") from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", None) or error
            raise ServiceError(f"cannot reach {self._url}: {why}; is the server running?") from None
        except (KeyError, IndexError, TypeError, ValueError, StopIteration):
            raise ServiceError(f"{self._url} does not answer as a server of {ENDPOINT} does") from None

    def _asked(self, loop: Path, query: Query, tell: Tell) -> tuple[Path, Path]:
        config = self._json("/config")
        prefix, number = config.get("api_prefix") or "", _number(config)
        sound = {"path": self._upload(prefix, loop), "orig_name": loop.name, "meta": {"_type": "gradio.FileData"}}
        sent = [sound, *list(query.sent.values())[1:]]
        session = secrets.token_hex(8)
        job = {"data": sent, "fn_index": number, "session_hash": session, "event_data": None, "trigger_id": None}
        _ = self._json(f"{prefix}/queue/join", job)
        made = self._result(f"{prefix}/queue/data?session_hash={session}", tell)
        targets = [loop.with_name(name) for name in published_api.TAKES]
        for file, target in zip(made[:2], targets, strict=True):
            _ = target.write_bytes(self._read(f"{prefix}/file={quote(file['path'])}"))
        return targets[0], targets[1]

    def _result(self, path: str, tell: Tell) -> list[Any]:
        """What a job gave, once it has; how far it is, meanwhile."""
        with self._open(path) as stream:
            for message in _events(stream):
                kind = message.get("msg")
                if kind == "estimation":
                    tell(WAITING)
                elif kind == "process_starts":
                    tell(WORKING)
                elif kind == "log":
                    _ = self._say(str(message.get("log")))
                elif kind == "process_completed":
                    if not message.get("success", True):
                        raise ServiceError(
                            str(message["output"].get("error") or "the server does not say what went wrong")
                        )
                    return message["output"]["data"]
                elif kind in ("close_stream", "unexpected_error", "server_stopped"):
                    raise ServiceError(f"{self._url} gave the job up: {message.get('message') or kind}")
        raise ServiceError(f"{self._url} went away before it was done")

    def _upload(self, prefix: str, sound: Path) -> str:
        mark = secrets.token_hex(16)
        head = f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{sound.name}"\r\n'
        body = f"{head}Content-Type: audio/x-wav\r\n\r\n".encode() + sound.read_bytes() + f"\r\n--{mark}--\r\n".encode()
        return self._json(f"{prefix}/upload", body, f"multipart/form-data; boundary={mark}")[0]

    def _json(self, path: str, body: Any = None, kind: str = "application/json") -> Any:
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        return from_json(self._read(path, sent, kind))

    def _read(self, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        with self._open(path, body, kind) as answer:
            found = answer.read(LARGEST + 1)
        if len(found) > LARGEST:
            raise ServiceError(f"{self._url} sent more than {LARGEST // 1_000_000} MB")
        return found

    def _open(self, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        headers = {"Content-Type": kind} if body is not None else {}
        return urllib.request.urlopen(urllib.request.Request(self._url + path, body, headers), timeout=PATIENCE)


def _number(config: dict[str, Any]) -> int:
    """The number of our endpoint among a server's."""
    return next(
        each.get("id", place) for place, each in enumerate(config["dependencies"]) if each["api_name"] == ENDPOINT
    )


def _events(stream: Any) -> Iterator[dict[str, Any]]:
    for line in stream:
        if line.startswith(b"data:"):
            yield from_json(line[5:])


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(from_json(error.read(4096))["error"])
    except (ValueError, KeyError, TypeError):
        return error.reason
