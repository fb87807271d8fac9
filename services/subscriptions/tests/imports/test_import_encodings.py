"""The encoding of a text file: told, declared, or refused by its name."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadsheet_subscriptions.imports.reading.column import KnownAttribute
from broadsheet_subscriptions.imports.reading.csv_records import CsvFile
from broadsheet_subscriptions.imports.reading.record import (
    Place,
)
from broadsheet_subscriptions.imports.reading.text_encoding import (
    ENCODINGS,
    EncodingSniffer,
    UndecodableFileError,
    UnknownEncodingError,
    codec_of,
    parse_charset,
)

DATE = KnownAttribute("joined", "date", "Joined")
ATTRIBUTES = [DATE, KnownAttribute("age", "number", "Age"), KnownAttribute("city", "text", "City")]


def sniff(content: bytes, charset: str | None = None) -> str | None:
    sniffer = EncodingSniffer(None if charset is None else parse_charset(charset))
    for start in range(0, len(content), 1_000):
        sniffer.feed(content[start : start + 1_000])
    return sniffer.finish()[1]


@pytest.mark.parametrize(
    ("names", "codec", "encoding"),
    [
        ("Zoë Müller;René;Hélène;João;Søren;Åsa;Muñoz", "cp1252", "windows-1252"),
        ("MÜLLER;O\u2019Neil;5 €;Straße", "cp1252", "windows-1252"),
        ("René Müller;Zoë;König;Jörg;Élodie", "mac-roman", "mac-roman"),
    ],
)
def test_what_can_be_told_is_read(names: str, codec: str, encoding: str) -> None:
    content = ("email;name\n" + names.replace(";", ";\n")).encode(codec)
    assert sniff(content) == encoding
    assert sniff(content.replace(b"\n", b"\r")) == encoding


@pytest.mark.parametrize(
    ("names", "codec", "named"),
    [
        ("Jiří Dvořák;Kateřina;Horáček", "cp1250", "windows-1250"),
        ("Łukasz;Żółć;Świętosław", "cp1250", "windows-1250"),
        ("Erdős;Szűcs;Kovács", "cp1250", "windows-1250"),
        ("Иван Петров", "cp1251", "windows-1251"),
        ("Иван Петров", "koi8-r", "koi8-r"),
        ("Γιώργος", "cp1253", "windows-1253"),
        ("Ğül I\u015f\u0131k Şahin", "cp1254", "windows-1254"),
        ("Jānis Bērziņš", "cp1257", "windows-1257"),
        ("佐藤 漢字;かな", "cp932", "charset="),
        ("王小明", "gb18030", "charset="),
        ("Jörg", "cp850", "cp850"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_it_may_be_and_read_where_it_is_declared(
    names: str, codec: str, named: str
) -> None:
    content = ("email;name\n" + names).encode(codec)
    with pytest.raises(UndecodableFileError, match=named):
        sniff(content)
    assert sniff(content, codec) is not None
    assert content.decode(codec_of(str(sniff(content, codec)))) == "email;name\n" + names


def test_what_is_declared_wrongly_is_refused_by_its_name_and_utf_8_is_utf_8_whatever_it_is_called() -> None:
    with pytest.raises(UndecodableFileError, match="declared as utf-8"):
        sniff("name\nRené\n".encode("cp1252"), "utf-8")
    with pytest.raises(UndecodableFileError, match="declared as shift_jis"):
        sniff(b"name\n\xe9 \n", "shift_jis")
    with pytest.raises(UndecodableFileError, match="declared as shift_jis"):
        sniff("name\n佐藤".encode("cp932")[:-1], "shift_jis")
    assert sniff("name\nRené\n".encode(), "iso-8859-1") == "utf-8"
    assert sniff("name\nRené\n".encode("cp1252"), "us-ascii") == "windows-1252"
    assert sniff("name\nRené\n".encode("utf-16-le"), "utf-16") == "utf-16-le"


def test_names_that_were_garbled_before_are_not_taken_for_names() -> None:
    with pytest.raises(UndecodableFileError, match="RenÃ©"):
        sniff("name\nRenÃ©\nMÃ¼ller\n".encode())
    assert sniff("name\nRenÃ©\nMÃ¼ller\n".encode(), "utf-8") == "utf-8"
    assert sniff(("name\n" + "Zoë\n" * 9 + "RenÃ©\n").encode()) == "utf-8"
    with pytest.raises(UndecodableFileError):
        sniff(("name\n" + "René Müller\n" * 9).encode() + b"\xe9\n")  # UTF-8, and one line of something else


@pytest.mark.parametrize(
    "name", ["utf-7", "idna", "rot13", "hz", "iso-2022-jp", "punycode", "no-such", "\ud800", "a" * 10_000]
)
def test_encodings_that_are_none_are_not_tried(name: str) -> None:
    with pytest.raises(UnknownEncodingError):
        parse_charset(name)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("latin1", "windows-1252"), ("ISO-8859-1", "windows-1252"), ('"Shift_JIS"', "shift_jis"),
    ("macintosh", "mac-roman"),
     ("gb2312", "gb18030"), ("UTF8", "utf-8"), ("ascii", None), ("", None)],
)  # fmt: skip
def test_encodings_have_the_names_that_the_web_gives_them(name: str, encoding: str | None) -> None:
    assert parse_charset(name) == encoding


@settings(deadline=None)
@given(st.sampled_from(sorted(ENCODINGS)), st.text(min_size=1, max_size=40), st.integers(1, 9))
def test_a_file_in_any_encoding_can_be_gone_on_with_from_any_block(encoding: str, text: str, block: int) -> None:
    content = ("email,name\n" + text.replace("\x00", "") + ",x\nlast,line\n").encode(codec_of(encoding), "ignore")
    text = content.decode(codec_of(encoding))
    blocks = list(CsvFile(io.BytesIO(content), encoding, Place(), block_bytes=block).blocks(","))
    records = [record for one in blocks for record in one.records]
    whole = CsvFile(io.BytesIO(text.encode()), "utf-8", Place())
    assert records == [record for one in whole.blocks(",") for record in one.records]
    for one in blocks:
        rest = CsvFile(io.BytesIO(content[one.after.byte_offset :]), encoding, one.after, block_bytes=1 << 20)
        if one.after.byte_offset:
            gone_on = [record for two in rest.blocks(",") for record in two.records]
            assert gone_on == [record for record in records if record.number > one.after.record_number]
