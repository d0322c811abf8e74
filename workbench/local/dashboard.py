"""The built dashboard, served beside the API of one machine: static files, under a policy of their own."""

import json
from mimetypes import guess_type
from pathlib import Path
from typing import NamedTuple

DIST = Path(__file__).parents[2] / "web" / "dist"
CONFIG_PATH = "/config.json"
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Sent with every file. Nothing inline runs, and the page asks its own origin alone."""
_NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>BotBalance</title>
<h1>The dashboard is not built</h1>
<p>Run <code>make web</code> once, then reload this page. It needs the npm registry; nothing else here does.</p>
<p>The API answers at <code>/api/</code>, and <a href="/docs">/docs</a> is a page to try it on.</p>
</html>
"""


IMMUTABLE = "public, max-age=31536000, immutable"
"""Of files whose name changes with their content."""
ASK_AGAIN = "no-cache"


class StaticFile(NamedTuple):
    """What answers a path that is not the API's."""

    content: bytes
    content_type: str
    cache_control: str = ASK_AGAIN


def dashboard_file(path: str, users: list[str]) -> StaticFile | None:
    """The file at ``path``, "/" being the page itself; None where there is none. ``users`` can be chosen there."""
    if path == CONFIG_PATH:
        return StaticFile(json.dumps({"mode": "local", "users": users}).encode(), "application/json")
    if path == "/" and not (DIST / "index.html").is_file():
        return StaticFile(_NOT_BUILT.encode(), "text/html")
    file = DIST / ("index.html" if path == "/" else path.removeprefix("/"))
    if not file.resolve().is_relative_to(DIST.resolve()) or not file.is_file():
        return None
    cache_control = IMMUTABLE if path.startswith("/assets/") else ASK_AGAIN
    return StaticFile(file.read_bytes(), guess_type(file.name)[0] or "application/octet-stream", cache_control)
