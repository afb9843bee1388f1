"""Character sets of MSH-18 (HL7 table 0211): which codec, and refusing bytes that are not in the declared set.

A wrong declaration is refused instead of guessed at: a name or a finding in mojibake is worse than a message that comes
back.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

from node.errors import Hl7InputError

LOCATION = "MSH^1^18"
BOM = codecs.BOM_UTF8

CODECS: Mapping[str, str] = {
    "": "ascii",
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    "8859/1": "iso8859_1",
    "8859/2": "iso8859_2",
    "8859/3": "iso8859_3",
    "8859/4": "iso8859_4",
    "8859/5": "iso8859_5",
    "8859/6": "iso8859_6",
    "8859/7": "iso8859_7",
    "8859/8": "iso8859_8",
    "8859/9": "iso8859_9",
    "8859/15": "iso8859_15",
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso2022_jp_ext",
    "ISO IR159": "iso2022_jp_ext",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "UNICODE": "utf_8",
    "UNICODE UTF-8": "utf_8",
    "SHIFT JIS": "cp932",
    "EUC-JP": "euc_jp",
    "CP949": "cp949",
    "BIG5-HKSCS": "big5hkscs",
    "WINDOWS-1252": "cp1252",
}
"""HL7 table 0211 to Python codecs, and behind it sets that it does not have and senders use.

UTF-16 and UTF-32 are missing: their bytes collide with MLLP's frame. So is CNS 11643-1992, for which there is no codec.
"""

_ALIASES: Mapping[str, str] = {
    "UTF8": "UNICODE UTF-8",
    "UNICODEUTF8": "UNICODE UTF-8",
    "ISOIR192": "UNICODE UTF-8",
    "USASCII": "ASCII",
    "ISO646": "ASCII",
    "ISO2022IR6": "ASCII",
    **{f"ISO8859{part}": f"8859/{part}" for part in (*range(1, 10), 15)},
    **{f"LATIN{n}": f"8859/{part}" for n, part in ((1, 1), (2, 2), (3, 3), (4, 4), (5, 9), (9, 15))},
    **{
        f"ISOIR{registered}": f"8859/{part}"
        for registered, part in (
            (100, 1),
            (101, 2),
            (109, 3),
            (110, 4),
            (144, 5),
            (127, 6),
            (126, 7),
            (138, 8),
            (148, 9),
        )
    },
    "ISOIR13": "ISO IR14",
    "JISX0201": "ISO IR14",
    "JISX0208": "ISO IR87",
    "JISX0212": "ISO IR159",
    "JISX0202": "ISO IR87",
    "ISO2022JP": "ISO IR87",
    "ISO2022IR13": "ISO IR14",
    "ISO2022IR87": "ISO IR87",
    "ISO2022IR159": "ISO IR159",
    "SHIFTJIS": "SHIFT JIS",
    "SJIS": "SHIFT JIS",
    "MS932": "SHIFT JIS",
    "CP932": "SHIFT JIS",
    "WINDOWS31J": "SHIFT JIS",
    "GB18030": "GB 18030-2000",
    "GB180302000": "GB 18030-2000",
    "GBK": "GB 18030-2000",
    "GB2312": "GB 18030-2000",
    "CP936": "GB 18030-2000",
    "BIG5": "BIG-5",
    "CP950": "BIG-5",
    "KSC5601": "KS X 1001",
    "KSC56011987": "KS X 1001",
    "ISO2022IR149": "KS X 1001",
    "ISOIR149": "KS X 1001",
    "EUCKR": "KS X 1001",
    "UHC": "CP949",
    "MS949": "CP949",
    "CP1252": "WINDOWS-1252",
}
"""What senders write instead: names of IANA, of DICOM (PS3.3 table C.12-2) and of code pages, to ours.

