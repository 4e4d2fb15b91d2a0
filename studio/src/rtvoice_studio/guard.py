"""What stands before every request: who may ask (host, origin, token), how much may be sent, what browsers may do."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

#: Names by which a machine calls itself; anything else may be a stranger's domain that points here.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: A session's votes on one clip are 4 kB; notes are held to 2000 characters.
LARGEST_BODY = 65536
#: What a Host header may be: a name or an address, and a port.
_HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

Next = Callable[[Request], Awaitable[Response]]


class Guard:
    """Refuses what does not come from the page itself.

    Parameters
    ----------
    hosts
        Names that the ``Host`` header may give; empty: any, because a token is asked for.
    token
        Needed from everyone where the server is bound elsewhere than to loopback. Its cookie has its name: browsers
        send cookies to every port of a host, so that of another server's would take its place.
    """

    def __init__(self, hosts: tuple[str, ...], token: str | None) -> None:
        self.hosts = hosts
        self.token = token
        self.cookie = f"rtvoice_studio_{hashlib.sha256((token or '').encode()).hexdigest()[:12]}"

    async def __call__(self, request: Request, call_next: Next) -> Response:
        """Answer a request, or refuse it."""
        response = self._refusal(request)
        if response is None:
            response = await call_next(request)
        for name, value in _HEADERS.items():
            response.headers[name] = value
        return response

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        found = _HOST.fullmatch(host)
        if found is None:
            return refuse(400, "the Host header must be a name or an address, and a port")
        name = found[1].strip("[]").lower()
        if self.hosts and name not in self.hosts:
            return refuse(421, "this server answers to its own name only; open the address that it printed")
        if self.token is not None:
            entered = self._enter(request)
            if entered is not None:
                return entered
        if request.method in ("GET", "HEAD"):
            return None
        # A page of another origin may send, but not with its own origin hidden.
        origin = request.headers.get("origin")
        if origin not in (f"http://{host}", f"https://{host}"):
            return refuse(403, "requests that change something must come from the page itself")
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
            return refuse(415, "send application/json")
        length = request.headers.get("content-length", "")
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > LARGEST_BODY:
            return refuse(413, f"send at most {LARGEST_BODY} bytes, and say how many")
        return None

    def _enter(self, request: Request) -> Response | None:
        assert self.token is not None
        if hmac.compare_digest(request.cookies.get(self.cookie, "").encode(), self.token.encode()):
            return None
        query = parse_qs(request.url.query)
        given = query.pop("token", [""])[0]
        if request.method == "GET" and hmac.compare_digest(given.encode(), self.token.encode()):
            rest = urlencode(query, doseq=True)
            # One slash before it: two would name another host.
            path = "/" + request.url.path.lstrip("/")
            response = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
            response.set_cookie(self.cookie, self.token, httponly=True, samesite="strict", max_age=30 * 86400)
            return response
        return refuse(401, "open the address with ?token=... that 'rtvoice compare' printed")


def refuse(status: int, words: str, unknown: str | None = None) -> JSONResponse:
    """Answer with an error in one line, and what was asked for that is not there, if that is all that is wrong."""
    return JSONResponse({"error": words, **({"unknown": unknown} if unknown else {})}, status)
