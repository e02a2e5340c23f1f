"""A bucket's documents (policy, public access block, tagging, location) through an S3 client."""

import json
from typing import Any

from botocore.exceptions import ClientError

from darkroom.errors import Invalid

ABSENT = {"NoSuchBucketPolicy", "NoSuchPublicAccessBlockConfiguration", "NoSuchTagSet"}


def read(s3: Any, bucket: str, name: str) -> str | None:
    """The document as JSON text; None where there is none."""
    try:
        match name:
            case "policy":
                return str(s3.get_bucket_policy(Bucket=bucket)["Policy"])
            case "public-access-block":
                found = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
            case "tagging":
                found = {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}
            case "location":
                found = s3.get_bucket_location(Bucket=bucket).get("LocationConstraint")
            case _:
                raise Invalid(f"an external S3 keeps no document {name!r}")
    except ClientError as error:
        if error.response["Error"]["Code"] in ABSENT:
            return None
        raise
    return json.dumps(found) if found else None


def write(s3: Any, bucket: str, name: str, text: str | None) -> None:
    """Set a document, or remove it. A bucket's location cannot be changed."""
    match name, text:
        case "policy", None:
            s3.delete_bucket_policy(Bucket=bucket)
        case "policy", str():
            s3.put_bucket_policy(Bucket=bucket, Policy=text)
        case "public-access-block", None:
            s3.delete_public_access_block(Bucket=bucket)
        case "public-access-block", str():
            s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=json.loads(text))
        case "tagging", None:
            s3.delete_bucket_tagging(Bucket=bucket)
        case "tagging", str():
            tags = [{"Key": key, "Value": value} for key, value in json.loads(text).items()]
            s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
