"""The gateway's pages with sample data, over HTTP and under the headers that the gateway sets: for a browser that looks
at them without any service behind them.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from broadsheet_gateway.admin.editor.preview_pages import frame_headers
from broadsheet_gateway.http.security_headers import headers_of_ordinary_pages
from broadsheet_gateway.pages import Pages
from broadsheet_gateway.pages.views import PageView

HTML = "text/html; charset=utf-8"
_MAIL = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>A mail</title>
<body style="margin:0;font:16px/1.5 Georgia,serif"><div style="max-width:600px;margin:0 auto;padding:24px">
<h1>Queues that account for everybody</h1><p>Dear Ada,</p><p>a delivery is one issue to one subscriber.</p></div></body>
</html>"""
_IN_A_FRAME = (("Content-Security-Policy", "default-src 'none'; frame-ancestors 'self'"),)


class Answer(msgspec.Struct, frozen=True):
    status: int
    media_type: str = HTML
    content: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


def answer_sample(pages: Pages, samples: dict[str, PageView], path: str) -> Answer:
    """A static file, at `/sample/NAME` a page, and in the frames of mails a mail; 404 for everything else: under
    `/admin/` one that may be in a frame, as what a page shows in a frame is.
    """
    asset = pages.static_file(path.removeprefix("/static/"))
    if asset is not None:
        return Answer(200, asset.media_type, asset.content)
    if "/frame?" in path:
        headers = frame_headers(is_beside_the_text="beside=text" in path)
        return Answer(200, content=_MAIL, headers=tuple(headers.items()))
    view = samples.get(path.removeprefix("/sample/"))
    if view is not None:
        return answer_view(pages, view)
    return Answer(404, headers=_IN_A_FRAME if path.startswith("/admin/") else ())


def answer_view(pages: Pages, view: PageView) -> Answer:
    """The page under its own policy, if it has one."""
    own = (("Content-Security-Policy", view.content_policy),) if view.content_policy else ()
    return Answer(200, content=pages.render(view).encode(), headers=own)


@contextmanager
def served(answer: Callable[[str], Answer]) -> Iterator[str]:
    """The address of a server that answers each GET by its path, as long as the block runs."""
    common = headers_of_ordinary_pages(is_https=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = answer(self.path)
            self.send_response(sent.status)
            given = {name.lower() for name, _ in sent.headers}
            for name, value in common:
                if name.decode() not in given:
                    self.send_header(name.decode(), value.decode())
            for header in (
                *sent.headers,
                ("Content-Type", sent.media_type),
                ("Content-Length", str(len(sent.content))),
            ):
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(sent.content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name in http.server)
            """Nothing: the test's own output says what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
