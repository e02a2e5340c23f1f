"""What can be wrong with a request to compile. The message is for the user: what was found, what was expected."""


class CompileError(ValueError):
    """The model, or what was said about it, cannot be compiled; correct what the message names."""


class InputConfiguration(CompileError):
    """The model's files and DataInputConfig do not fit; named as SageMaker names it."""

    def __init__(self, message: str) -> None:
        super().__init__(f"InputConfiguration: {message}")


def listing(names: object, most: int = 8) -> str:
    """``a, b, c``; the first ``most``, then how many more. "nothing" for none."""
    found = [str(name) for name in names]  # type: ignore[attr-defined]
    more = [f"… ({len(found) - most} more)"] if len(found) > most else []
    return ", ".join(found[:most] + more) or "nothing"
