"""What a client is told when it is refused."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError


def refused(call: Callable[..., Any], *args: Any, **params: Any) -> tuple[str, int]:
    """(code, status) of the error that a call ends with."""
    error = refusal(call, *args, **params)
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]


def refusal(call: Callable[..., Any], *args: Any, **params: Any) -> dict[str, Any]:
    """The whole error answer."""
    with pytest.raises(ClientError) as caught:
        call(*args, **params)
    return dict(caught.value.response)
