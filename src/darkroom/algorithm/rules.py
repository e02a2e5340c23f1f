"""How the text of a hyperparameter becomes a value, and what SageMaker says when it does not. Knows no name of one."""

import re
from dataclasses import dataclass
from typing import Any, Protocol


class Rule(Protocol):
    """How a text becomes a value. ``read`` raises ValueError; ``expects`` words what would have been right."""

    kind: str

    def read(self, text: str) -> Any: ...

    def expects(self) -> str: ...

    def valid(self) -> str: ...


@dataclass(frozen=True)
class Integer:
    low: int = 1
    high: int | None = None
    kind = "integer"

    def read(self, text: str) -> int:
        value = int(text) if re.fullmatch(r"[+-]?[0-9]+", text) else None
        if value is None or value < self.low or (self.high is not None and value > self.high):
            raise ValueError(text)
        return value

    def expects(self) -> str:
        bounds = f"greater than or equal to {self.low}" if self.high is None else f"between {self.low} and {self.high}"
        return f"which expects one of the following: an integer {bounds}"

    def valid(self) -> str:
        return f"{self.low} or more" if self.high is None else f"{self.low} … {self.high}"


@dataclass(frozen=True)
class Real:
    low: float = 0.0
    high: float = 1.0
    kind = "float"

    def read(self, text: str) -> float:
        value = float(text)
        if not self.low <= value <= self.high:  # false for nan, too
            raise ValueError(text)
        return value

    def expects(self) -> str:
        return f"which expects one of the following: a float between {self.low:g} and {self.high:g}"

    def valid(self) -> str:
        return f"{self.low:g} … {self.high:g}"


@dataclass(frozen=True)
class Choice:
    values: tuple[Any, ...]

    @property
    def kind(self) -> str:
        return "integer" if isinstance(self.values[0], int) else "string"

    def read(self, text: str) -> Any:
        return {str(value): value for value in self.values}[text]

    def expects(self) -> str:
        return "which accepts one of the following: " + ", ".join(f"'{value}'" for value in self.values)

    def valid(self) -> str:
        return ", ".join(str(value) for value in self.values)


@dataclass(frozen=True)
class Flag:
    """True or False, in any case: the SDKs send either spelling."""

    kind = "boolean"

    def read(self, text: str) -> bool:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]

    def expects(self) -> str:
        return "which accepts one of the following: 'True', 'False'"

    def valid(self) -> str:
        return "True, False"


@dataclass(frozen=True)
class Pattern:
    """A comma list of positive integers. Blanks are taken out first: SageMaker's own examples write them."""

    regex: str
    kind = "string"

    def read(self, text: str) -> str:
        packed = text.replace(" ", "")
        if not re.fullmatch(self.regex, packed):
            raise ValueError(text)
        return packed

    def expects(self) -> str:
        return f"which expects one of the following: a string which matches the pattern '{self.regex}'"

    def valid(self) -> str:
        return f"`{self.regex}`".replace("|", "\\|")
