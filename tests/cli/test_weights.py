"""``darkroom weights``: the real command and the real process that looks files over; a local server stands for the
public ones."""

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from darkroom.cli import fetching, weights
from darkroom.cli.console import Failure
from darkroom.networks import registry, weights_folder
from darkroom.networks.registry import Published
from tests.networks.published import publish, torchvision_state

pytestmark = pytest.mark.slow

REFUSED = (
    "holds more than tensors, and is not opened. Save the state dict alone, with torch.save(model.state_dict(), …), "
    "better still as safetensors"
)
CONTENT = bytes(range(256)) * 4000


class Site:
    """Serves one file. ``cut``: bytes after which each of the first answers ends; ``ranges``: whether it goes on."""

    def __init__(self, content: bytes) -> None:
        self.content, self.cuts, self.ranges, self.asked = content, list[int](), True, list[str]()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/w.pth"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        given = handler.headers.get("Range", "")
        self.asked.append(given)
        start = int(given.removeprefix("bytes=").rstrip("-")) if given and self.ranges else 0
        if start >= len(self.content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(self.content) - start))
        handler.end_headers()
        end = self.cuts.pop(0) if self.cuts else len(self.content)
        handler.wfile.write(self.content[start:end])

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site(CONTENT)
    yield served
    served.close()


def fetched(site: Site, part: Path, sha256: str = "") -> list[int]:
    seen: list[int] = []
    fetching.fetch(site.url, part, sha256, lambda done, total: seen.append(done), sleep=lambda seconds: None)
    return seen


def test_a_file_is_fetched_and_checked(site: Site, tmp_path: Path) -> None:
    seen = fetched(site, tmp_path / "p", hashlib.sha256(CONTENT).hexdigest()[:8])
    assert (tmp_path / "p").read_bytes() == CONTENT
    assert seen[-1] == len(CONTENT)
    assert site.asked == [""]


