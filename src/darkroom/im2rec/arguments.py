"""The command line of im2rec: the switches of MXNet's tool, in the spellings that it has had.

Up to MXNet 1.0 every switch took a value (``--list True``, ``--shuffle False``); since then they stand alone. Both are
understood here; True and 1 mean yes, and False means no, although the old tool took any text for yes.
"""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass

SWITCHES = ("--list", "--recursive", "--pass-through", "--center-crop", "--pack-label")
_VALUES = {"true": True, "1": True, "false": False}


@dataclass(frozen=True)
class Arguments:
    """``prefix`` and ``root`` are absolute paths."""

    prefix: str
    root: str
    list: bool = False
    exts: tuple[str, ...] = (".jpeg", ".jpg", ".png")
    chunks: int = 1
    train_ratio: float = 1.0
    test_ratio: float = 0.0
    recursive: bool = False
    shuffle: bool = True
    pass_through: bool = False
    resize: int = 0
    center_crop: bool = False
    quality: int = 95
    num_thread: int = 1
    color: int = 1
    encoding: str = ".jpg"
    pack_label: bool = False


def parse(argv: Sequence[str], program: str = "im2rec") -> Arguments:
    """Raises SystemExit(2) after a sentence on stderr where the words make no sense, SystemExit(0) after --help."""
    parser = _parser(program)
    given = parser.parse_args(_modern(argv))
    if not (0 <= given.train_ratio <= 1 and 0 <= given.test_ratio <= 1):
        parser.error("--train-ratio and --test-ratio lie between 0 and 1")
    values = vars(given) | {"exts": tuple(given.exts)}
    return Arguments(**values | {"prefix": os.path.abspath(given.prefix), "root": os.path.abspath(given.root)})


def _modern(argv: Sequence[str]) -> list[str]:
    """The old spellings in the new one: a switch with True stays, one with False goes."""
    words, modern = list(argv), list[str]()
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if name not in (*SWITCHES, "--shuffle", "--no-shuffle"):
            modern.append(word)
            continue
        if not equals and words and words[0].lower() in _VALUES:
            value = words.pop(0)
        asked = _VALUES.get(value.lower(), True)
        if name == "--shuffle":
            name, asked = "--no-shuffle", not asked
        modern += [name] if asked else []
    return modern


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="List the images below a folder (--list), or pack the images of such lists into RecordIO files.",
    )
    parser.add_argument("prefix", help="how the paths of the .lst, .rec and .idx files begin")
    parser.add_argument("root", help="the folder of images; paths in a .lst are relative to it")

    listing = parser.add_argument_group("lists")
    listing.add_argument("--list", action="store_true", help="write PREFIX.lst; without it, pack every PREFIX*.lst")
    listing.add_argument("--exts", nargs="+", default=list(Arguments.exts), help="endings of image files")
    listing.add_argument("--chunks", type=_positive, default=1, help="cut the list into so many files")
    listing.add_argument("--train-ratio", type=float, default=1.0, help="share of the images for training")
    listing.add_argument("--test-ratio", type=float, default=0.0, help="share of the images for testing")
    listing.add_argument("--recursive", action="store_true", help="walk the subfolders: each is a class of its own")
    listing.add_argument("--no-shuffle", dest="shuffle", action="store_false", help="keep the order of the names")

    packing = parser.add_argument_group("records")
    packing.add_argument("--pass-through", action="store_true", help="pack the files as they are")
    packing.add_argument("--resize", type=_not_negative, default=0, help="pixels of the shorter side; 0: as it is")
    packing.add_argument("--center-crop", action="store_true", help="cut to the square in the middle first")
    packing.add_argument("--quality", type=_positive, default=95, help="of JPEG, 1-100; compression of PNG, 1-9")
    packing.add_argument("--num-thread", type=_positive, default=1, help="threads that read and encode")
    packing.add_argument(
        "--color", type=int, default=1, choices=[-1, 0, 1], help="1: colour, 0: gray, -1: as it is, alpha included"
    )
    packing.add_argument("--encoding", default=".jpg", choices=[".jpg", ".png"], help="how pixels are packed")
    packing.add_argument("--pack-label", action="store_true", help="pack every label of a line, not only the first")
    return parser


def _positive(text: str) -> int:
    return _at_least(1, text)


def _not_negative(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
    return int(text)
