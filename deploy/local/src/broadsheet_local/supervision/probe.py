"""One look at a health address, with the standard library: a heavier client would cost `up` a third of a second."""

import http.client


def status_of(host: str, port: int, path: str, *, timeout_s: float) -> int | None:
    """The status of a GET, or None when there is no (readable) answer in time."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
