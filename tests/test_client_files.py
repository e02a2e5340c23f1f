import json
from pathlib import Path

import boto3
import botocore.session
import pytest

from darkroom import client_files
from darkroom.errors import Invalid
from darkroom.identity import Identity
from darkroom.settings import Settings

KEYS = Identity("AKIAEXAMPLE", "secret")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path, port=4321, region="eu-west-1")
    client_files.write(settings)
    return settings


def test_everything_the_variables_point_at_is_there(settings: Settings) -> None:
    values = client_files.environment(settings, KEYS, sdk=2, environ={})
    assert values["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4321"
    assert values["AWS_DEFAULT_REGION"] == values["AWS_REGION"] == "eu-west-1"
    assert (values["AWS_ACCESS_KEY_ID"], values["AWS_SECRET_ACCESS_KEY"]) == ("AKIAEXAMPLE", "secret")
    assert Path(values["SAGEMAKER_USER_CONFIG_OVERRIDE"]).is_file()
    assert Path(values["PIP_CONSTRAINT"]).read_text() == "sagemaker>=2,<3\n"
    assert (Path(values["AWS_DATA_PATH"]) / "sts" / "2011-06-15" / "endpoint-rule-set-1.json").is_file()


@pytest.mark.parametrize("explicit", [None, "https://sts.eu-west-1.amazonaws.com", "https://sts.amazonaws.com"])
def test_the_hard_coded_sts_host_is_led_here(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, explicit: str | None
) -> None:
    for name, value in client_files.environment(settings, KEYS, environ={}).items():
        monkeypatch.setenv(name, value)
    request = {}

    def catch(request_signer=None, **given):
        request.update(url=given["request"].url, headers=given["request"].headers)
        return object.__new__(_Answer)

    session = boto3.Session(botocore_session=botocore.session.Session())
    sts = session.client("sts", region_name="eu-west-1", endpoint_url=explicit)
    sts.meta.events.register("before-send.sts", catch)
    assert sts.get_caller_identity()["Account"] == "000000000000"
    assert request["url"] == "http://127.0.0.1:4321/"
    assert b"/eu-west-1/sts/aws4_request" in request["headers"]["Authorization"]


class _Answer:
    status_code = 200
    headers: dict[str, str] = {}  # noqa: RUF012 - read by botocore only
    content = (
        b"<GetCallerIdentityResponse><GetCallerIdentityResult><Account>000000000000</Account>"
        b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
    )


def test_a_server_on_every_address_is_reached_by_loopback(tmp_path: Path) -> None:
    assert client_files.url(Settings(home=tmp_path, host="0.0.0.0", port=1)) == "http://127.0.0.1:1"
    assert client_files.url(Settings(home=tmp_path, host="::", port=1)) == "http://[::1]:1"
    assert client_files.url(Settings(home=tmp_path, host="darkroom.lan", port=1)) == "http://darkroom.lan:1"


def test_lists_of_the_user_are_added_to_once(settings: Settings) -> None:
    theirs = {"NO_PROXY": "intranet", "AWS_DATA_PATH": "/models"}
    first = client_files.environment(settings, KEYS, environ=theirs)
    assert first["NO_PROXY"] == "127.0.0.1,sts.eu-west-1.amazonaws.com,sts.amazonaws.com,intranet"
    assert first["AWS_DATA_PATH"] == f"{settings.home}/client/models:/models"
    assert client_files.environment(settings, KEYS, environ=first) == first


def test_what_would_lead_a_client_elsewhere_is_named() -> None:
    environ = {"AWS_PROFILE": "work", "AWS_ENDPOINT_URL_STS": "https://x", "AWS_ENDPOINT_URL": "ours", "PATH": "/bin"}
    assert client_files.interfering(environ) == ["AWS_ENDPOINT_URL_STS", "AWS_PROFILE"]


def test_an_unknown_generation_of_the_sdk_is_refused(settings: Settings) -> None:
    with pytest.raises(Invalid, match="there is no sagemaker SDK 4; choose one of 1, 2, 3"):
        client_files.environment(settings, KEYS, sdk=4)


def test_a_new_address_replaces_the_files_whole(settings: Settings) -> None:
    moved = Settings(home=settings.home, port=99)
    client_files.write(moved)
    rules = json.loads((client_files.folder(moved) / client_files.RULE_SET).read_text())
    assert rules["rules"][0]["endpoint"]["url"] == "http://127.0.0.1:99"
    assert not list(client_files.folder(moved).rglob(".*"))
