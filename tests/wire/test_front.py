"""The front door as real clients see it: boto3 over a real uvicorn."""

import logging
import os
import socket
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.wire.live import ONCE, SECRET

KEYS = ["plain", "a b/ü+~*()=%", "x//y", "up/../down", "tail/", "漢/&<>'\"", "a%20b", ".", "-_.~!$'(),;:@&="]


def code_of(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_every_protocol_answers_its_client(connect):
    assert connect("sagemaker").list_models()["Models"][0]["CreationTime"] == datetime(2026, 1, 2, tzinfo=UTC)
    assert connect("sts", region_name="eu-west-1").get_caller_identity()["UserId"] == "eu-west-1"
    assert connect("cloudwatch").list_metrics()["Metrics"] == [{"Namespace": "n", "MetricName": "m"}]


def test_answers_carry_request_ids(connect):
    json_id = connect("sagemaker").list_models()["ResponseMetadata"]["RequestId"]
    s3 = connect("s3").put_object(Bucket="b", Key="k")["ResponseMetadata"]
    query_id = connect("sts").get_caller_identity()["ResponseMetadata"]["RequestId"]
    assert len({json_id, s3["RequestId"], query_id}) == 3
    assert all(len(i) == 36 for i in (json_id, s3["RequestId"], s3["HostId"], query_id))


@pytest.mark.parametrize("key", KEYS)
def test_keys_arrive_as_written(connect, shelf, key):
    connect("s3").put_object(Bucket="bucket", Key=key, Body=b"data", Metadata={"m": "v"})
    assert shelf.last.params["Key"] == key
    assert shelf.last.params["Bucket"] == "bucket"
    assert shelf.last.params["Metadata"] == {"m": "v"}
    assert connect("s3").get_object(Bucket="bucket", Key=key)["Body"].read() == b"data"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
@pytest.mark.parametrize("key", KEYS)
def test_presigned_urls_of_both_versions_are_believed(connect, shelf, key, version):
    shelf.stored[key] = b"presigned"
    s3 = connect("s3", config=Config(signature_version=version))
    parameters = {"Bucket": "bucket", "Key": key, "ResponseContentType": "image/x y"}
    url = s3.generate_presigned_url("get_object", Params=parameters)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"presigned"
        assert answer.headers["content-type"] == "image/x y"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_uploads_carry_their_headers(connect, shelf, version):
    s3 = connect("s3", config=Config(signature_version=version))
    parameters = {"Bucket": "bucket", "Key": "up", "ContentType": "image/png", "Metadata": {"who": "me"}}
    url = s3.generate_presigned_url("put_object", Params=parameters)
    headers = {"content-type": "image/png", "x-amz-meta-who": "me"}
    with urllib.request.urlopen(urllib.request.Request(url, b"picture", headers, method="PUT")):
        assert shelf.stored["up"] == b"picture"
    assert shelf.last.params["ContentType"] == "image/png"
    assert shelf.last.params["Metadata"] == {"who": "me"}


def test_large_bodies_pass_both_ways_in_pieces(connect, shelf):
    data = os.urandom(5_000_000)
    connect("s3").put_object(Bucket="b", Key="large", Body=data)
    assert shelf.stored["large"] == data
    assert 256_000 < max(shelf.piece_sizes) < 1_000_000
    assert connect("s3").get_object(Bucket="b", Key="large")["Body"].read() == data


def test_a_content_range_makes_the_answer_partial(connect, shelf):
    shelf.stored["k"] = b"012345"
    answer = connect("s3").get_object(Bucket="b", Key="k", Range="bytes=1-3")
    assert (answer["Body"].read(), answer["ResponseMetadata"]["HTTPStatusCode"]) == (b"123", 206)


def test_a_response_may_be_a_stream(port, connect):
    s3 = connect("s3", config=Config(signature_version="s3v4"))
    url = s3.generate_presigned_url("get_object_attributes", Params={"Bucket": "b", "Key": "k", "ObjectAttributes": []})
    request = urllib.request.Request(url, headers={"x-amz-object-attributes": "ETag"})
    with pytest.raises(urllib.error.HTTPError) as refused:  # the header was not signed
        urllib.request.urlopen(request)
    with refused.value as error:
        assert b"not signed" in error.read()
    anonymous = urllib.request.Request(
        f"http://127.0.0.1:{port}/b/k?attributes", headers={"x-amz-object-attributes": "ETag"}
    )
    with urllib.request.urlopen(anonymous) as answer:
        assert answer.read() == b"012"


def test_xml_documents_are_read_and_written(connect):
    objects = [{"Key": "a&b"}, {"Key": "ü"}]
    assert connect("s3").delete_objects(Bucket="b", Delete={"Objects": objects})["Deleted"] == objects


def test_unsigned_requests_reach_s3_as_nobody(connect, shelf):
    shelf.stored["public"] = b"p"
    s3 = connect("s3", config=Config(signature_version=UNSIGNED))
    assert s3.get_object(Bucket="b", Key="public")["Body"].read() == b"p"
    assert shelf.last.caller.anonymous


def test_a_bucket_may_stand_in_the_host_name(port, shelf):
    shelf.stored["x y"] = b"v"
    for host in ("my.bucket.localhost", f"my.bucket.localhost:{port}", "my.bucket.s3.amazonaws.com"):
        request = urllib.request.Request(f"http://127.0.0.1:{port}/x%20y", headers={"host": host})
        with urllib.request.urlopen(request) as answer:
            assert answer.read() == b"v"
        assert shelf.last.params["Bucket"] == "my.bucket"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_virtual_hosts_are_signed_for(shelf, port, connect, version):
    shelf.stored["k"] = b"v"
    config = Config(signature_version=version, s3={"addressing_style": "virtual"})
    s3 = connect("s3", config=config, endpoint_url=f"http://localhost:{port}")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "k"})
    assert url.startswith(f"http://bucket.localhost:{port}/k?")
    request = urllib.request.Request(url.replace("bucket.localhost", "127.0.0.1"))
    request.add_header("host", f"bucket.localhost:{port}")
    with urllib.request.urlopen(request) as answer:
        assert answer.read() == b"v"
    assert (shelf.last.params["Bucket"], shelf.last.caller.anonymous) == ("bucket", False)


