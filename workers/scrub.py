"""Removes secrets from rows, logs and messages: each secret value is replaced by the name of its variable."""

import os
import re
from pathlib import Path
from urllib.parse import quote

# RAY_AUTH_TOKEN, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, HF_TOKEN, ..._PASSWORD, ..._API_KEY.
_HIDDEN = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
_PLACE = re.compile(
    r"_(PATH|FILE|DIR|URI|URL)$", re.IGNORECASE
)  # the value is the location of a secret, not the secret
_LEAST = 8  # characters; shorter values would match common words
LOGIN = re.compile(r"(://)[^/\s@]{1,512}@")


def scrub(text: str) -> str:
    """The text without secrets: environment variables, the content of Ray's token file, and logins in URLs."""
    for name, value in _secrets():
        text = text.replace(value, f"<{name}>")
    return LOGIN.sub(r"\1<login>@", text)


def _secrets() -> list[tuple[str, str]]:
    """Names and values, longest value first, since one secret may be part of another."""
    found = [(name, value) for name, value in os.environ.items() if _HIDDEN.search(name) and not _PLACE.search(name)]
    if token := _ray_token_file():
        found.append(("RAY_AUTH_TOKEN", token))
    spellings = [(name, text) for name, value in found for text in {value, quote(value, safe="")}]
    return sorted((pair for pair in spellings if len(pair[1]) >= _LEAST), key=lambda pair: -len(pair[1]))


def _ray_token_file() -> str:
    """The cluster's token from Ray's token file, for when the environment does not hold it; empty if there is none."""
    place = os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token"
    try:
        with Path(os.path.expanduser(place)).open(encoding="utf-8") as file:
            return file.read(4096).strip()
    except (OSError, ValueError):
        return ""
