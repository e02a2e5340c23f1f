"""The sites that published notebooks download from, as they would answer were they still there.

A plain HTTP proxy on loopback that serves prepared files by the last part of their address; the cells stay as written.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def sites(files: Mapping[str, Path]) -> Iterator[dict[str, str]]:
    """Yields the environment variables that send plain-HTTP downloads here."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = files.get(self.path.rpartition("/")[2])
            content = found.read_bytes() if found else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield {"http_proxy": f"http://127.0.0.1:{server.server_port}"}  # NO_PROXY is among `darkroom env`'s variables
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
