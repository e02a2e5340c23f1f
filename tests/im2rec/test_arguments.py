"""The words of every age of im2rec mean what they meant."""

import os

import pytest

from darkroom.im2rec.arguments import Arguments, parse


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--list --recursive p r", {"list": True, "recursive": True}),
        ("./p ./r/ --recursive --list --num-thread 8", {"list": True, "recursive": True, "num_thread": 8}),
        ("p r --list True --recursive True", {"list": True, "recursive": True}),
        ("--list 1 --recursive 1 p r", {"list": True, "recursive": True}),
        ("p r --list=1 --recursive=true --shuffle=False", {"list": True, "recursive": True, "shuffle": False}),
        ("--list True --recursive False p r", {"list": True}),
        ("--shuffle True p r --pass-through True", {"pass_through": True}),
        ("--shuffle False p r --pack-label true", {"shuffle": False, "pack_label": True}),
        ("--no-shuffle p r --center-crop", {"shuffle": False, "center_crop": True}),
        ("--resize 256 --quality 90 --num-thread 16 p r", {"resize": 256, "quality": 90, "num_thread": 16}),
        ("p r --exts .jpg .bmp --chunks 3", {"exts": (".jpg", ".bmp"), "chunks": 3}),
        ("p r --color -1 --encoding .png --test-ratio 0.1", {"color": -1, "encoding": ".png", "test_ratio": 0.1}),
    ],
)  # fmt: skip
def test_words_of_every_age(words, expected):
    assert parse(words.split()) == Arguments(os.path.abspath("p"), os.path.abspath("r"), **expected)


@pytest.mark.parametrize(
    "words",
    ["p", "p r --color 2", "p r --encoding .bmp", "p r --chunks 0", "p r --num-thread -1", "p r -x"],
)  # fmt: skip
def test_nonsense_ends_with_a_sentence(words, capsys):
    with pytest.raises(SystemExit) as ended:
        parse(words.split())
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err
