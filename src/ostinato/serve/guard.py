"""What stands before all doors: who may ask, from where, how much, and for which files; and streams that stay awake."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .store import Store

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
STREAMS = "/gradio_api/call/"
FILES = ("/gradio_api/file=", "/file=", "/gradio_api/file/", "/file/")
CLOSED = ("/gradio_api/proxy=", "/proxy=", "/gradio_api/component_server", "/monitoring")
PAD_SECONDS = 10.0
PAD = b": " + b" " * 2048 + b"\n\n"


class Guard:
    """An ASGI application around another one.

    It refuses pages of other sites, hosts by names that are not this machine's (where only this machine may ask),
    files that are not the server's own, links to fetch, and uploads that are too big. Answers grant nothing to other
    sites. Streams of HARP's are padded with comments, so that its clients do not take them for dead.

    Args:
        app: what is guarded.
        store: where files lie that may be served.
        largest: bytes of an upload.
        local: whether only this machine may ask.
        pad_seconds: time between comments.
        left: told the event whose result a client no longer waits for.
        over: told the event whose stream has ended, by whatever.
        prefix: a path that may stand before all others, and is taken away.
    """

    def __init__(
        self,
        app: App,
        store: Store,
        *,
        largest: int,
        local: bool,
        pad_seconds: float = PAD_SECONDS,
        left: Callable[[str], object] = len,
        over: Callable[[str], object] = len,
        prefix: str = "",
    ) -> None:
        self._app, self._store, self._largest, self._local, self._prefix = app, store, largest, local, prefix
        self._pad_seconds, self._left, self._over = pad_seconds, left, over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        path = scope["path"]
        if self._prefix and f"{path}/".startswith(f"{self._prefix}/"):
            scope = {**scope, "path": path.removeprefix(self._prefix) or "/"}
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            return await _answer(send, *refusal)
        if scope["method"] == "GET" and scope["path"].startswith(STREAMS):
            return await self._padded(scope, receive, _closed_to_others(send))
        return await self._app(scope, receive, _closed_to_others(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """A status and a reason, or None."""
        host, path = headers.get("host", ""), unquote(scope["path"])
        if self._local and _name(f"//{host}") not in LOCAL:
            return 403, f"this server answers to localhost and 127.0.0.1 only, not to '{host[:80]}'; see --host"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc not in (host, headers.get("x-forwarded-host", host)):
            return 403, "pages of other sites may not use this server"
        if path.startswith(CLOSED):
            return 404, "there is nothing here"
        for prefix in FILES:
            if path.startswith(prefix) and not self._own(path.removeprefix(prefix)):
                return 403, "that file is not served here"
        if headers.get("content-length", "0").isdigit() and int(headers.get("content-length", "0")) > self._largest:
            return 413, f"that is too big; uploads may have {self._largest // 1_000_000} MB here"
        return None

    def _own(self, path: str) -> bool:
        """Whether a path is written as that of a file of ours, without links and detours."""
        try:
            return Path(path).is_absolute() and ".." not in Path(path).parts and self._store.holds(path)
        except ValueError:
            return False

    async def _padded(self, scope: Scope, receive: Receive, send: Send) -> None:
        turn, begun, over = asyncio.Lock(), asyncio.Event(), False
        event = scope["path"].rsplit("/", 1)[1]

        async def passing(message: Message) -> None:
            nonlocal over
            async with turn:
                await send(message)
                stream = dict(message.get("headers", ())).get(b"content-type", b"").startswith(b"text/event-stream")
                if stream:
                    begun.set()
                over = over or (message["type"] == "http.response.body" and not message.get("more_body", False))

        async def pad() -> None:
            _ = await begun.wait()
            while True:
                async with turn:
                    if over:
                        return
                    await send({"type": "http.response.body", "body": PAD, "more_body": True})
                await asyncio.sleep(self._pad_seconds)

        async def hearing() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not over:
                _ = self._left(event)
            return message

        padding = asyncio.create_task(pad())
        try:
            await self._app(scope, hearing, passing)
        finally:
            _ = padding.cancel()
            _ = self._over(event)


def _closed_to_others(send: Send) -> Send:
    """`send` without headers that would let pages of other sites read the answer."""

    async def passing(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [each for each in message["headers"] if not each[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": [*kept, (b"x-content-type-options", b"nosniff")]}
        await send(message)

    return passing


def _name(url: str) -> str:
    """The host of a URL, without its port."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


async def _answer(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"error": reason}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
