"""STS: says who the caller is. Bound to the account number.

Everyone who has a key of this server is the same role. Its name holds "AmazonSageMaker-ExecutionRole" because version 1
of the SageMaker SDK then takes it for the execution role without asking IAM.
"""

from darkroom.services.iam import EXECUTION_ROLE, role_id
from darkroom.wire.messages import Call
from darkroom.wire.operations import Operations

STS = Operations("sts")
SESSION = "darkroom"


@STS
def get_caller_identity(account: str, call: Call) -> dict[str, str]:
    return {
        "Account": account,
        "Arn": f"arn:aws:sts::{account}:assumed-role/{EXECUTION_ROLE}/{SESSION}",
        "UserId": f"{role_id(EXECUTION_ROLE)}:{SESSION}",
    }
