"""The HTTP stack of the daemon with nothing behind it: a route that reads the body and answers."""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ANSWER = b'{"accepted":true,"events":[' + b'"' + b"x" * 900 + b'"' + b"]}"  # as long as a real answer


async def submit(request: Request) -> Response:
    """No work."""
    await request.body()
    return Response(ANSWER, media_type="application/json")


def main() -> None:
    """Serve on the socket that is named."""
    app = Starlette(routes=[Route("/v1/commands/submit", submit, methods=["POST"])])
    uvicorn.run(app, uds=sys.argv[1], loop="uvloop", http="httptools", log_config=None, access_log=False)


if __name__ == "__main__":
    main()
