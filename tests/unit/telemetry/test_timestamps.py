"""Times as devices write them: every form of the schema, and a sentence for everything else."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telemetry.timestamps import format_utc, parse_timestamp

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENT = datetime(2026, 2, 20, 22, 45, tzinfo=UTC)

zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=zones)  # noqa: DTZ001


FORM = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:[Zz]|([+-]\d\d):([0-5]\d))?", re.ASCII
)


def read_slowly(text: str) -> datetime | None:
    """Return the moment as RFC 3339's grammar and the calendar have it, or None."""
    match = FORM.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute = map(int, match.groups()[:5])
    second, fraction = int(match[6] or 0), int(f"{match[7] or '':0<6}"[:6])
    hours, minutes = match[8] or "+00", int(match[9] or 0)
    try:
        zone = timezone(timedelta(hours=int(hours), minutes=-minutes if hours[0] == "-" else minutes))
        moment = datetime(year, month, day, hour, minute, min(second, 59), fraction, tzinfo=zone)
        return (moment + timedelta(seconds=second - 59 if second == 60 else 0)).astimezone(UTC) if second < 61 else None
    except (ValueError, OverflowError):
        return None


class TestFormatUtc:
    @given(moments)
    def test_it_is_rfc3339_in_utc_and_names_the_same_moment(self, moment: datetime) -> None:
        text = format_utc(moment)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", text, re.ASCII)
        assert parse_timestamp(text) == moment

    def test_microseconds_are_written_where_there_are_some(self) -> None:
        assert format_utc(MOMENT) == "2026-02-20T22:45:00Z"
        assert format_utc(MOMENT.replace(microsecond=1)) == "2026-02-20T22:45:00.000001Z"

    def test_another_zone_becomes_utc(self) -> None:
        assert format_utc(MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))) == "2026-02-20T22:45:00Z"


class TestText:
    @pytest.mark.parametrize(
        ("text", "moment"),
        [
            ("2026-02-20 22:45", MOMENT),
            ("2026-02-20 22:45:07", MOMENT.replace(second=7)),
            ("2026-02-20 22:45:07.5", MOMENT.replace(second=7, microsecond=500_000)),
            ("2026-02-20 22:45:07.000001", MOMENT.replace(second=7, microsecond=1)),
            ("2026-02-20 22:45:07.123456789", MOMENT.replace(second=7, microsecond=123_456)),
            ("2026-02-20T22:45:00Z", MOMENT),
            ("2026-02-20t22:45:00z", MOMENT),
            ("2026-02-20T22:45Z", MOMENT),
            ("2026-02-20 22:45+00:00", MOMENT),
            ("2026-02-21T04:15:00+05:30", MOMENT),
            ("2026-02-20T22:45:00-00:00", MOMENT),
            ("2026-02-20T21:45:00.000-01:00", MOMENT),
            ("2024-02-29 00:00", datetime(2024, 2, 29, tzinfo=UTC)),
            ("0001-01-01 00:00", datetime(1, 1, 1, tzinfo=UTC)),
            ("9999-12-31 23:59:59.999999", datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
            ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
            ("1990-12-31T15:59:60-08:00", datetime(1991, 1, 1, tzinfo=UTC)),
        ],
    )
    def test_it_is_a_moment_in_utc(self, text: str, moment: datetime) -> None:
        parsed = parse_timestamp(text)
        assert (parsed, parsed.tzinfo) == (moment, UTC)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "now",
            "2026",
            "2026-02-20",
            "20260220T224500Z",
            "2026-W08-5T22:45",
            "2026-02-20 22",
            "2026-02-20  22:45",
            "2026-02-20_22:45",
            "2026-02-20 22:45 Z",
            "2026-02-20 22:45Z\n",
            " 2026-02-20 22:45",
            "2026-02-20 22:45:07.",
            "2026-02-20 22:45:07,5",
            "2026-02-20 22:45:07.1234567890",
            "2026-02-20 22:45+01",
            "2026-02-20 22:45+0100",
            "2026-02-20 22:45 UTC",
            "26-02-20 22:45",
            "2026-2-20 22:45",
            "٢٠٢٦-02-20 22:45",
            "\ud800",
            "1771627500",
        ],
        ids=ascii,
    )
    def test_what_has_another_form_is_refused_with_the_forms_to_write(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a time; write RFC 3339"):
            parse_timestamp(text)

    @pytest.mark.parametrize(
        "text",
        [
            "2026-02-29 00:00",
            "2026-13-01 00:00",
            "2026-00-10 00:00",
            "0000-01-01 00:00",
            "2026-02-20 24:00",
            "2026-02-20 22:60",
            "2026-02-20 22:45:61",
            "2026-02-20 22:45:00+24:00",
            "2026-02-20 22:45:00-99:00",
            "0001-01-01 00:00+14:00",
            "9999-12-31 23:59-00:01",
            "9999-12-31 23:59:60",
        ],
    )
    def test_what_the_calendar_does_not_have_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a moment of the calendar"):
            parse_timestamp(text)

    @pytest.mark.parametrize("zone", ["+05:60", "+05:99", "-00:60", "+23:99"])
    def test_a_zone_has_at_most_59_minutes(self, zone: str) -> None:
        with pytest.raises(ValueError, match="2026-02-20T22:45:00"):
            parse_timestamp(f"2026-02-20T22:45:00{zone}")

    def test_the_sentence_shows_the_beginning_of_a_long_text(self) -> None:
        with pytest.raises(ValueError, match="'xxxx") as caught:
            parse_timestamp("x" * 1_000_000)
        assert len(str(caught.value)) < 200

    @given(
        st.text(max_size=40)
        | st.from_regex(
            r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2})?([+-][0-9]{2}:[0-9]{2})?", fullmatch=True
        )
    )
    @example("9999-12-31 23:59:60.999999999+00:00")
    def test_any_text_is_a_moment_in_utc_or_a_value_error(self, text: str) -> None:
        with contextlib.suppress(ValueError):
            assert parse_timestamp(text).tzinfo is UTC

    @given(
        st.from_regex(
            r"[0-2][0-9]{3}[-W0][01][0-9][-0][0-3][0-9][Tt _][0-2][0-9][:.,][0-6][0-9]"
            r"([:+.][0-6][0-9]([.,:][0-9]{1,7})?)?([Zz]|[+-][0-2][0-9]:?[0-6][0-9])?",
            fullmatch=True,
        )
        | st.builds(
            lambda moment, separator, precision, end: moment.isoformat(separator, precision) + end,
            st.datetimes() | moments,
            st.sampled_from("Tt _"),
            st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds"]),
            st.sampled_from(["", "Z", "z", "+00:00", "-00:00", "+05:30", "-23:59", "+24:00", "+05:60", "+0530", "+05"]),
        )
    )
    @example("2026-02-20T22:45.12Z")
    @example("2026-02-20T22:45:00,123Z")
    @example("2026-02-20T24:00:00Z")
    @example("2026-02-20T23:59:60.999999Z")
    @example("2026-02-20T22:45:00.+1+05:30")
    @example("2026-02-20T22:45+00:00Z")
    @example("0001-01-01T00:00:00+00:01")
    def test_each_text_means_what_the_grammar_says_whichever_way_it_is_read(self, text: str) -> None:
        expected = read_slowly(text)
        if expected is None:
            with pytest.raises(ValueError, match=r"is not a (time|moment of the calendar)"):
                parse_timestamp(text)
        else:
            assert parse_timestamp(text) == expected

    @given(moments, st.sampled_from("T t"))
    def test_a_zone_of_its_own_is_respected(self, moment: datetime, separator: str) -> None:
        assert parse_timestamp(moment.isoformat(separator)) == moment

    @given(st.datetimes(), st.sampled_from(["seconds", "milliseconds", "microseconds"]))
    def test_without_a_zone_it_is_utc(self, naive: datetime, precision: str) -> None:
        text = naive.isoformat(" ", precision)
        assert parse_timestamp(text) == datetime.fromisoformat(text).replace(tzinfo=UTC)