def test_a_cut_connection_is_gone_on_from(site: Site, tmp_path: Path) -> None:
    site.cuts = [300_000, 700_000]
    fetched(site, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == CONTENT
    assert site.asked == ["", "bytes=300000-", "bytes=700000-"]


def test_what_an_earlier_command_fetched_is_kept(site: Site, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(CONTENT[:1000])
    fetched(site, tmp_path / "p")
    fetched(site, tmp_path / "p")  # the whole is there: the site says that nothing follows
    assert (tmp_path / "p").read_bytes() == CONTENT
    assert site.asked == ["bytes=1000-", f"bytes={len(CONTENT)}-"]


def test_a_site_that_cannot_go_on_begins_again(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    (tmp_path / "p").write_bytes(b"x" * 1000)
    fetched(site, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == CONTENT


def test_a_longer_leftover_is_thrown_away(site: Site, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(CONTENT + b"more")
    fetched(site, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == CONTENT


def test_another_file_is_removed(site: Site, tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"is not the published file: its SHA-256 is [0-9a-f]{64}, expected 00000000"):
        fetched(site, tmp_path / "p", "00000000")
    assert not (tmp_path / "p").exists()


def test_a_site_that_never_finishes_keeps_what_came(site: Site, tmp_path: Path) -> None:
    site.cuts = [1000, 2000, 3000, 4000]
    with pytest.raises(Failure, match="4000 bytes are kept, try again later"):
        fetched(site, tmp_path / "p")


def test_a_part_that_cannot_be_written_is_not_the_networks_fault(site: Site, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    with pytest.raises(Failure, match=r"/p cannot be written: Is a directory$"):
        fetched(site, tmp_path / "p")
    assert len(site.asked) == 1


def test_a_site_that_nobody_answers_at_is_the_networks_fault(site: Site, tmp_path: Path) -> None:
    site.close()
    waits: list[float] = []
    with pytest.raises(Failure, match=r"cannot be fetched: .*Connection refused; 0 bytes are kept, try again later"):
        fetching.fetch(site.url, tmp_path / "p", "", lambda done, total: None, sleep=waits.append)
    assert len(waits) == fetching.TRIES - 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DARKROOM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DARKROOM_WEIGHTS", raising=False)
    return tmp_path / "home" / "weights"


def test_pull_fetches_checks_and_converts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = torchvision_state("squeezenet1_1")
    torch.save(state, tmp_path / "s.pth")
    content = (tmp_path / "s.pth").read_bytes()
    site = Site(content)
    sha256 = hashlib.sha256(content).hexdigest()
    entry = Published("tiny", "squeezenet1_1", 0, site.url, sha256[:8], "BSD-3-Clause")
    monkeypatch.setitem(registry.TABLE, "tiny", entry)
    try:
        weights.pull("tiny")
    finally:
        site.close()
    (held,) = weights_folder.held(folder)
    assert (held.name, held.path.suffix) == ("tiny", ".safetensors")
    assert (held.record.sha256, held.record.licence, held.record.source) == (sha256, "BSD-3-Clause", site.url)
    assert sorted(path.name for path in folder.iterdir()) == ["tiny.json", "tiny.safetensors"]
    assert "tiny is here: network=squeezenet1_1, 5 classes" in capsys.readouterr().out


@pytest.fixture
def unchecked(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Serves what the table calls ``tiny``, a SqueezeNet of which nobody published a checksum."""
    monkeypatch.setitem(registry.TABLE, "tiny", Published("tiny", "squeezenet1_1", 0, site.url, "", "BSD-3-Clause"))
    return site


def test_a_page_that_came_instead_of_the_file_is_not_gone_on_from(
    folder: Path, tmp_path: Path, unchecked: Site
) -> None:
    unchecked.content = b"<html>Please log in to the Wi-Fi</html>"
    with pytest.raises(Failure, match=rf"^{unchecked.url} is neither safetensors nor MXNet's .params; copy it again$"):
        weights.pull("tiny", unchecked=True)
    assert list(folder.iterdir()) == []
    publish(tmp_path / "s.safetensors", "squeezenet1_1")
    unchecked.content = (tmp_path / "s.safetensors").read_bytes()
    weights.pull("tiny", unchecked=True)
    assert [held.name for held in weights_folder.held(folder)] == ["tiny"]


def test_weights_of_another_network_are_not_pulled(folder: Path, tmp_path: Path, unchecked: Site) -> None:
    publish(tmp_path / "r.safetensors", "resnet", 18)
    unchecked.content = (tmp_path / "r.safetensors").read_bytes()
    with pytest.raises(Failure, match=r"/w.pth holds weights of resnet 18, not of squeezenet1_1$"):
        weights.pull("tiny", unchecked=True)
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_hold_weights_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(tmp_path / "s.safetensors", "squeezenet1_1")
    (folder / "s.json").mkdir(parents=True)
    with pytest.raises(Failure, match=rf"^{folder} cannot be written: Is a directory$"):
        weights.add(tmp_path / "s.safetensors")
    full = shutil.disk_usage(folder)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(Failure, match=rf"^{folder} has room for 10 bytes; {tmp_path}/s.safetensors has \d+$"):
        weights.add(tmp_path / "s.safetensors")
    assert [path.name for path in folder.iterdir()] == ["s.json"]


def test_a_file_without_a_checksum_is_taken_only_when_told(folder: Path) -> None:
    with pytest.raises(Failure, match=r"nobody published a checksum of .*resnet-18-0000\.params; .* --unchecked"):
        weights.pull("preact_resnet18")
    with pytest.raises(Failure, match="no weights named 'resnet17'; did you mean resnet18"):
        weights.pull("resnet17")


def test_add_list_and_use(darkroom, tmp_path: Path) -> None:
    publish(tmp_path / "mine.safetensors", "squeezenet1_1", without=("features.12.expand3x3.bias",))
    folder = tmp_path / "w"
    done = darkroom("weights", "add", tmp_path / "mine.safetensors", DARKROOM_WEIGHTS=str(folder))
    assert done.returncode == 0, done.stderr
    assert "mine is here: network=squeezenet1_1, 5 classes" in done.stdout
    assert "It lacks 1 tensors" in done.stderr
    listed = json.loads(darkroom.ok("weights", "list", "--json", DARKROOM_WEIGHTS=str(folder)))
    assert listed["folder"] == str(folder)
    mine = next(row for row in listed["weights"] if row["name"] == "mine")
    assert (mine["here"], mine["network"], mine["missing"]) == (True, "squeezenet1_1", 1)
    shown = darkroom.ok("weights", "list", DARKROOM_WEIGHTS=str(folder))
    assert "mine" in shown
    assert "mobilenet_v2" in shown


def test_what_is_no_weights_is_not_added(darkroom, tmp_path: Path) -> None:
    (tmp_path / "bad.pth").write_bytes(b"\x80\x04cos\nsystem\n(S'touch harmed'\ntR.")
    done = darkroom("weights", "add", tmp_path / "bad.pth")
    assert done.returncode == 1
    assert "bad.pth holds more than tensors, and is not opened" in done.stderr
    assert not Path("harmed").exists()
    (tmp_path / "new.pth").write_bytes(b"\x80\x04\x95\x00")
    done = darkroom("weights", "add", tmp_path / "new.pth")
    assert done.stderr == f"error {tmp_path}/new.pth {REFUSED}\n"  # torch's warning of the protocol is not among it
    assert darkroom("weights", "add", tmp_path / "absent").returncode == 2
    assert darkroom("weights", "add", tmp_path / "bad.pth", "--mean", "1,2").returncode == 2
    assert darkroom("weights", "add", tmp_path / "bad.pth", "--name", "../x").returncode == 2
    assert not list((darkroom.home / "weights").iterdir())
