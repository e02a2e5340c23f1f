"""ECR: nothing is offered, on purpose. Image URIs are names of environments here, so there is no registry to log in to.

The service is there so that its clients read that nothing is offered instead of failing to connect.
"""

from darkroom.wire.operations import Operations

ECR = Operations("ecr")
