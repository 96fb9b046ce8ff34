"""API keys: found by what is presented, bound to devices, read again when their file changes."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from ingestion.api_keys import ApiKeys, WatchedKeys, parse_api_keys
from ingestion.new_api_key import main, make_entry
from telemetry.errors import ConfigurationError


def entry(key: str, **more: Any) -> dict[str, Any]:
    return {"name": f"name of {key}", "sha256": hashlib.sha256(key.encode()).hexdigest(), **more}


def text(*entries: Any) -> bytes:
    return json.dumps({"keys": entries}).encode()


def keys(*entries: Any) -> ApiKeys:
    return parse_api_keys(text(*entries))


def test_a_key_is_found_by_itself_and_by_nothing_else() -> None:
    known = keys(entry("one"), entry("two"))
    found = known.find(b"two")
    assert found is not None
    assert found.name == "name of two"
    for other in (
        b"",
        b"three",
        b"tw",
        b"two ",
        entry("two")["sha256"].encode(),
        bytes.fromhex(entry("two")["sha256"]),
    ):
        assert known.find(other) is None


def test_what_is_kept_does_not_hold_the_key() -> None:
    key, made = make_entry("gateway", [])
    assert key not in json.dumps(made)
    known = keys(made)
    assert known.find(key.encode()) is not None
    assert key not in repr(vars(known))


def test_a_key_without_devices_sends_for_any() -> None:
    found = keys(entry("k")).find(b"k")
    assert found is not None
    assert found.allows("anything")
    assert found.only_device is None


def test_a_bound_key_sends_for_its_devices_alone() -> None:
    found = keys(entry("k", devices=["DEV-01", "DEV-02"])).find(b"k")
    assert found is not None
    assert [found.allows(device) for device in ("DEV-01", "DEV-02", "DEV-03")] == [True, True, False]
    assert found.only_device is None


def test_a_key_of_one_device_speaks_for_it() -> None:
    found = keys(entry("k", devices=["DEV-01"])).find(b"k")
    assert found is not None
    assert found.only_device == "DEV-01"


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (b"", "JSON"),
        (b"[]", "file"),
        (b"{}", "keys"),
        (text(), "keys"),
        (text({"name": "a"}), "keys.0.sha256"),
        (text({"name": "a", "sha256": "abc"}), "keys.0.sha256"),
        (text(entry("a", device=["x"])), "keys.0.device"),
        (text(entry("a", devices=[])), "keys.0.devices"),
        (text(entry("a", devices=["x" * 129])), "keys.0.devices.0"),
        (text(entry("a"), entry("a")), "two keys have the same name"),
        (text(entry("a"), entry("a", name="b")), "two keys have the same sha256"),
    ],
)
def test_a_file_that_is_wrong_is_blamed_with_the_place_and_shows_no_hash(broken: bytes, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)) as refusal:
        parse_api_keys(broken)
    assert entry("a")["sha256"] not in str(refusal.value)


class TestWatched:
    def test_a_file_that_changes_is_read_again(self, tmp_path: Path) -> None:
        path = tmp_path / "keys.json"
        path.write_bytes(text(entry("one")))
        watched = WatchedKeys(path)
        path.write_bytes(text(entry("two"), entry("three")))
        watched.refresh()
        assert watched.current.find(b"one") is None
        assert watched.current.find(b"two") is not None

    def test_a_mounted_secret_that_changes_is_read_again(self, tmp_path: Path) -> None:
        # Given what the kubelet makes of a Secret: keys.json -> ..data/keys.json, and ..data -> ..2026_11_25
        for version in ("1", "2"):
            (tmp_path / version).mkdir()
            (tmp_path / version / "keys.json").write_bytes(text(entry(version)))
            os.utime(tmp_path / version / "keys.json", (1, 1))
        (tmp_path / "..data").symlink_to("1")
        (tmp_path / "keys.json").symlink_to("..data/keys.json")
        watched = WatchedKeys(tmp_path / "keys.json")
        # When the link is replaced
        (tmp_path / "new").symlink_to("2")
        (tmp_path / "new").rename(tmp_path / "..data")
        watched.refresh()
        # Then
        assert watched.current.find(b"1") is None
        assert watched.current.find(b"2") is not None

    @pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"{"), lambda path: path.unlink()])
    def test_a_file_that_is_spoilt_changes_nothing_until_it_is_mended(self, tmp_path: Path, spoil: Any) -> None:
        path = tmp_path / "keys.json"
        path.write_bytes(text(entry("one")))
        watched = WatchedKeys(path)
        spoil(path)
        watched.refresh()
        assert "keys.json: " in str(watched.problem)
        assert watched.current.find(b"one") is not None
        path.write_bytes(text(entry("two")))
        watched.refresh()
        assert not watched.problem
        assert watched.current.find(b"two") is not None

    @pytest.mark.parametrize("content", [None, b"{}"])
    def test_at_start_a_wrong_file_is_an_error_by_the_settings_name(
        self, tmp_path: Path, content: bytes | None
    ) -> None:
        if content is not None:
            (tmp_path / "keys.json").write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"^INGESTION_API_KEYS_FILE: .*keys\.json: "):
            WatchedKeys(tmp_path / "keys.json")


def test_the_command_makes_a_key_and_its_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway-7", "DEV-01", "DEV-02"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    made = json.loads(second.partition(":")[2])
    found = keys(made).find(first.split()[1].encode())
    assert found is not None
    assert (found.name, found.devices) == ("gateway-7", frozenset({"DEV-01", "DEV-02"}))


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_the_command_without_a_name_says_how_it_is_called(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert "python -m ingestion.new_api_key NAME" in capsys.readouterr().err
