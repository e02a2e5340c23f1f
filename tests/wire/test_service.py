"""One service at a time, without a server: what a handler is given, what a client reads, and every malformed body."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from darkroom.wire.messages import Caller, FileSlice, Request, Response, ServiceError
from darkroom.wire.models import model
from darkroom.wire.service import Service
from tests.wire.shapes import body_of, parsed, request_of

CALLER = Caller("AK", "eu-west-1")
BOMB = b'<!DOCTYPE l [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'
EXTERNAL = b'<!DOCTYPE d SYSTEM "file:///etc/passwd"><Delete/>'


async def answered(service: Service, request: Request, data: bytes | None) -> Response:
    async def in_thread(function):
        return await asyncio.to_thread(function)

    return await service.answer(request, data, CALLER, "the-id", in_thread)


def ask(service: Service, request: Request, data: bytes | None) -> Response:
    return asyncio.run(answered(service, request, data))


def json_request(target: str, headers: dict[str, str] | None = None) -> Request:
    given = {"x-amz-target": target, "content-type": "application/x-amz-json-1.1"} | (headers or {})
    return Request("POST", "/", "", [], given, body_of(b""))


def s3_request(method: str, path: str, query: list[tuple[str, str]] | None = None, body: bytes = b"", **headers: str):
    return Request(method, path, "", query or [], headers, body_of(body))


def recorder(**results) -> tuple[dict, list]:
    """Handlers that note their calls and return (or raise) what is given."""
    calls: list = []

    def handler(result):
        def handle(call):
            calls.append(call)
            if isinstance(result, Exception):
                raise result
            return result

        return handle

    return {name: handler(result) for name, result in results.items()}, calls


# What handlers get and give


def test_a_handler_gets_parsed_parameters():
    handlers, calls = recorder(create_training_job={"TrainingJobArn": "arn:aws:sagemaker:x"})
    body = {
        "TrainingJobName": "j", "RoleArn": "arn:aws:iam::123456789012:role/r", "Unknown": {"x": [1]}, "Tags": None,
        "AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": None},
        "OutputDataConfig": {"S3OutputPath": "s3://b"}, "StoppingCondition": {"MaxRuntimeInSeconds": 60.0},
        "HyperParameters": {"num_classes": "2", "absent": None},
    }  # fmt: skip
    answer = ask(Service("sagemaker", handlers), json_request("SageMaker.CreateTrainingJob"), json.dumps(body).encode())
    assert json.loads(answer.body) == {"TrainingJobArn": "arn:aws:sagemaker:x"}
    assert answer.headers["x-amzn-requestid"] == "the-id"
    (call,) = calls
    assert (call.operation, call.caller, call.request_id) == ("CreateTrainingJob", CALLER, "the-id")
    assert call.params == {
        "TrainingJobName": "j", "RoleArn": "arn:aws:iam::123456789012:role/r",
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://b"}, "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "HyperParameters": {"num_classes": "2"},
    }  # fmt: skip


def test_results_lose_what_the_model_does_not_know():
    result = {"ModelName": "m", "Ours": 1, "PrimaryContainer": {"Image": None, "Mode": "SingleModel"}}
    handlers, _ = recorder(describe_model=result)
    answer = ask(Service("sagemaker", handlers), json_request("SageMaker.DescribeModel"), b'{"ModelName":"m"}')
    assert json.loads(answer.body) == {"ModelName": "m", "PrimaryContainer": {"Mode": "SingleModel"}}


def test_timestamps_come_in_every_form_that_clients_write():
    handlers, calls = recorder(list_models={})
    moment = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
    for written in (1778051289, 1778051289.0, "1778051289", "2026-05-06T07:08:09Z", "2026-05-06T09:08:09+02:00",
                    "2026-05-06T07:08:09", "Wed, 06 May 2026 07:08:09 GMT"):  # fmt: skip
        body = json.dumps({"CreationTimeAfter": written}).encode()
        assert ask(Service("sagemaker", handlers), json_request("SageMaker.ListModels"), body).status == 200
        assert calls[-1].params["CreationTimeAfter"] == moment


def test_an_empty_body_is_an_empty_structure():
    handlers, calls = recorder(list_models={})
    for body in (b"", b" \n", b"{}"):
        assert ask(Service("sagemaker", handlers), json_request("SageMaker.ListModels"), body).status == 200
    assert [c.params for c in calls] == [{}, {}, {}]


def test_the_answer_speaks_the_json_version_of_the_question():
    handlers, _ = recorder(list_models={})
    for version in ("1.0", "1.1"):
        request = json_request("SageMaker.ListModels", {"content-type": f"application/x-amz-json-{version}"})
        answer = ask(Service("sagemaker", handlers), request, b"{}")
        assert answer.headers["content-type"] == f"application/x-amz-json-{version}"


def test_a_payload_may_be_a_file_and_headers_come_from_members():
    part = FileSlice(Path("/blob"), 2, 5)
    modified = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
    result = {"Body": part, "ContentRange": "bytes 2-4/9", "LastModified": modified, "Metadata": {"A": "b"}}
    handlers, _ = recorder(get_object=result)
    answer = ask(Service("s3", handlers), s3_request("GET", "/b/k"), None)
    assert (answer.status, answer.body) == (206, part)
    assert answer.headers["last-modified"] == "Wed, 06 May 2026 07:08:09 GMT"
    assert answer.headers["x-amz-meta-a"] == "b"
    assert "content-type" not in answer.headers


def test_a_whole_response_only_gains_its_ids():
    handlers, _ = recorder(get_object=Response(299, {"x": "y"}, b"z"))
    answer = ask(Service("s3", handlers), s3_request("GET", "/b/k"), None)
    assert (answer.status, answer.body) == (299, b"z")
    assert answer.headers == {"x": "y", "x-amz-request-id": "the-id", "x-amz-id-2": "the-id"}


def test_carriage_returns_survive_xml():
    handlers, _ = recorder(list_objects_v2={"Name": "b", "Contents": [{"Key": "a\r\n\tb&<>\"'"}]})
    request = s3_request("GET", "/b", [("list-type", "2")])
    answer = ask(Service("s3", handlers), request, None)
    got = parsed("rest-xml", model("s3").operation("ListObjectsV2"), answer)
    assert got["Contents"][0]["Key"] == "a\r\n\tb&<>\"'"


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation"),
    [
        ("GET", "/", {}, {}, "ListBuckets"),
        ("GET", "/b", {}, {}, "ListObjects"),
        ("GET", "/b/", {"delimiter": ""}, {}, "ListObjects"),
        ("GET", "/b", {"list-type": "2"}, {}, "ListObjectsV2"),
        ("GET", "/b", {"uploads": ""}, {}, "ListMultipartUploads"),
        ("GET", "/b", {"location": ""}, {}, "GetBucketLocation"),
        ("GET", "/b/k", {"uploadId": "u"}, {}, "ListParts"),
        ("GET", "/b/k", {"x-id": "GetObject"}, {}, "GetObject"),
        ("GET", "/b//", {}, {}, "GetObject"),
        ("GET", "/b/k/", {}, {}, "GetObject"),
        ("PUT", "/b/k", {}, {}, "PutObject"),
        ("PUT", "/b/k", {}, {"x-amz-copy-source": "b/x"}, "CopyObject"),
        ("PUT", "/b/k", {"uploadId": "u", "partNumber": "1"}, {}, "UploadPart"),
        ("PUT", "/b/k", {"uploadId": "u", "partNumber": "1"}, {"x-amz-copy-source": "b/x"}, "UploadPartCopy"),
        ("POST", "/b", {"delete": ""}, {}, "DeleteObjects"),
        ("POST", "/b/k", {"uploads": ""}, {}, "CreateMultipartUpload"),
        ("POST", "/b/k", {"uploadId": "u"}, {}, "CompleteMultipartUpload"),
        ("DELETE", "/b/k", {"uploadId": "u"}, {}, "AbortMultipartUpload"),
        ("HEAD", "/b", {}, {}, "HeadBucket"),
        ("PUT", "/b", {"policy": ""}, {}, "PutBucketPolicy"),
    ],
)
def test_s3_operations_are_told_apart(method, path, query, headers, operation):
    request = Request(method, path, "", list(query.items()), headers, body_of(b""))
    speaker = Service("s3", {}).protocol(request)
    assert speaker.find(request, b"")[0].name == operation


def test_labels_are_decoded_and_keep_their_slashes():
    handlers, calls = recorder(get_object={})
    ask(Service("s3", handlers), s3_request("GET", "/b/%C3%BC%20/%2F//x/"), None)
    assert calls[0].params["Key"] == "ü //" + "//x/"


# Errors


@pytest.mark.parametrize(
    ("service", "protocol", "operation", "code", "seen", "status"),
    [
        ("sagemaker", "json", "DescribeModel", "ResourceNotFound", "ResourceNotFound", 400),
        ("logs", "json", "GetLogEvents", "ResourceNotFoundException", "ResourceNotFoundException", 400),
        ("sts", "query", "GetCallerIdentity", "AccessDenied", "AccessDenied", 400),
        ("iam", "query", "GetRole", "NoSuchEntityException", "NoSuchEntity", 404),
        ("iam", "query", "GetRole", "NoSuchEntity", "NoSuchEntity", 404),
        ("cloudwatch", "query", "GetDashboard", "ResourceNotFound", "ResourceNotFound", 404),
        ("cloudwatch", "json", "GetDashboard", "InvalidParameterValueException", "InvalidParameterValue", 400),
        ("s3", "rest-xml", "GetObject", "NoSuchKey", "NoSuchKey", 404),
        ("sagemaker-runtime", "rest-json", "InvokeEndpoint", "ModelError", "ModelError", 424),
    ],
)
def test_errors_are_read_by_each_protocols_own_client(service, protocol, operation, code, seen, status):
    speaker = Service(service, {}, [protocol])
    request = s3_request("GET", "/")
    answer = speaker.refuse(ServiceError(code, "said <so> & thus"), request, "the-id")
    got = parsed(protocol, model(service).operation(operation), answer)
    assert (got["Error"]["Code"], got["Error"]["Message"], answer.status) == (seen, "said <so> & thus", status)
    assert got["ResponseMetadata"]["RequestId"] == "the-id"


def test_further_members_of_an_error_arrive():
    error = ServiceError("ModelError", "m", 424, OriginalStatusCode=415, OriginalMessage="o", LogStreamArn="arn")
    answer = Service("sagemaker-runtime", {}).refuse(error, s3_request("POST", "/"), "i")
    assert json.loads(answer.body).items() >= error.extra.items()


def test_headers_of_an_error_arrive():
    error = ServiceError("PermanentRedirect", "m", 301, {"x-amz-bucket-region": "eu"}, Endpoint="e")
    answer = Service("s3", {}).refuse(error, s3_request("HEAD", "/b"), "i")
    assert (answer.status, answer.headers["x-amz-bucket-region"], answer.body) == (301, "eu", b"")


@pytest.mark.parametrize(
    ("service", "operation", "params", "code"),
    [
        ("sagemaker", "DescribeModel", {"ModelName": "_"}, "ValidationException"),
        ("logs", "GetLogEvents", {"logStreamName": ":"}, "InvalidParameterException"),
        ("ecr", "DescribeRepositories", {"maxResults": 0}, "InvalidParameterException"),
        ("cloudwatch", "ListMetrics", {"Namespace": ""}, "ValidationException"),
    ],
)
def test_broken_constraints_have_the_services_own_code(service, operation, params, code):
    handlers, calls = recorder(**{name: {} for name, op in model(service).names.items() if op == operation})
    answer = ask(Service(service, handlers), json_request(f"X.{operation}"), json.dumps(params).encode())
    assert json.loads(answer.body)["__type"] == code
    assert "failed to satisfy constraint" in json.loads(answer.body)["message"]
    assert calls == []


def test_constraints_hold_in_the_query_protocol():
    handlers, _ = recorder(get_role={})
    operation = model("iam").operation("GetRole")
    request, data = request_of("query", operation, {"RoleName": "no spaces here"})
    answer = ask(Service("iam", handlers), request, data)
    assert parsed("query", operation, answer)["Error"]["Code"] == "ValidationError"


# Malformed bodies: always the client's error, always in words


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "not valid JSON"),
        (b'{"ModelName": }', "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[]", "Expected structure or null, found START_ARRAY"),
        (b'"x"', "Expected structure or null, found STRING_VALUE"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"TrainingJobName": 7}', "NUMBER_VALUE can not be converted to a String at 'TrainingJobName'"),
        (b'{"TrainingJobName": {}}', "START_OBJECT can not be converted to a String"),
        (b'{"TrainingJobName": "\\ud800"}', "half of a surrogate pair"),
        (b'{"HyperParameters": {"\\udfff": "x"}}', "half of a surrogate pair"),
        (b'{"HyperParameters": []}', "Expected map or null, found START_ARRAY at 'HyperParameters'"),
        (b'{"HyperParameters": {"a": 1}}', "can not be converted to a String"),
        (b'{"InputDataConfig": {"a": 1}}', "Expected list or null, found START_OBJECT"),
        (b'{"ResourceConfig": {"InstanceCount": "two"}}', "to an Integer at 'ResourceConfig.InstanceCount'"),
        (b'{"ResourceConfig": {"InstanceCount": 1.5}}', "can not be converted to an Integer"),
        (b'{"ResourceConfig": {"InstanceCount": true}}', "BOOLEAN_VALUE can not be converted to an Integer"),
        (b'{"ResourceConfig": {"InstanceCount": 9999999999}}', "out of range for an Integer"),
        (b'{"ResourceConfig": {"InstanceCount": NaN}}', "can not be converted to an Integer"),
        (b'{"ResourceConfig": {"InstanceCount": 1e999}}', "can not be converted to an Integer"),
        (b'{"EnableNetworkIsolation": "yes"}', "STRING_VALUE can not be converted to a Boolean"),
    ],
)  # fmt: skip
def test_malformed_json(body, text):
    handlers, calls = recorder(create_training_job={})
    answer = ask(Service("sagemaker", handlers), json_request("SageMaker.CreateTrainingJob"), body)
    assert (answer.status, json.loads(answer.body)["__type"]) == (400, "SerializationException")
    assert text in json.loads(answer.body)["message"]
    assert calls == []


@pytest.mark.parametrize("value", ['"x"', "{}", "[]", "true", "1e300", "-1e300", "NaN", '"2026-13-45"', '"²"', '""'])
def test_malformed_timestamps(value):
    handlers, _ = recorder(list_models={})
    body = f'{{"CreationTimeAfter": {value}}}'.encode()
    answer = ask(Service("sagemaker", handlers), json_request("SageMaker.ListModels"), body)
    assert json.loads(answer.body)["__type"] == "SerializationException"


@pytest.mark.parametrize("value", ["!", "YQ", "ü", 1, [], {}])
def test_malformed_base64(value):
    handlers, _ = recorder(upload_layer_part={})
    body = json.dumps({"layerPartBlob": value}).encode()
    answer = ask(Service("ecr", handlers), json_request("ECR.UploadLayerPart"), body)
    assert json.loads(answer.body)["__type"] == "SerializationException"


def test_deep_recursive_structures():
    handlers, _ = recorder(search={})
    nested: dict = {}
    for _ in range(300):
        nested = {"SubExpressions": [nested]}
    body = json.dumps({"Resource": "TrainingJob", "SearchExpression": nested}).encode()
    answer = ask(Service("sagemaker", handlers), json_request("SageMaker.Search"), body)
    assert "nested more than 100 deep" in json.loads(answer.body)["message"]


@pytest.mark.parametrize(
    "target", ["", "SageMaker", "SageMaker.", "SageMaker.Nonsense", "../../x", "SageMaker.__class__"]
)
def test_unknown_targets(target):
    answer = ask(Service("sagemaker", {}), json_request(target), b"{}")
    assert (answer.status, json.loads(answer.body)["__type"]) == (400, "UnknownOperationException")


@pytest.mark.parametrize(
    "body",
    [
        b"<", b"not xml", b"<Delete>", b"<Delete></Other>", b"<a/><b/>", b"\x00", b"\xff\xfe", BOMB, EXTERNAL,
        b"<Delete><Object><Key>\x01</Key></Object></Delete>", b"<a>" * 10_000, b"<Delete>&undefined;</Delete>",
        b"<Delete><Quiet>maybe</Quiet></Delete>", b"<Delete><Object><Key><b/></Key></Object></Delete>",
        b'<?xml version="1.0" encoding="nonsense"?><Delete/>',
    ],
)  # fmt: skip
def test_malformed_xml(body):
    handlers, calls = recorder(delete_objects={})
    answer = ask(Service("s3", handlers), s3_request("POST", "/b", [("delete", "")], body), None)
    got = parsed("rest-xml", model("s3").operation("DeleteObjects"), answer)
    assert (got["Error"]["Code"], answer.status) == ("MalformedXML", 400)
    assert calls == []


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "code"),
    [
        ("GET", "/b", {"max-keys": "many"}, {}, "InvalidArgument"),
        ("GET", "/b", {"max-keys": "99999999999999"}, {}, "InvalidArgument"),
        ("GET", "/b/k", {}, {"if-modified-since": "yesterday"}, "InvalidArgument"),
        ("PUT", "/b/k", {"uploadId": "u", "partNumber": "one"}, {}, "InvalidArgument"),
        ("GET", "/b/%FF", {}, {}, "InvalidURI"),
        ("PATCH", "/b/k", {}, {}, "MethodNotAllowed"),
        ("POST", "/b/k", {}, {}, "MethodNotAllowed"),
        ("GET", "//k", {}, {}, "MethodNotAllowed"),
    ],
)
def test_malformed_heads(method, path, query, headers, code):
    handlers, _ = recorder(list_objects={}, get_object={}, upload_part={})
    request = Request(method, path, "", list(query.items()), headers, body_of(b""))
    answer = ask(Service("s3", handlers), request, None)
    assert f"<Code>{code}</Code>".encode() in answer.body


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (b"", "MissingAction"),
        (b"Action=Nonsense", "InvalidAction"),
        (b"\xff", "MalformedInput"),
        (b"a&" * 30_000, "MalformedInput"),
        (b"Action=PutMetricData&Namespace.x=1", "MalformedInput"),
        (b"Action=PutMetricData&Namespace=n&MetricData=x", "MalformedInput"),
        (b"Action=PutMetricData&Namespace=n&MetricData.member=x", "MalformedInput"),
        (b"Action=PutMetricData&Namespace=n&MetricData.member.one.MetricName=m", "MalformedInput"),
        (b"Action=PutMetricData&Namespace=n&MetricData.member.1=m", "MalformedInput"),
        (b"Action=PutMetricData&Namespace=n&MetricData.member.1.Value=x", "MalformedInput"),
        (b"Action=PutMetricData&Namespace=n&MetricData.member.1.Timestamp=x", "MalformedInput"),
        (b"Action=PutMetricData&A=1&A.B=2", "MalformedInput"),
        (b"Action=PutMetricData&A.B=2&A=1", "MalformedInput"),
        (b"Action=PutMetricData&" + b"A." * 1000 + b"B=1", "ValidationError"),
        ("Action=PutMetricData&MetricData.member.².Value=1".encode(), "MalformedInput"),
    ],
)
def test_malformed_forms(form, code):
    handlers, calls = recorder(put_metric_data={})
    answer = ask(Service("cloudwatch", handlers, ["query"]), s3_request("POST", "/"), form)
    assert (answer.status, f"<Code>{code}</Code>".encode() in answer.body) == (400, True), answer.body
    assert calls == []


def test_a_body_past_the_limit_is_refused_with_the_services_text():
    handlers, _ = recorder(delete_objects={})
    service = Service("s3", handlers, body_limit=10, too_large="ten bytes are enough")
    answer = ask(service, s3_request("POST", "/b", [("delete", "")], b"<Delete></Delete>"), None)
    assert (answer.status, b"ten bytes are enough" in answer.body) == (413, True)


def test_handlers_for_unknown_operations_are_our_mistake():
    with pytest.raises(AssertionError, match="no operations"):
        _ = Service("sts", {"get_caler_identity": lambda call: None}).offered
