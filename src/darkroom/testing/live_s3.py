"""An S3 of ours on loopback, for tests: in a thread of this process, or in a process of its own that can be killed."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from darkroom.objects.base import ObjectStore
from darkroom.objects.local import LocalStore
from darkroom.services.s3 import service
from darkroom.services.s3.part import S3Part
from darkroom.wire.front import Front
from darkroom.wire.listener import SERVER
from darkroom.wire.service import Service
from darkroom.wire.sigv4 import Verifier

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI"
ACCOUNT = "123456789012"


@dataclass(frozen=True)
class LiveS3:
    url: str
    store: ObjectStore


def app(store: ObjectStore) -> Front:
    return Front({"s3": Service("s3", service.handlers(S3Part(store, ACCOUNT)))}, Verifier({KEY: SECRET}.get))


class _Server(uvicorn.Server):
    """Tells when it listens, and where."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = threading.Event()

    async def startup(self, sockets: object = None) -> None:
        await super().startup(sockets=None)
        self.listening.set()

    @property
    def port(self) -> int:
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port


@contextmanager
def live_s3(root: Path, store: ObjectStore | None = None) -> Iterator[LiveS3]:
    """Serves ``store``, or a built-in one below ``root``, from a thread until the end of the block."""
    served = store or LocalStore(root)
    server = _Server(uvicorn.Config(app(served), host="127.0.0.1", port=0, **SERVER))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), name="live-s3")
    thread.start()
    try:
        if not server.listening.wait(30):
            raise RuntimeError("the S3 server did not come up")
        yield LiveS3(f"http://127.0.0.1:{server.port}", served)
    finally:
        server.should_exit = True
        thread.join()
        if store is None:
            served.close()


def main() -> None:
    """``python -m darkroom.testing.live_s3 ROOT [PORT]``: serve until killed. Prints the URL."""
    store = LocalStore(Path(sys.argv[1]))
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    server = _Server(uvicorn.Config(app(store), host="127.0.0.1", port=port, **SERVER))

    def tell() -> None:
        server.listening.wait()
        print(f"http://127.0.0.1:{server.port}", flush=True)

    threading.Thread(target=tell, daemon=True).start()
    server.run()


if __name__ == "__main__":
    main()
