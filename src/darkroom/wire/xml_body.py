"""XML bodies by shape: S3's documents, and the answers of the Query protocol.

Documents with a DOCTYPE are refused before anything in them is looked at, so entities cannot expand.
"""

from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from botocore.model import Shape

from darkroom.wire.models import body_members, element_name, wire_name
from darkroom.wire.scalars import Malformed, decode_text, encode_text

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
MAX_DEPTH = 100
_ESCAPES = {ord(c): f"&#x{ord(c):X};" for c in map(chr, range(32)) if c != "\t"} | {
    ord("&"): "&amp;",
    ord("<"): "&lt;",
    ord(">"): "&gt;",
}


def loads(body: bytes) -> Element:
    """The root element, names without their namespaces. Raises Malformed."""
    builder, depth = TreeBuilder(), 0
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise Malformed(f"the XML is nested more than {MAX_DEPTH} deep")
        builder.start(_local(tag), {_local(k): v for k, v in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(tag))

    def doctype(*_: Any) -> None:
        raise Malformed("the XML has a DOCTYPE")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, doctype
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed(f"the body is not well-formed XML: {error}") from None
    return builder.close()


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def decode(shape: Shape, node: Element) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _structure(shape, node)
    if kind == "list":
        return [decode(shape.member, item) for item in node]
    if kind == "map":
        return _map(shape, list(node))
    if len(node):
        raise Malformed(f"<{node.tag}> holds elements where text was expected")
    return decode_text(shape, node.text or "")


def _structure(shape: Shape, node: Element) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for member, s in body_members(shape).values():
        name, style = element_name(s, member), s.serialization
        if style.get("xmlAttribute"):
            if (value := node.attrib.get(_unprefixed(name))) is not None:
                found[member] = value
        elif style.get("flattened"):
            if items := node.findall(name):
                found[member] = [decode(s.member, i) for i in items] if s.type_name == "list" else _map(s, items)
        elif (child := node.find(name)) is not None:
            found[member] = decode(s, child)
    return found


def _map(shape: Shape, entries: list[Element]) -> dict[str, Any]:
    key_name, value_name = wire_name(shape.key, "key"), wire_name(shape.value, "value")
    found = {}
    for entry in entries:
        key, value = entry.find(key_name), entry.find(value_name)
        if key is None or value is None:
            raise Malformed(f"an entry of a map lacks <{key_name}> or <{value_name}>")
        found[key.text or ""] = decode(shape.value, value)
    return found


def _unprefixed(name: str) -> str:
    return name.rpartition(":")[2]


def dumps(shape: Shape, value: Any, tag: str) -> bytes:
    """A whole document."""
    return (DECLARATION + encode(shape, value, tag)).encode()


def encode(shape: Shape, value: Any, tag: str) -> str:
    kind, attributes = shape.type_name, _namespace(shape)
    if kind == "structure":
        return f"<{tag}{attributes}{_attributes(shape, value)}>{encode_members(shape, value)}</{tag}>"
    if kind == "list":
        flat = shape.serialization.get("flattened")
        item = tag if flat else wire_name(shape.member, "member")
        inner = "".join([encode(shape.member, v, item) for v in value])
        return inner if flat else f"<{tag}{attributes}>{inner}</{tag}>"
    if kind == "map":
        return _encode_map(shape, value, tag, attributes)
    return f"<{tag}{attributes}>{escape(encode_text(shape, value, 'iso8601'))}</{tag}>"


def encode_members(shape: Shape, value: Any) -> str:
    """The elements of a structure without the element around them."""
    return "".join(
        [
            encode(s, value[m], element_name(s, m))
            for m, s in body_members(shape).values()
            if value.get(m) is not None and not s.serialization.get("xmlAttribute")
        ]
    )


def _encode_map(shape: Shape, value: Any, tag: str, attributes: str) -> str:
    flat = shape.serialization.get("flattened")
    key_name, value_name = wire_name(shape.key, "key"), wire_name(shape.value, "value")
    entry = tag if flat else "entry"
    rows = "".join(
        f"<{entry}>{encode(shape.key, k, key_name)}{encode(shape.value, v, value_name)}</{entry}>"
        for k, v in value.items()
    )
    return rows if flat else f"<{tag}{attributes}>{rows}</{tag}>"


def _namespace(shape: Shape) -> str:
    if not (space := shape.serialization.get("xmlNamespace")):
        return ""
    prefix = f":{space['prefix']}" if space.get("prefix") else ""
    return f" xmlns{prefix}={quoteattr(space['uri'])}"


def _attributes(shape: Shape, value: Any) -> str:
    return "".join(
        f" {name}={quoteattr(str(value[m]))}"
        for name, (m, s) in body_members(shape).items()
        if s.serialization.get("xmlAttribute") and value.get(m) is not None
    )


def escape(text: str) -> str:
    """Text for an element. Line ends are written as references, else a parser would fold them."""
    return text.translate(_ESCAPES)
