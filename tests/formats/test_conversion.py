"""From one format to another."""

from __future__ import annotations

import gc
import json

import pytest

from purevirt import formats
from purevirt.errors import ConfigError, InvalidConfig
from purevirt.formats.carried import Carried
from purevirt.formats.large import Unhindered

CONFIG = 'name = "web"  # the shop\nkernel = "/k"\nmemory = 512\n'
RECORD = json.dumps(
    {
        "c_info": {"type": "pv", "name": "web", "uuid": "6695a0c4-0000-4000-8000-000000000001"},
        "b_info": {"max_memkb": 524288, "target_memkb": 524288, "kernel": "/k", "type.pv": {}},
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CONFIG, "xen-xl"),
        (RECORD, "libxl-json"),
        ("\ufeff\n " + RECORD, "libxl-json"),
        ("\ufeff<domain/>", "xml"),
        (" <!-- a --><domain/>", "xml"),
    ],
)
def test_a_format_is_recognised(text: str, expected: str) -> None:
    assert formats.recognise(text) == expected
    assert formats.recognise(text.encode()) == expected


@pytest.mark.parametrize("text", ["", " \n", b""])
def test_what_is_no_format_that_can_be_read(text: str | bytes) -> None:
    with pytest.raises(ConfigError, match=r"^f: "):
        formats.recognise(text, file="f")


def test_a_record_becomes_a_configuration_file() -> None:
    done = formats.convert(RECORD, "xen-xl", strict=True)
    assert done.report == []
    assert formats.parse(done.text).description == done.description == formats.parse(RECORD).description


def test_xml_of_any_encoding_is_recognised_and_read() -> None:
    text = formats.convert(CONFIG, "xml").text
    data = ("<?xml version='1.0' encoding='UTF-16'?>" + text).encode("utf-16")
    assert formats.recognise(data) == "xml"
    assert formats.parse(data).description == formats.parse(text).description


def test_there_and_back_nothing_is_lost_but_comments() -> None:
    done = formats.convert(CONFIG + 'colour = "blue"\nshadow_memory = 12\n', "xml")
    assert done.report == [
        "memory.shadow_kib = 12288",
        'colour = "blue"',
        "1 comment",
    ]
    back = formats.convert(done.text, "xen-xl")
    assert back.description == done.description
    assert back.report == []
    assert 'colour = "blue"\n' in back.text
    assert "purevirt" not in back.text


def test_a_text_that_is_in_the_wanted_format_comes_back_as_it_is() -> None:
    done = formats.convert(CONFIG.encode(), "xen-xl")
    assert (done.text, done.comments) == (CONFIG, 0)


def test_what_the_target_cannot_say_is_reported_and_carried() -> None:
    record = json.loads(RECORD)
    record["b_info"]["target_memkb"] = 524287
    done = formats.convert(json.dumps(record), "xen-xl")
    assert done.unsaid == (Carried("memory.kib", 524287, 524288),)
    assert done.report == ["memory.kib = 524287 instead of 524288"]
    assert formats.parse(done.text).description.memory.kib == 524287
    with pytest.raises(InvalidConfig, match="xen-xl cannot say 1 thing of it") as failure:
        formats.convert(json.dumps(record), "xen-xl", strict=True)
    assert failure.value.problems == ("memory.kib = 524287 instead of 524288",)


def test_bytes_that_are_no_utf_8_say_where() -> None:
    with pytest.raises(ConfigError, match=r"f:2:9: this is no UTF-8") as failure:
        formats.parse(b'name = "web"\nkernel="\xff"\n', file="f")
    assert (failure.value.line, failure.value.column) == (2, 9)


def test_a_format_that_is_none_or_cannot_be_written() -> None:
    description = formats.parse(CONFIG).description
    with pytest.raises(InvalidConfig, match="there is no format 'yaml'; there are "):
        formats.format(description, "yaml")
    with pytest.raises(InvalidConfig, match="cannot be written"):
        formats.format(description, "libxl-json")


def test_the_collector_rests_for_large_texts_and_goes_on() -> None:
    large = CONFIG + "# x\n" * 200_000
    assert gc.isenabled()
    with Unhindered(large):
        assert not gc.isenabled()
        with Unhindered(large):
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with Unhindered(CONFIG):
        assert gc.isenabled()
    with pytest.raises(ConfigError):
        formats.parse(large + "(")
    assert gc.isenabled()
