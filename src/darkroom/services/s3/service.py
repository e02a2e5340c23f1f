"""All S3 operations that are offered, bound to one part and guarded: what ``wire.service.Service("s3", …)`` takes."""

from darkroom.services.s3 import buckets, listings, objects, uploads
from darkroom.services.s3.access import guarded
from darkroom.services.s3.part import S3Part
from darkroom.wire.operations import Bound

REGISTRIES = (buckets.operation, listings.operation, objects.operation, uploads.operation)


def handlers(part: S3Part) -> dict[str, Bound]:
    """Handlers by snake_case operation name."""
    return {name: guarded(part, handler) for registry in REGISTRIES for name, handler in registry.bind(part).items()}
