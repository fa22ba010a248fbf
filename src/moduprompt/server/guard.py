"""On 127.0.0.1 a web page could reach the daemon: `Host` and `Origin` must be this machine's.

After "DNS rebinding" (Jackson et al., 2007): the browser sends the page's names, so a
request whose names are not ours is refused before it is looked at. A page that another
program on this machine serves has another port, and is refused as well. On the Unix
sockets there are no names, and no browser.
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
        if scope["type"] in ("http", "websocket") and _is_local(scope["headers"]):
            await self._app(scope, receive, send)
            return
        rejection = refusal(
            Code.UNAUTHORIZED,
            "the request names another host or comes from a web page",
            hint="use the address that daemon.json gives",
        )
        body = encode(to_error(rejection))
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        kind = "websocket.http" if scope["type"] == "websocket" else "http"
        await send({"type": f"{kind}.response.start", "status": 401, "headers": headers})
        await send({"type": f"{kind}.response.body", "body": body})


def _is_local(headers: list[tuple[bytes, bytes]]) -> bool:
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    origins = [value.decode("latin-1") for name, value in headers if name == b"origin"]
    if len(hosts) != 1 or _hostname(hosts[0]) not in OURS:
        return False
    return all(origin == f"http://{hosts[0]}" for origin in origins)


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:  # brackets that don't close
        return None
