"""A printer's address: "ipp://host[:631]/ipp/print" (RFC 3510, RFC 7472), and what HTTP calls it. Pure."""

from urllib.parse import SplitResult, urlsplit

PORT = 631
SCHEMES = {"ipp": "http", "ipps": "https"}


def http_url(uri: str) -> str:
    """Where to ask that printer. Raises ValueError for what is no such address."""
    try:
        url = urlsplit(uri)
        port = url.port or PORT
        host = _host(url)
    except ValueError as error:  # UnicodeError, too: a name that DNS cannot hold
        raise ValueError(f"{_wanted(uri)} ({error})") from error
    if url.scheme not in SCHEMES or not host or "@" in url.netloc or url.query or url.fragment:
        raise ValueError(_wanted(uri))
    return f"{SCHEMES[url.scheme]}://{host}:{port}{url.path or '/'}"


def _host(url: SplitResult) -> str:
    name = url.hostname or ""
    if ":" in name:
        return f"[{name}]"
    name.encode("idna")
    return name


def _wanted(uri: str) -> str:
    return f"a printer's URI is like ipp://10.0.0.9/ipp/print, not {uri!r}"
