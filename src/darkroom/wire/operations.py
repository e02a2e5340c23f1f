"""Handlers by the operation they serve: a function named ``create_training_job`` serves CreateTrainingJob.

A handler takes the part of the platform it works on and a Call, and returns the result members as a dict (None for
none) or a whole Response. Plain functions run in a worker thread, coroutine functions on the event loop.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from darkroom.wire.messages import Call, Response

Result = dict[str, Any] | Response | None
Handler = Callable[[Any, Call], Result | Awaitable[Result]]
Bound = Callable[[Call], Result | Awaitable[Result]]


class Operations:
    """A registry for one AWS service, used as a decorator. ``names`` are snake_case operation names."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.handlers: dict[str, Handler] = {}

    def __call__(self, handler: Handler) -> Handler:
        name = handler.__name__
        assert name not in self.handlers, f"{name} is registered twice"
        self.handlers[name] = handler
        return handler

    def bind(self, part: Any) -> dict[str, Bound]:
        return {name: partial(handler, part) for name, handler in self.handlers.items()}