class TestNumbers:
    @given(st.integers(0, 99_999_999_999))
    def test_below_a_hundred_billion_it_is_seconds(self, seconds: int) -> None:
        assert parse_timestamp(seconds) == EPOCH + timedelta(seconds=seconds)

    @given(st.integers(100_000_000_000, 4_102_444_800_000))
    @example(100_000_000_000)
    def test_from_there_on_it_is_milliseconds(self, milliseconds: int) -> None:
        assert parse_timestamp(milliseconds) == EPOCH + timedelta(milliseconds=milliseconds)

    @given(st.integers(0, 4_102_444_800_000_000))
    def test_seconds_with_a_fraction_are_right_to_the_microsecond(self, microseconds: int) -> None:
        moment = EPOCH + timedelta(microseconds=microseconds)
        assert abs(parse_timestamp(moment.timestamp()) - moment) <= timedelta(microseconds=1)

    @pytest.mark.parametrize(
        ("number", "moment"),
        [
            (0, EPOCH),
            (-0.0, EPOCH),
            (0.5, EPOCH + timedelta(milliseconds=500)),
            (1771627500, MOMENT),
            (1771627500000, MOMENT),
            (1771627500000.0, MOMENT),
            (99_999_999_999, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
            (253_402_300_799_000, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ],
    )
    def test_known_moments(self, number: float, moment: datetime) -> None:
        parsed = parse_timestamp(number)
        assert (parsed, parsed.tzinfo) == (moment, UTC)

    @pytest.mark.parametrize(
        "number", [-1, -0.001, -1e300, float("-inf"), -(10**400)], ids=lambda number: repr(number)[:9]
    )
    def test_before_1970_is_refused(self, number: float) -> None:
        with pytest.raises(ValueError, match=r"before 1970|too large"):
            parse_timestamp(number)

    @pytest.mark.parametrize(
        "number",
        [253_402_300_800_000, 2**63, 1e300, float("inf"), float("nan"), 10**400],
        ids=lambda number: repr(number)[:9],
    )
    def test_beyond_the_year_9999_is_refused(self, number: float) -> None:
        with pytest.raises(ValueError, match=r"is too large for milliseconds"):
            parse_timestamp(number)

    @given(st.integers() | st.floats())
    def test_any_number_is_a_moment_or_a_value_error(self, number: float) -> None:
        with contextlib.suppress(ValueError):
            assert parse_timestamp(number) >= EPOCH


@pytest.mark.parametrize("value", [None, True, False, [], {}, b"2026-02-20 22:45", MOMENT], ids=repr)
def test_anything_else_is_refused_with_the_forms_to_write(value: object) -> None:
    with pytest.raises(ValueError, match="must be a time: RFC 3339"):
        parse_timestamp(value)
