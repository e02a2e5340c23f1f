"""What the README, the docs and the demo tell people to type works, and every option they name is there."""

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import typer.main

from darkroom.cli.main import app
from tests.cli.conftest import Darkroom

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def typed(page: Path) -> list[list[str]]:
    """Arguments of every darkroom command in a page's shell blocks."""
    lines = [line for block in BLOCK.findall(page.read_text()) for line in block.splitlines()]
    words = (shlex.split(line.split("  #")[0]) for line in lines if line.startswith("darkroom "))
    return [found[1:] for found in words]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_in_the_docs_is_there(page: Path) -> None:
    for command, *arguments in typed(page):
        assert command in COMMANDS, f"{page}: darkroom {command}"
        ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
        ours = ours[: ours.index("|")] if "|" in ours else ours
        meant = COMMANDS[command]
        if hasattr(meant, "commands"):  # a group: darkroom weights pull
            assert ours[0] in meant.commands, f"{page}: darkroom {command} {ours[0]}"
            meant = meant.commands[ours[0]]
        offered = {flag for p in meant.params for flag in [*p.opts, *p.secondary_opts]}
        for word in ours:
            if word.startswith("-"):
                assert word in offered, f"{page}: darkroom {command} {word}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", ROOT / "examples" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("commands", [typed(PAGES[0])[:6], [step for _, step in demo().STEPS]], ids=["README", "demo"])
def test_the_five_minutes_work_as_written(
    darkroom: Darkroom, monkeypatch: pytest.MonkeyPatch, commands: list[list[str]]
) -> None:
    """But with one epoch: what a whole training comes to is the demo's to show."""
    monkeypatch.chdir(ROOT)
    assert [command for command, *_ in commands][:4] == ["up", "train", "deploy", "predict"]
    for command, *arguments in commands:
        more = ["--epochs", "1"] if command == "train" else ["--yes"] if command == "delete" else []
        darkroom.ok(command, *arguments, *more)
