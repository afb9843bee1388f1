"""A message is read in the set that it declares, and refused where its bytes are not in it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import Hl7InputError
from node.hl7 import charset
from node.hl7.message import parse


def message(declared: str, family: str, codec: str) -> bytes:
    text = f"MSH|^~\\&|A|B|C|D|20260101||ADT^A01|1|P|2.5.1||||||{declared}\rPID|1||1||{family}^X\r"
    return text.encode(codec)


@pytest.mark.parametrize(
    ("declared", "codec", "family"),
    [
        ("ASCII", "ascii", "Smith"),
        ("8859/1", "iso8859_1", "Müller-Øst é"),
        ("8859/2", "iso8859_2", "Dvořák ŁĄ"),
        ("8859/5", "iso8859_5", "Иванов"),
        ("8859/7", "iso8859_7", "Παπαδόπουλος"),
        ("8859/8", "iso8859_8", "כהן"),
        ("8859/15", "iso8859_15", "Žižka €"),
        ("UNICODE UTF-8", "utf_8", "张三 Müller 山田"),
        ("UNICODE", "utf_8", "Müller"),
        ("GB 18030-2000", "gb18030", "患者张三记忆力下降㐀"),
        ("BIG-5", "big5", "陳小明"),
        ("KS X 1001", "euc_kr", "김철수"),
        ("ISO IR87", "iso2022_jp", "山田"),
        ("~ISO IR87", "iso2022_jp", "山田太郎"),
        ("ASCII~ISO IR87~ISO IR159", "iso2022_jp_2", "山田丂"),
        ("ISO IR14", "shift_jis", "ﾔﾏﾀﾞ"),
        ("utf-8", "utf_8", "Müller"),
        ("UNICODE UTF-8~ISO IR87", "utf_8", "山田"),
        ("8859/3", "iso8859_3", "Ħ ĝ"),
        ("8859/4", "iso8859_4", "Ķ ņ"),
        ("8859/6", "iso8859_6", "محمد"),
        ("8859/9", "iso8859_9", "Şahin İ"),
        ("GB 18030-2000", "gb18030", "𠮷野"),
    ],
)
def test_a_declared_set_is_decoded(declared: str, codec: str, family: str) -> None:
    pid = parse(message(declared, family, codec)).require("PID")
    assert pid.get(5) == family


@pytest.mark.parametrize(
    ("declared", "codec", "family"),
    [
        ("SHIFT_JIS", "cp932", "山田ソ表髙"), ("Shift-JIS", "shift_jis", "山田"), ("Windows-31J", "cp932", "髙橋"),
        ("MS932", "cp932", "高橋"), ("ISO-2022-JP", "iso2022_jp", "山田"), ("~ISO 2022 IR 87", "iso2022_jp", "山田"),
        ("ISO 2022 IR 13", "shift_jis", "ﾔﾏﾀﾞ"), ("EUC-JP", "euc_jp", "山田"), ("GBK", "gbk", "张三"),
        ("gb2312", "gb2312", "张三"), ("CP936", "gbk", "張"), ("GB18030", "gb18030", "㐀"), ("BIG5", "big5", "陳"),
        ("Big5-HKSCS", "big5hkscs", "陳㗎"), ("EUC-KR", "euc_kr", "김철수"), ("KSC5601", "euc_kr", "김"),
        ("UHC", "cp949", "김똠"), ("ISO_IR 100", "iso8859_1", "Müller"), ("ISO_IR 144", "iso8859_5", "Иванов"),
        ("ISO_IR 192", "utf_8", "张三"), ("ISO-8859-15", "iso8859_15", "€"), ("latin1", "iso8859_1", "é"),
        ("WINDOWS-1252", "cp1252", "“Müller” €"), ("UNICODE-UTF-8", "utf_8", "Müller"), ("us-ascii", "ascii", "Smith"),
    ],
)  # fmt: skip
def test_the_usual_misnomers_of_a_set_are_understood(declared: str, codec: str, family: str) -> None:
    assert parse(message(declared, family, codec)).require("PID").get(5) == family


def test_the_second_bytes_of_shift_jis_that_look_like_delimiters_split_nothing() -> None:
    family = "ソポ｜表ー"
    assert {b"\\", b"|"} & {family.encode("cp932")[n : n + 1] for n in range(10)}
    pid = parse(message("SHIFT_JIS", family, "cp932")).require("PID")
    assert (pid.get(5), pid.get(5, 2)) == (family, "X")


@pytest.mark.parametrize(("declared", "codec"), [("SHIFT_JIS", "utf_8"), ("EUC-JP", "utf_8"), ("CP949", "utf_8")])
def test_utf_8_under_another_asian_name_is_refused(declared: str, codec: str) -> None:
    with pytest.raises(Hl7InputError) as caught:
        parse(message(declared, "山田太郎の記憶", codec))
    assert caught.value.error_code == "102"


def test_what_holds_where_nothing_is_declared_can_differ_by_sender() -> None:
    charsets = {"A": "BIG-5", "A|B": "GB 18030-2000"}
    assert parse(message("", "张三", "gb18030"), "ASCII", charsets).require("PID").get(5) == "张三"
    other = message("", "陳", "big5").replace(b"|A|B|", b"|A|Z|")
    assert parse(other, "ASCII", charsets).require("PID").get(5) == "陳"
    with pytest.raises(Hl7InputError):
        parse(other.replace(b"|A|Z|", b"|C|Z|"), "ASCII", charsets)


@pytest.mark.parametrize("name", sorted(charset.CODECS))
def test_however_a_set_is_spelled_it_is_the_same(name: str) -> None:
    spelled = name.lower().replace(" ", "_").replace("-", " ")
    assert charset.codec_name(spelled) == charset.codec_name(name)


@given(st.text(max_size=12))
def test_any_name_is_a_set_or_refused(name: str) -> None:
    with suppress(Hl7InputError):
        assert charset.codec_name(name)[0] in charset.CODECS


def test_japanese_bytes_that_look_like_delimiters_do_not_split_a_field() -> None:
    family = "ー忽"  # 0x213C and 0x397A..: JIS bytes include those of ASCII punctuation
    assert any(byte in family.encode("iso2022_jp") for byte in b"!<9z")
    pid = parse(message("~ISO IR87", f"{family}｜縲", "iso2022_jp")).require("PID")
    assert pid.get(5) == f"{family}｜縲"
    assert pid.get(5, 2) == "X"


@pytest.mark.parametrize(
    ("declared", "codec", "family"),
    [
        ("ASCII", "utf_8", "Müller"),
        ("ASCII", "iso8859_1", "Müller"),
        ("", "utf_8", "Müller"),
        ("UNICODE UTF-8", "iso8859_1", "Müller"),
        ("UNICODE UTF-8", "gb18030", "张三"),
        ("8859/1", "utf_8", "Müller"),
        ("8859/1", "cp1252", "“quoted” Müller"),
        ("8859/5", "utf_8", "Иванов"),
        ("8859/2", "utf_8", "Dvořák Ł"),
        ("GB 18030-2000", "utf_8", "张伟的记忆力"),
        ("GB 18030-2000", "utf_8", "张伟"),
        ("BIG-5", "utf_8", "陳小明"),
        ("KS X 1001", "utf_8", "김철수"),
        ("ISO IR87", "utf_8", "山田"),
        ("ISO IR87", "euc_jp", "山田"),
    ],
)
def test_bytes_that_are_not_in_the_declared_set_are_refused_with_ae(declared: str, codec: str, family: str) -> None:
    with pytest.raises(Hl7InputError) as caught:
        parse(message(declared, family, codec))
    assert (caught.value.hl7_ack, caught.value.error_code, caught.value.location) == ("AE", "102", "MSH^1^18")
    assert family not in str(caught.value)


@pytest.mark.parametrize("declared", ["UNICODE UTF-16", "8859/99", "EBCDIC", "~nonsense"])
def test_a_set_that_is_not_supported_is_refused(declared: str) -> None:
    with pytest.raises(Hl7InputError) as caught:
        parse(message(declared, "Smith", "ascii"))
    assert caught.value.error_code == "103"


def test_the_default_holds_where_nothing_is_declared() -> None:
    raw = message("", "Müller", "iso8859_1")
    assert parse(raw, "8859/1").require("PID").get(5) == "Müller"


def test_a_byte_order_mark_declares_utf_8() -> None:
    raw = charset.BOM + message("", "Müller", "utf_8")
    assert parse(raw).require("PID").get(5) == "Müller"


def test_a_nul_character_is_refused() -> None:
    with pytest.raises(Hl7InputError, match="NUL"):
        parse(message("UNICODE UTF-8", "Mü\x00ller", "utf_8"))


@given(st.text(alphabet=st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="|^~\\&"), min_size=1))
def test_any_text_in_utf_8_is_read_as_it_was(family: str) -> None:
    pid = parse(message("UNICODE UTF-8", family, "utf_8")).require("PID")
    assert pid.get(5) == ("" if family == '""' else family.strip())


@given(st.text(alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=6, max_size=60))
def test_chinese_text_in_gb_18030_is_read_as_it_was(family: str) -> None:
    raw = message("GB 18030-2000", family, "gb18030")
    assert charset.decode(raw, "GB 18030-2000", "ASCII")[0].split("|")[-1].startswith(family)
