"""The deployed dashboard, as a browser meets it: pages, a sign-in by code, and the API behind the same name."""

import hashlib
import re
from base64 import urlsafe_b64encode
from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from tests.deployed.emulated_account import EmulatedAccount

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


def write_dashboard(checkout: Path) -> None:
    """The built dashboard where there is one, and otherwise a page in its place: what is tried is how it is served."""
    dist = checkout / "infra/web_files/dist"
    if not (dist / "index.html").is_file():
        (dist / "assets").mkdir(parents=True)
        (dist / "index.html").write_text("<!doctype html><title>BotBalance</title>")
        (dist / "assets/index-abc.js").write_text("export {};")


class WebApp:
    """A stack's distribution, asked on loopback by its own host name."""

    def __init__(self, account: EmulatedAccount, stack: str) -> None:
        outputs = account.outputs(stack)
        self.url = outputs["WebUrl"]
        self._account = account
        self._client = outputs["UserPoolClientId"]
        self._host = urlsplit(self.url).hostname or ""

    def get(self, path: str, token: str | None = None) -> requests.Response:
        """What the distribution answers."""
        headers = {"Host": self._host} | ({} if token is None else {"Authorization": f"Bearer {token}"})
        return requests.get(self._account.url + path, headers=headers, timeout=60)

    def sign_in(self, name: str, password: str) -> str:
        """The ID token of whoever signs in on the user pool's page, by the authorization code flow with PKCE."""
        verifier, state = token_urlsafe(48), token_urlsafe(16)
        challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "client_id": self._client,
            "response_type": "code",
            "redirect_uri": self.url,
            "scope": "openid email",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        page = requests.get(f"{self._account.url}/oauth2/authorize", params=asked, timeout=60)
        assert page.status_code == 200, page.text[:500]
        form = dict(_HIDDEN.findall(page.text)) | {"username": name, "password": password}
        sent = requests.post(f"{self._account.url}/login", data=form, allow_redirects=False, timeout=60)
        assert sent.status_code == 302, sent.text[:500]
        back = urlsplit(sent.headers["Location"])
        answered = parse_qs(back.query)
        assert f"{back.scheme}://{back.netloc}{back.path}" == self.url
        assert answered["state"] == [state]
        exchange = {
            "grant_type": "authorization_code",
            "client_id": self._client,
            "redirect_uri": self.url,
            "code": answered["code"][0],
        }
        token_endpoint = f"{self._account.url}/oauth2/token"
        stolen = requests.post(token_endpoint, data=exchange | {"code_verifier": "another"}, timeout=60)
        assert stolen.status_code == 400, "a code without its verifier is worth nothing"
        # Which spends the code: a sign-in by itself.
        return self._redeem(token_endpoint, exchange, form, verifier)

    def _redeem(self, endpoint: str, exchange: dict[str, str], form: dict[str, str], verifier: str) -> str:
        sent = requests.post(f"{self._account.url}/login", data=form, allow_redirects=False, timeout=60)
        code = parse_qs(urlsplit(sent.headers["Location"]).query)["code"][0]
        answer = requests.post(endpoint, data=exchange | {"code": code, "code_verifier": verifier}, timeout=60)
        assert answer.status_code == 200, answer.text[:500]
        token: str = answer.json()["id_token"]
        return token


def check_pages(web: WebApp, sign_in_client: str) -> None:
    """The page and its files from the bucket, with their headers; what is not there is refused."""
    page = web.get("/")
    assert (page.status_code, page.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    policy = page.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert page.headers["Cache-Control"] == "no-cache"
    config: Any = web.get("/config.json").json()
    assert config["mode"] == "cognito"
    assert config["clientId"] == sign_in_client
    assert config["authority"].startswith("https://cognito-idp.")
    assert web.get("/nothing-here.js").status_code in {403, 404}
