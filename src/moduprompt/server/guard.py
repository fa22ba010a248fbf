"""On 127.0.0.1 a web page could reach the daemon: `Host` and `Origin` must be this machine's.

After "DNS rebinding" (Jackson et al., 2007): the browser sends the page's names, so a
request whose names are not ours is refused before it is looked at. On the Unix socket
there are no names, and no browser.
"""

from typing import Final
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from moduprompt.protocol import Code, encode, refusal, to_error

OURS: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class LoopbackGuard:
    """Lets through what names this machine."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or _is_local(dict(scope["headers"]), is_tcp=_is_tcp(scope)):
            await self._app(scope, receive, send)
            return
        rejection = refusal(
            Code.UNAUTHORIZED,
            "the request names another host or comes from a web page",
            hint="use the address that daemon.json gives",
        )
        body = encode(to_error(rejection))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _is_tcp(scope: Scope) -> bool:
    """A Unix socket is named by its path, without a port."""
    server = scope.get("server")
    return bool(server) and server[1] is not None


def _is_local(headers: dict[bytes, bytes], *, is_tcp: bool) -> bool:
    if not is_tcp:
        return True
    host = urlsplit(f"//{headers.get(b'host', b'').decode('latin-1')}").hostname
    origin = headers.get(b"origin")
    if host not in OURS:
        return False
    return origin is None or urlsplit(origin.decode("latin-1")).hostname in OURS
