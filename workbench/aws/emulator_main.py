"""What runs in the process of :class:`workbench.aws.emulator.AwsEmulator`: MiniStack, on a socket that it is handed.

It ends when its standard input does: when whoever started it ends, however that comes about.
"""

import os
import sys
from threading import Thread
from typing import Any

import uvicorn
from ministack.app import app

KEEP_ALIVE_S = 3_600
"""A client's connection outlives the longest pause between two ticks."""

_KEPT_HEADERS = {b"content-type", b"content-length", b"x-amzn-requestid"}


def main() -> None:
    """Serve on the listening socket whose descriptor is the first argument; ``--whole`` keeps every header."""
    Thread(target=_end_with_standard_input, daemon=True).start()
    # A third of what the server that MiniStack brings needs for a request.
    uvicorn.run(
        app if "--whole" in sys.argv[2:] else _with_few_headers,
        fd=int(sys.argv[1]),
        http="httptools",
        log_level="critical",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )


async def _with_few_headers(scope: Any, receive: Any, send: Any) -> None:
    """MiniStack without the headers that only browsers read: clients spend a tenth of a request on them."""

    async def send_few(message: Any) -> None:
        if message["type"] == "http.response.start":
            kept = [header for header in message["headers"] if header[0].lower() in _KEPT_HEADERS]
            message = message | {"headers": kept}
        await send(message)

    await app(scope, receive, send_few)


def _end_with_standard_input() -> None:
    sys.stdin.buffer.read()
    os._exit(0)  # at once, whatever is under way: nothing that is here is kept


if __name__ == "__main__":
    main()
