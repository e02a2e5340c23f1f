"""Values for any shape of a model, drawn from a seed, and requests as botocore's own client half writes them."""

from datetime import UTC, datetime
from io import BytesIO
from random import Random
from urllib.parse import parse_qsl, urlsplit

from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.model import OperationModel, Shape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from darkroom.wire.messages import Body, Request, Response

PLAIN = "abXYZ019-"
NASTY = PLAIN + " &<>'\"%+~*()=/?#ü漢🙂\n\t;:,."  # no \r: botocore writes it bare, and XML parsers make it \n
DEEPEST = 6


def value(shape: Shape, random: Random, depth: int = 0):
    """A value that the shape allows in type; constraints are kept where they are easy (enums, lengths, ranges)."""
    kind, meta, located = shape.type_name, shape.metadata, shape.serialization.get("location")
    if kind == "structure":
        return structure(shape, random, depth)
    if kind == "list":
        return [value(shape.member, random, depth + 1) for _ in range(random.randint(1, 2 if depth < 3 else 1))]
    if kind == "map":
        keys = {value(shape.key, random, depth + 1).lower() or "k" for _ in range(2 if depth < 3 else 1)}
        if located == "headers":
            return {plain(random).lower(): plain(random) for _ in keys}
        return {key: value(shape.value, random, depth + 1) for key in keys}
    if kind == "timestamp":
        return datetime.fromtimestamp(random.randint(0, 4_000_000_000), UTC)
    if kind == "blob":
        return random.randbytes(random.randint(1, 9))
    if kind == "boolean":
        return random.random() < 0.5
    if kind in ("integer", "long"):
        return random.randint(max(meta.get("min", 0), -(2**31)), min(meta.get("max", 2**31 - 1), 2**31 - 1))
    if kind in ("float", "double"):
        return random.choice([0.0, 1.5, -2.25, 1e-9, 3e20])
    if meta.get("enum"):
        return random.choice(meta["enum"])
    if located in ("header", "headers", "querystring") or shape.serialization.get("xmlAttribute"):
        return plain(random)
    return "".join(random.choices(NASTY, k=random.randint(max(1, min(meta.get("min", 1), 50)), 50)))


def plain(random: Random) -> str:
    return "x" + "".join(random.choices(PLAIN, k=6))


def structure(shape: Shape, random: Random, depth: int) -> dict:
    members = list(shape.members.items())
    if getattr(shape, "is_tagged_union", False) and members:
        members = [random.choice(members)]
    chosen = {}
    for name, member in members:
        optional = name not in shape.required_members and len(members) > 1
        if member.serialization.get("eventstream") or (optional and (depth > DEEPEST or random.random() < 0.35)):
            continue
        chosen[name] = value(member, random, depth + 1)
    return chosen


def request_of(protocol: str, operation: OperationModel, params: dict) -> tuple[Request, bytes]:
    """What botocore would send."""
    draft = create_serializer(protocol, include_validation=False).serialize_to_request(params, operation)
    prepare_request_dict(draft, endpoint_url="http://localhost")
    prepared = create_request_object(draft).prepare()
    url, body = urlsplit(prepared.url), prepared.body or b""
    if hasattr(body, "read"):
        body = body.read()
    body = body.encode() if isinstance(body, str) else bytes(body)
    headers = {k.lower(): v.decode() if isinstance(v, bytes) else str(v) for k, v in prepared.headers.items()}
    query = parse_qsl(url.query, keep_blank_values=True)
    return Request(prepared.method, url.path, url.query, query, headers, body_of(body)), body


def body_of(data: bytes) -> Body:
    async def chunks():
        yield data

    return Body(chunks(), len(data))


def parsed(protocol: str, operation: OperationModel, response: Response):
    """What botocore's client would return, or the error it would raise, as a dict."""
    body: object = response.body
    shape = operation.output_shape
    payload = shape.serialization.get("payload") if shape is not None else None
    if payload and response.status < 300 and shape.members[payload].type_name == "blob":
        body = BytesIO(response.body)
    answer = {
        "body": body,
        "headers": HeadersDict(response.headers),
        "status_code": response.status,
        "context": {"operation_name": operation.name},
    }
    return create_parser(protocol).parse(answer, shape)


def essence(item):
    """What counts in a comparison: no metadata, nothing empty, streams read."""
    if isinstance(item, datetime):
        return item.astimezone(UTC)
    if isinstance(item, dict):
        kept = {k: essence(v) for k, v in item.items() if k != "ResponseMetadata"}
        return {k: v for k, v in kept.items() if v not in (None, {}, [], b"")}
    if isinstance(item, list):
        return [v for v in map(essence, item) if v not in (None, {}, [])]
    return item.read() if hasattr(item, "read") else item


def difference(wanted, got, path: str = "") -> str | None:
    """The first place where two values differ."""
    if type(wanted) is not type(got):
        return f"{path}: {wanted!r:.80} is not {got!r:.80}"
    if isinstance(wanted, dict):
        for key in sorted(wanted.keys() | got.keys()):
            if key not in wanted or key not in got:
                return f"{path}.{key} is {'extra' if key in got else 'missing'}"
            if fault := difference(wanted[key], got[key], f"{path}.{key}"):
                return fault
        return None
    if isinstance(wanted, list):
        if len(wanted) != len(got):
            return f"{path}: {len(wanted)} items, got {len(got)}"
        return next(
            (f for i, (a, b) in enumerate(zip(wanted, got, strict=True)) if (f := difference(a, b, f"{path}[{i}]"))),
            None,
        )
    return None if wanted == got else f"{path}: {wanted!r:.80} is not {got!r:.80}"
