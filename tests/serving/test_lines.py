import threading

from darkroom.serving.lines import access_line, log_line

NOON = 1_600_000_000.0


def test_log_lines_look_like_the_algorithms():
    expected = f"[09/13/2020 12:26:40 ERROR {threading.get_ident()}] Customer Error: no"
    assert log_line("ERROR", "Customer Error: no", NOON) == expected


def test_access_lines_look_like_nginx_and_cannot_be_forged():
    scope = {
        "client": ("10.32.0.2", 4711), "method": "POST", "path": "/invocations", "http_version": "1.1",
        "headers": [(b"user-agent", b"AHC/2.0\r\n[fake]")],
    }  # fmt: skip
    line = access_line(scope, 200, 15, NOON, 0.0123)
    assert line == (
        '10.32.0.2 - - [13/Sep/2020:12:26:40 +0000] "POST /invocations HTTP/1.1" 200 15 "-" "AHC/2.0??[fake]" 12.3ms'
    )
    assert access_line(scope | {"client": None, "headers": []}, 200, 15, NOON, 0).startswith("- - - [")