Each stands without blanks, hyphens, slashes and underscores. GBK and GB 2312 are parts of GB 18030.
"""
_NOT_LETTERS = re.compile(r"[^A-Z0-9]")
_BARE: Mapping[str, str] = {_NOT_LETTERS.sub("", name): name for name in CODECS if name}
_WESTERN = frozenset({"8859/1", "8859/9", "8859/15", "WINDOWS-1252"})
_ASIAN = frozenset({"GB 18030-2000", "KS X 1001", "CP949", "BIG-5", "BIG5-HKSCS", "SHIFT JIS", "EUC-JP"})
_C1 = re.compile("[\x80-\x9f]")
_BEYOND_TWO_BYTES = re.compile("[\u0800-\U0010ffff]")


def codec_name(declared: str) -> tuple[str, str]:
    """Return the table's name and the codec for the raw MSH-18.

    A repeating field names a set and those that escape sequences switch to (section 2.15.9.18); of these the Japanese
    ISO 2022 sets have one codec that reads them all, ASCII included.

    Raises
    ------
    Hl7InputError
        Code 103, table value not found.
    """
    names = [_canonical(part) for part in declared.split("~")]
    for name in names:
        if name not in CODECS:
            raise Hl7InputError("MSH-18 names no supported character set", error_code="103", location=LOCATION)
    japanese = next((name for name in names if CODECS[name] == "iso2022_jp_ext"), None)
    name = names[0] if japanese is None or CODECS[names[0]] == "utf_8" else japanese
    return name, CODECS[name]


def decode(raw: bytes, declared: str, default: str) -> tuple[str, str]:
    """Decode a whole message; return the text and its codec.

    Parameters
    ----------
    declared
        Raw MSH-18; where it is empty, a byte order mark says UTF-8, and otherwise ``default`` (a name of table 0211)
        holds.

    Raises
    ------
    Hl7InputError
        The set is not supported (103), or the bytes are not in it (102). The message names the set and no text.
    """
    marked = raw.startswith(BOM)
    body = raw[len(BOM) :] if marked else raw
    stated = declared.strip() or ("UNICODE UTF-8" if marked else default)
    name, codec = codec_name(stated)
    origin = "MSH-18 says" if declared.strip() else "MSH-18 is empty and the default is"
    way = "" if declared.strip() else ": send MSH-18, or have hl7.charsets name this sender's set"
    try:
        text = _decode(body, codec)
    except UnicodeDecodeError as exc:
        hint = "; they are valid UTF-8" if _is_utf8(body) else ""
        raise _wrong(f"{origin} {name or 'ASCII'}, but the message holds bytes that are not in it{hint}{way}") from exc
    if name in _WESTERN | _ASIAN and _disguised_utf8(body, name):
        raise _wrong(f"{origin} {name}, but the message is UTF-8")
    if name.startswith("8859/") and _C1.search(text):
        raise _wrong(f"{origin} {name}, but the message holds bytes that this set does not assign")
    if "\x00" in text:
        raise Hl7InputError("the message holds a NUL character", error_code="102")
    return text, codec


def lenient(raw: bytes, declared: str) -> str:
    """Decode what an acknowledgement echoes; never raises, bytes that do not decode become ``?``."""
    body = raw.removeprefix(BOM)
    try:
        return body.decode(codec_name(declared)[1])
    except (Hl7InputError, UnicodeDecodeError):
        return body.decode("ascii", "replace").replace("\ufffd", "?")


def _wrong(message: str) -> Hl7InputError:
    return Hl7InputError(message, error_code="102", location=LOCATION)


def _canonical(name: str) -> str:
    """Return our name of a set; the name as it came where there is none."""
    name = name.strip().upper()
    if name in CODECS:
        return name
    bare = _NOT_LETTERS.sub("", name)
    return _ALIASES.get(bare) or _BARE.get(bare, name)


def _decode(body: bytes, codec: str) -> str:
    # JIS X 0201 is the one-byte part of Shift JIS: half-width katakana at 0xA1 to 0xDF, nothing else above 0x7F.
    if codec == "shift_jis" and any(byte >= 0x80 and not 0xA1 <= byte <= 0xDF for byte in body):
        raise UnicodeDecodeError(codec, body, 0, 1, "not JIS X 0201")
    return body.decode(codec)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode("utf_8")
    except UnicodeDecodeError:
        return False
    return True


def _disguised_utf8(body: bytes, name: str) -> bool:
    """Whether bytes that this set can also decode are UTF-8 beyond reasonable doubt.

    Accented Latin letters followed by nothing but symbols are not a text, and neither are East Asian double bytes that
    happen to form well-formed three-byte sequences from the first to the last.
    """
    if body.isascii():
        return False
    try:
        text = body.decode("utf_8")
    except UnicodeDecodeError:
        return False
    return name in _WESTERN or bool(_BEYOND_TWO_BYTES.search(text))
