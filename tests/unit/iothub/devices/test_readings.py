"""Readings from a CSV file, and the plan to send them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from iothub.devices.damage import DamagePlan
from iothub.devices.readings import BadRow, CsvFile, Reading, plan_readings
from iothub.errors import UsageError
from telemetry.schema import parse_telemetry

ROOM = """\
ts,device,temperature,humidity,note
2015-02-02 14:19:00,office-1,23.7,26.272,by the window
2015-02-02 14:19:59,office-1,23.718,26.29,
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_file(text: str, name: str = "room.csv", **columns: str) -> CsvFile:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return CsvFile(path, **columns)

    return write_file


class TestRead:
    def test_columns_of_numbers_are_metrics_and_others_are_left_out(self, write: Any) -> None:
        first, second = write(ROOM).read()
        assert first == Reading(
            2,
            "office-1",
            "2015-02-02 14:19:00",
            datetime(2015, 2, 2, 14, 19, tzinfo=UTC),
            {"temperature": 23.7, "humidity": 26.272},
        )
        assert second.line == 3

    @pytest.mark.parametrize("header", ["Timestamp,Sensor_ID,t", "time,node,t", "date,moteid,t"])
    def test_usual_names_are_found(self, write: Any, header: str) -> None:
        (reading,) = write(f"{header}\n2015-02-02 14:19,a,1\n").read()
        assert (reading.device, reading.metrics) == ("a", {"t": 1})

    def test_named_columns_win(self, write: Any) -> None:
        file = write("ts,at,device,who,t\n1,2015-02-02 14:19,x,y,1\n", ts_column="at", device_column="who")
        (reading,) = file.read()
        assert (reading.ts, reading.device, reading.metrics) == ("2015-02-02 14:19", "y", {"ts": 1, "t": 1})

    def test_without_a_device_column_the_file_is_the_device(self, write: Any) -> None:
        (reading,) = write("ts,t\n2015-02-02 14:19,1\n", name="cellar.csv").read()
        assert reading.device == "cellar"

    def test_numbers_as_times_stay_numbers(self, write: Any) -> None:
        (seconds, millis) = write("ts,t\n1422886740,1\n1422886740000,1\n").read()
        assert seconds.ts == 1422886740
        assert seconds.moment == millis.moment == datetime(2015, 2, 2, 14, 19, tzinfo=UTC)

    def test_missing_values_and_booleans(self, write: Any) -> None:
        rows = list(write("ts,a,b,c\n1,,true,NaN\n2,5,False,1e3\n").read())
        assert [row.metrics for row in rows] == [{"b": True}, {"a": 5, "b": False, "c": 1000.0}]

    def test_a_byte_order_mark_and_empty_lines_do_no_harm(self, write: Any) -> None:
        (reading,) = write("\ufeffts,t\n\n1,2\n\n").read()
        assert (reading.line, reading.metrics) == (3, {"t": 2})


class TestBadFiles:
    @pytest.mark.parametrize(
        ("row", "sentence"),
        [
            ("yesterday,a,1", "the time 'yesterday' is not a time"),
            ("-5,a,1", "the time -5 lies before 1970"),
            ("1,a,warm", "t is 'warm', where the rows before have a number"),
            ("1,a,inf", "t is 'inf'"),
            ("1,a,", "the row has 0 numbers to send"),
            ("1,a", "the row has 2 values, the header names 3 columns"),
            ("1,a/b,1", "the device is 'a/b': '/', '+' and '#' have a meaning"),
            ("1,,1", "the device must have 1 to 128 characters, not 0"),
        ],
    )
    def test_a_bad_row_is_named_by_file_and_line(self, write: Any, row: str, sentence: str) -> None:
        file = write(f"ts,device,t\n0,a,1\n{row}\n2,a,3\n")
        with pytest.raises(BadRow) as raised:
            list(file.read())
        assert str(raised.value).startswith(f"{file.path}:3: {sentence}")
        assert raised.value.exit_code == 2

    def test_bad_rows_can_be_left_out_and_counted(self, write: Any) -> None:
        bad: list[BadRow] = []
        rows = list(write("ts,t\n1,1\nx,2\n3,x\n4,4\n").read(on_bad_row=bad.append))
        assert [row.line for row in rows] == [2, 5]
        assert [str(row).rpartition("room.csv:")[2][:2] for row in bad] == ["3:", "4:"]

    def test_a_header_without_a_time_is_told_with_its_columns(self, write: Any) -> None:
        with pytest.raises(BadRow, match=r"room.csv:1: no column is called ts or .* \(columns: when, t\)"):
            list(write("when,t\n1,1\n").read(on_bad_row=lambda _: None))

    def test_a_named_column_that_is_not_there(self, write: Any) -> None:
        with pytest.raises(BadRow, match=r"--device-column is 'who', but the columns are ts, t"):
            list(write("ts,t\n1,1\n", device_column="who").read())

    def test_an_empty_file(self, write: Any) -> None:
        with pytest.raises(BadRow, match=r"room.csv:1: the file is empty"):
            list(write("").read())

    def test_a_file_that_is_no_text_or_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="No such file"):
            list(CsvFile(tmp_path / "none.csv").read())
        (tmp_path / "x.csv").write_bytes(b"ts,t\n1,\xff\n")
        with pytest.raises(UsageError, match=r"x.csv is no CSV file in UTF-8"):
            list(CsvFile(tmp_path / "x.csv").read())


class TestPlan:
    def plan(self, file: CsvFile, speed: float | None, share: float = 0.0) -> list[Any]:
        return list(plan_readings(file.read(), speed=speed, damage=DamagePlan(share, 1), run="r"))

    @pytest.mark.parametrize(("speed", "dues"), [(1, [0, 59]), (60, [0, 59 / 60]), (None, [0, 0])])
    def test_readings_are_as_far_apart_as_the_speed_says(self, write: Any, speed: float, dues: list[float]) -> None:
        assert [planned.due for planned in self.plan(write(ROOM), speed)] == dues

    def test_a_time_that_goes_back_is_sent_at_once(self, write: Any) -> None:
        planned = self.plan(write("ts,t\n100,1\n90,2\n130,3\n"), 1)
        assert [p.due for p in planned] == [0, 0, 30]

    def test_a_message_is_valid_and_keeps_the_time_as_it_stands(self, write: Any) -> None:
        first, second = self.plan(write(ROOM), None)
        assert b'"ts":"2015-02-02 14:19:00"' in first.message.payload
        parsed = parse_telemetry(first.message.payload, "office-1")
        assert parsed.metrics == {"temperature": 23.7, "humidity": 26.272}
        assert first.message.id != second.message.id

    def test_equal_rows_are_different_messages(self, write: Any) -> None:
        planned = self.plan(write("ts,t\n1,1\n1,1\n"), None)
        assert len({p.message.id for p in planned}) == 2

    def test_some_can_be_damaged(self, write: Any) -> None:
        planned = self.plan(write("ts,t\n" + "1,1\n" * 100), None, share=0.1)
        assert sum(p.message.damage is not None for p in planned) == 10
