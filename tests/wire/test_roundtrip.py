"""Every operation of every service, there and back, against botocore's own client half."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darkroom.wire.models import model
from darkroom.wire.service import PROTOCOLS, Service
from tests.wire.shapes import difference, essence, parsed, request_of, value

SERVICES = [
    ("sagemaker", "json"),
    ("sagemaker-runtime", "rest-json"),
    ("s3", "rest-xml"),
    ("logs", "json"),
    ("cloudwatch", "json"),
    ("cloudwatch", "query"),
    ("sts", "query"),
    ("iam", "query"),
    ("ecr", "json"),
]
# Deprecated operations of S3 share method and path with their successors, and this one with ListBuckets.
EXPRESS = "ListDirectoryBuckets"
HTTP_SETS = {"ContentLength"}  # members that a client library fills in from the body
seeds = given(st.integers(0, 2**32))
few = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def operations(service: str):
    found = model(service)
    every = map(found.operation, sorted(found.operations))
    return [op for op in every if not (service == "s3" and (op.deprecated or op.name == EXPRESS))]


@pytest.mark.parametrize(("service", "protocol"), SERVICES)
@seeds
@few
def test_requests_arrive_as_the_client_meant_them(service, protocol, seed):
    speaker, faults = PROTOCOLS[protocol](model(service)), []
    for operation in operations(service):
        params = value(operation.input_shape, Random(f"{seed}{operation.name}")) if operation.input_shape else {}
        request, data = request_of(protocol, operation, params)
        found, context = speaker.find(request, data)
        got = speaker.parse(found, context, request, data) if found.name == operation.name else {"is": found.name}
        for member in HTTP_SETS - params.keys():
            got.pop(member, None)
        if fault := difference(essence(params), essence(got)):
            faults.append(f"{operation.name}{fault}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(("service", "protocol"), SERVICES)
@seeds
@few
def test_results_arrive_as_the_handler_meant_them(service, protocol, seed):
    speaker, faults = PROTOCOLS[protocol](model(service)), []
    for operation in operations(service):
        if operation.has_event_stream_output or operation.output_shape is None:
            continue
        result = value(operation.output_shape, Random(f"{seed}{operation.name}"))
        request, _ = request_of(protocol, operation, minimal(operation))
        response = speaker.serialise(operation, result, request, "id")
        if fault := difference(essence(result), essence(parsed(protocol, operation, response))):
            faults.append(f"{operation.name}{fault}")
    assert not faults, "\n".join(faults)


def minimal(operation):
    shape = operation.input_shape
    return {m: value(shape.members[m], Random(0)) for m in shape.required_members} if shape else {}


@pytest.mark.parametrize(("service", "protocol"), SERVICES)
def test_every_operation_can_be_registered_by_its_snake_case_name(service, protocol):
    handlers = dict.fromkeys(model(service).names, lambda call: None)
    assert Service(service, handlers, [protocol]).offered == model(service).operations
