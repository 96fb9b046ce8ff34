"""What a head says, and what is answered to one that can't be understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion import http_request
from ingestion.bodies import JsonSplitter, LineSplitter
from ingestion.content_codings import Gzip, Identity, Zstd
from ingestion.http_request import Head
from ingestion.problems import Problem


def head(**headers: bytes) -> Head:
    return Head("POST", b"/", {name.replace("_", "-").encode(): value for name, value in headers.items()})


def problem_of(call: object, *arguments: object) -> Problem:
    assert callable(call)
    with pytest.raises(Problem) as refusal:
        call(*arguments)
    return refusal.value


class TestDevice:
    @pytest.mark.parametrize(
        ("path", "device"),
        [
            (b"/v1/telemetry", None),
            (b"/v1/devices/DEV-01/telemetry", "DEV-01"),
            (b"/v1/devices/a%2Fb%20c/telemetry", "a/b c"),
            (b"/v1/devices/%C3%A4/telemetry", "ä"),
            (b"/v1/devices/telemetry/telemetry", "telemetry"),
        ],
    )
    def test_it_is_found_in_the_path(self, path: bytes, device: str | None) -> None:
        assert http_request.find_device(path) == device

    @pytest.mark.parametrize(
        "path",
        [b"/", b"/v1/telemetry/", b"/v1/devices/telemetry", b"/v1/devices/a/b/telemetry", b"/v2/devices/a/telemetry"],
    )
    def test_elsewhere_is_nothing(self, path: bytes) -> None:
        problem = problem_of(http_request.find_device, path)
        assert (problem.status, problem.code) == (404, "not-found")

    @pytest.mark.parametrize("name", [b"", b"%FF", b"%00", b"a" * 129])
    def test_a_name_that_can_not_be_one_is_refused(self, name: bytes) -> None:
        problem = problem_of(http_request.find_device, b"/v1/devices/" + name + b"/telemetry")
        assert (problem.status, problem.code) == (400, "bad-device")

    @given(path=st.binary(max_size=60))
    def test_no_path_crashes(self, path: bytes) -> None:
        for given_path in (path, b"/v1/devices/" + path + b"/telemetry"):
            try:
                http_request.find_device(given_path)
            except Problem as problem:
                assert problem.status in {400, 404}  # noqa: PT017  # either is right


class TestKey:
    @pytest.mark.parametrize(
        "given_head",
        [
            head(authorization=b"Bearer k"),
            head(authorization=b"bearer  k "),
            head(x_api_key=b"k"),
            head(authorization=b"Basic abc", x_api_key=b"k"),
        ],
    )
    def test_it_comes_in_either_header(self, given_head: Head) -> None:
        assert http_request.find_presented_key(given_head) == b"k"

    @pytest.mark.parametrize("given_head", [head(), head(authorization=b"Basic k"), head(authorization=b"Bearer ")])
    def test_without_one_the_answer_says_how_to_send_it(self, given_head: Head) -> None:
        problem = problem_of(http_request.find_presented_key, given_head)
        assert problem.status == 401
        assert "Authorization: Bearer KEY" in problem.detail
        assert (b"www-authenticate", b'Bearer realm="iot-hub"') in problem.answer.headers


class TestMediaType:
    @pytest.mark.parametrize(
        ("sent", "kind", "each"),
        [
            (None, JsonSplitter, "application/json"),
            (b"application/json", JsonSplitter, "application/json"),
            (b"Application/JSON ; charset=UTF-8", JsonSplitter, "application/json"),
            (b'application/json;charset="utf-8"', JsonSplitter, "application/json"),
            (b"application/senml+json", JsonSplitter, "application/senml+json"),
            (b"application/x-ndjson", LineSplitter, "application/json"),
            (b"application/jsonl", LineSplitter, "application/json"),
        ],
    )
    def test_what_is_taken(self, sent: bytes | None, kind: type, each: str) -> None:
        splitter, content_type = http_request.choose_splitter(head() if sent is None else head(content_type=sent))
        assert (type(splitter), content_type) == (kind, each)

    @pytest.mark.parametrize(
        "sent", [b"text/plain", b"application/x-www-form-urlencoded", b"", b"\xff", b"application/json; charset=latin1"]
    )
    def test_anything_else_is_415_and_says_what_is_taken(self, sent: bytes) -> None:
        problem = problem_of(http_request.choose_splitter, head(content_type=sent))
        assert (problem.status, problem.code) == (415, "unsupported-media-type")
        assert (b"accept-post", b"application/json, application/x-ndjson") in problem.answer.headers


class TestCoding:
    @pytest.mark.parametrize(
        ("sent", "kind"), [(None, Identity), (b"identity", Identity), (b"GZIP", Gzip), (b" zstd", Zstd)]
    )
    def test_what_is_taken(self, sent: bytes | None, kind: type) -> None:
        decoder = http_request.choose_decoder(head() if sent is None else head(content_encoding=sent))
        assert type(decoder) is kind

    @pytest.mark.parametrize("sent", [b"br", b"gzip, zstd", b"deflate", b"\xff"])
    def test_anything_else_is_415_and_says_what_is_taken(self, sent: bytes) -> None:
        problem = problem_of(http_request.choose_decoder, head(content_encoding=sent))
        assert (problem.status, problem.code) == (415, "unsupported-encoding")
        assert (b"accept-encoding", b"gzip, zstd") in problem.answer.headers


class TestIdempotencyKey:
    @pytest.mark.parametrize(
        ("sent", "key"), [(b"abc", "abc"), (b'"a b"', "a b"), (b'"', '"'), (b"x" * 128, "x" * 128)]
    )
    def test_it_is_taken_with_quotes_and_without(self, sent: bytes, key: str) -> None:
        assert http_request.find_idempotency_key(head(idempotency_key=sent)) == key

    def test_it_may_be_missing(self) -> None:
        assert http_request.find_idempotency_key(head()) is None

    @pytest.mark.parametrize("sent", [b"", b'""', b"\xe4", b"a\tb", b"x" * 129])
    def test_one_that_can_not_be_an_id_is_refused(self, sent: bytes) -> None:
        assert problem_of(http_request.find_idempotency_key, head(idempotency_key=sent)).status == 400


@pytest.mark.parametrize(("sent", "fits"), [(b"10", True), (b"11", False), (b"9" * 400, False)])
def test_a_declared_length_is_looked_at_before_the_body(sent: bytes, *, fits: bool) -> None:
    if fits:
        http_request.check_length(head(content_length=sent), 10)
    else:
        assert problem_of(http_request.check_length, head(content_length=sent), 10).status == 413
