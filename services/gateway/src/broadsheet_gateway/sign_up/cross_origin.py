"""Cross-origin resource sharing: which sites' scripts may read an answer (the Fetch standard, CORS protocol).

A sign-up needs no authority, so anybody may send one; a site is only allowed to read the answer. Credentials are
never allowed.
"""

from collections.abc import Collection, Mapping

PREFLIGHT_MAX_AGE_S = 600


def sharing_headers(headers: Mapping[str, str], allowed_origins: Collection[str]) -> dict[str, str]:
    """For an answer: the site that asks may read it, or `Vary` alone, since another one might."""
    origin = headers.get("origin")
    shared = {"Access-Control-Allow-Origin": origin} if origin is not None and origin in allowed_origins else {}
    return {"Vary": "Origin", **shared}


def preflight_headers(headers: Mapping[str, str], allowed_origins: Collection[str], *, method: str) -> dict[str, str]:
    shared = sharing_headers(headers, allowed_origins)
    if "Access-Control-Allow-Origin" not in shared:
        return shared
    return {
        **shared,
        "Access-Control-Allow-Methods": method,
        "Access-Control-Allow-Headers": "content-type",
        "Access-Control-Max-Age": str(PREFLIGHT_MAX_AGE_S),
    }


def is_script_that_wants_data(headers: Mapping[str, str]) -> bool:
    """Whether JSON is asked for instead of a page: by `Accept`, or by a script that said nothing of the kind."""
    accept = headers.get("accept", "")
    if "text/html" in accept:
        return False
    return "application/json" in accept or headers.get("sec-fetch-mode") == "cors"
