"""A stand-in for a service: answers 200 on 127.0.0.1:BIND_PORT until SIGTERM, logs a line, may ignore SIGTERM."""

import http.server
import os
import signal
import sys


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def stop(number: int, frame: object) -> None:
    sys.exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN if os.environ.get("STUBBORN") else stop)
    sys.stderr.write("stand-in started\n")
    sys.stderr.flush()
    http.server.HTTPServer(("127.0.0.1", int(os.environ["BIND_PORT"])), Healthy).serve_forever()
