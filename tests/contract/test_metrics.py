"""What is read of a log line, and what patterns are not let near one."""

import pytest

from darkroom.contract.metrics import IMAGE_CLASSIFICATION, LINE_CHARS, MetricDefinition, may_never_end, read


@pytest.mark.parametrize("regex", ["(a+)+$", "(.*,)*x", r"(?:(\w+)\s?)+", "((a*?b)*)*", "(?=(a+)+b)", "(a|b+)*c"])
def test_a_pattern_that_may_hang_the_server_is_known(regex: str) -> None:
    assert may_never_end(regex)


@pytest.mark.parametrize(
    "regex",
    [
        *(definition.regex for definition in IMAGE_CLASSIFICATION),
        *(
            "loss: (.*?);",
            r"#quality_metric: host=\S+, train mse <loss>=(\S+)",
            r"acc=(\d+(?:\.\d+)?)",
            "(([0-9]|\\.)+)",
        ),
        *(".*accuracy: (.*), .*", "(?:a{1,3})+(b)"),
    ],
)
def test_ordinary_patterns_pass(regex: str) -> None:
    assert not may_never_end(regex)


def test_of_an_endless_line_only_the_beginning_is_searched() -> None:
    loss = MetricDefinition("loss", "loss=([0-9.]+)")
    assert list(read([loss], "loss=0.5 " + "x" * 10**6)) == [("loss", 0.5)]
    assert list(read([loss], "x" * LINE_CHARS + "loss=0.5")) == []