def test_large_metric_data_arrive_gzipped(connect, shelf):
    data = [{"MetricName": "m" * 200, "Value": float(i)} for i in range(100)]
    connect("cloudwatch").put_metric_data(Namespace="n", MetricData=data)
    assert shelf.last.request.headers["content-encoding"] == "gzip"
    assert len(shelf.last.params["MetricData"]) == 100


def test_health_is_public(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/_darkroom/health") as answer:
        assert answer.read() == b'{"status":"ok","version":"9.9","pid":%d}' % os.getpid()


# Errors


def test_errors_of_handlers_arrive_with_code_and_message(connect):
    with pytest.raises(ClientError, match="Could not find model 'x'") as json_error:
        connect("sagemaker").describe_model(ModelName="x")
    assert code_of(json_error) == ("ValidationException", 400)
    with pytest.raises(ClientError) as xml_error:
        connect("s3").get_object(Bucket="b", Key="ab<sent")
    assert code_of(xml_error) == ("NoSuchKey", 404)
    assert xml_error.value.response["Error"]["Key"] == "ab<sent"


def test_errors_of_head_requests_have_no_body(connect):
    with pytest.raises(ClientError) as error:
        connect("s3").head_object(Bucket="b", Key="absent")
    assert code_of(error) == ("404", 404)


def test_cloudwatch_clients_see_the_codes_of_the_old_protocol(connect):
    with pytest.raises(ClientError) as error:
        connect("cloudwatch").get_dashboard(DashboardName="d")
    assert code_of(error)[0] == "ResourceNotFound"
    assert error.value.response["Error"]["QueryErrorCode"] == "DashboardNotFoundError"


def test_operations_without_a_handler_say_so_and_are_not_retried(connect):
    patient = Config(retries={"total_max_attempts": 3})
    for service, call, expected in (
        ("sagemaker", lambda c: c.list_endpoints(), ("UnknownOperationException", 400)),
        ("s3", lambda c: c.get_bucket_cors(Bucket="b"), ("NotImplemented", 501)),
        ("sts", lambda c: c.get_session_token(), ("InvalidAction", 400)),
        ("cloudwatch", lambda c: c.list_dashboards(), ("UnknownOperationException", 400)),
    ):
        with pytest.raises(ClientError, match=r"is not offered by Darkroom; docs/reference/operations\.md") as error:
            call(connect(service, config=patient))
        assert code_of(error) == expected
        assert error.value.response["ResponseMetadata"]["RetryAttempts"] == 0


@pytest.mark.parametrize("service", ["ec2", "lambda", "dynamodb"])
def test_services_that_are_not_offered_say_so(connect, service):
    calls = {"ec2": "describe_instances", "lambda": "list_functions", "dynamodb": "list_tables"}
    with pytest.raises(ClientError, match=f"The service '{service}' is not offered by Darkroom"):
        getattr(connect(service), calls[service])()


def test_faults_of_ours_are_logged_and_not_told(connect, caplog):
    with caplog.at_level(logging.ERROR), pytest.raises(ClientError) as error:
        connect("sagemaker", config=ONCE).delete_model(ModelName="m")
    assert code_of(error) == ("InternalError", 500)
    assert "secret" not in str(error.value)
    assert "a fault of ours that mentions /secret/paths" in caplog.text


@pytest.mark.parametrize(
    ("service", "call", "key_code", "secret_code"),
    [
        ("s3", "list_buckets", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        ("sagemaker", "list_models", "UnrecognizedClientException", "InvalidSignatureException"),
        ("sts", "get_caller_identity", "InvalidClientTokenId", "SignatureDoesNotMatch"),
    ],
)
def test_wrong_keys_are_refused_in_the_services_own_words(connect, service, call, key_code, secret_code):
    for wrong, code in (({"aws_access_key_id": "AKOTHER"}, key_code), ({"aws_secret_access_key": "x"}, secret_code)):
        with pytest.raises(ClientError) as error:
            getattr(connect(service, **wrong), call)()
        assert code_of(error)[0] == code


def test_unsigned_requests_are_refused_where_nothing_is_public(connect):
    unsigned = Config(signature_version=UNSIGNED)
    for service, call, code in (
        ("sagemaker", "list_models", "MissingAuthenticationTokenException"),
        ("sts", "get_caller_identity", "MissingAuthenticationToken"),
        ("cloudwatch", "list_metrics", "MissingAuthenticationTokenException"),
    ):
        with pytest.raises(ClientError) as error:
            getattr(connect(service, config=unsigned), call)()
        assert code_of(error)[0] == code


def test_a_body_that_was_tampered_with_is_not_stored(connect, shelf, port):
    head = signed_head(connect("s3"), "tampered", b"honest").replace(b"Expect: 100-continue\r\n", b"")
    shelf.stored.clear()
    answer = exchange(port, head + b"h0nest")
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"XAmzContentSHA256Mismatch" in answer
    assert shelf.stored == {}


def signed_head(s3, key: str, body: bytes) -> bytes:
    """The head of an upload as boto3 sent it."""
    captured = []
    s3.meta.events.register("before-send.s3.PutObject", lambda request, **_: captured.append(request))
    s3.put_object(Bucket="b", Key=key, Body=body)
    headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in captured[0].headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"PUT /b/{key} HTTP/1.1\r\n{lines}\r\n".encode()


def exchange(port: int, data: bytes, until: bytes = b"</Error>") -> bytes:
    """Sends bytes, returns what comes until a mark, the end, or silence."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        answer = b""
        while until not in answer and (piece := connection.recv(65536)):
            answer += piece
        return answer


# Expect: 100-continue


def test_a_refused_upload_is_never_sent(connect, shelf):
    """The client waits for "100 Continue", and is told the answer instead."""
    with pytest.raises(ClientError) as error:
        connect("s3", aws_secret_access_key="wrong").put_object(Bucket="b", Key="k", Body=b"x" * 30_000_000)
    assert code_of(error) == ("SignatureDoesNotMatch", 403)
    assert error.value.response["ResponseMetadata"]["HTTPHeaders"]["connection"] == "close"


def test_continue_comes_before_the_body_and_only_for_believed_heads(connect, port):
    good = signed_head(connect("s3"), "k", b"four")
    assert exchange(port, good, b"100 Continue\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    bad = good.replace(b"Signature=", b"Signature=0")
    assert exchange(port, bad).startswith(b"HTTP/1.1 400")


def test_a_refused_body_that_comes_anyway_leaves_the_connection_in_step(port):
    upload = (
        b"PUT /b/k HTTP/1.1\r\nHost: x\r\nAuthorization: nonsense\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
    )
    health = b"GET /_darkroom/health HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = exchange(port, upload + health, b'"status":"ok"')
    assert answer.count(b"HTTP/1.1 ") == 2
    assert SECRET.encode() not in answer


def test_strangers_cannot_fill_the_memory_with_bodies(port):
    """Refused by their key, before a byte of the body is kept."""
    scope = b"AKIASTRANGER/%s/us-east-1/sagemaker/aws4_request"
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ").encode()
    head = (
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: SageMaker.ListModels\r\nX-Amz-Date: %s\r\n"
        b"Expect: 100-continue\r\n"
        b"Authorization: AWS4-HMAC-SHA256 Credential=%s, SignedHeaders=host;x-amz-date;x-amz-target, Signature=%s\r\n"
        b"Content-Length: 8000000\r\n\r\n"
    ) % (stamp, scope % stamp[:8], b"0" * 64)
    assert b"UnrecognizedClientException" in exchange(port, head, b"}")


def test_nobody_unknown_has_a_document_read(port):
    head = b"POST /b?delete HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 8000000\r\n\r\n"
    assert b"<Code>AccessDenied</Code>" in exchange(port, head)
