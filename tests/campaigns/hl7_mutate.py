"""Mutations of HL7 messages: what broken, careless and hostile senders make of them. One follows from its numbers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

Mutation = Callable[[bytes, random.Random], bytes]

TOKENS: Sequence[bytes] = (
    b"", b'""', b"^", b"~", b"&", b"\\", b"|", b"\\F\\", b"\\X41\\", b"\\X4\\", b"\\XFF\\", b"\\X0B1C0D\\", b"\\.br\\",
    b"\\.sp99999999\\", b"\\.sp-5\\", b"\\M2442\\", b"\\M242844\\", b"\\C2842\\", b"\\H\\", b"\\\\", b"\x00", b"\x1b$B",
    b"\xef\xbb\xbf", b"\xff\xfe", b"-1", b"0", b"1e999", b"nan", b"inf", b"1" * 400, b"9" * 30, b"99999999",
    b"00000000", b"20261341", b"20260230256199", b"20260101+9999", b"000101010000-1400", b"99991231235959+1400",
    b"ADT^A01", b"MSH|^~\\&|", b"MRG|1", "٣".encode(), "王".encode("gb18030"), "é".encode("latin_1"),
    "\u202e\u2028".encode(), b"'; DROP TABLE messages; --", b"<script>", b"%s%n{}", b"../../x",
)  # fmt: skip
CHARSETS = (
    b"", b"ASCII", b"8859/1", b"8859/5", b"8859/8", b"8859/15", b"UNICODE UTF-8", b"GB 18030-2000", b"BIG-5",
    b"KS X 1001", b"ISO IR14", b"ISO IR87", b"~ISO IR87", b"ISO IR14~ISO IR87~ISO IR159", b"UTF-16", b"UNICODE",
    b"UNICODE UTF-32", b"CNS 11643-1992", b"x" * 300, b"idna", b"zlib", b"rot13", b"unicode_escape", b"\xff",
)  # fmt: skip
CODES = (
    b"ADT", b"ADT^A08", b"ADT^A40^ADT_A39", b"ADT^A99", b"ORM^O01", b"ORU^R01", b"MDM^T02", b"MDM^T11", b"ACK",
    b"MCF", b"ACK^A01^ACK", b"", b"^A01", b"adt^a01", b"ORU^R30", b"QBP^Q22", b"\x01", b"ADT^A08~ORU^R01", b"ADT^A40",
)  # fmt: skip
VERSIONS = (
    b"",
    b"2",
    b"2.1",
    b"2.2",
    b"2.3",
    b"2.5.1^USA",
    b"2.8.2",
    b"2.99",
    b"3.0",
    b"v2.5",
    b"2.5.1.1",
    b"2." + b"9" * 50,
)
CONDITIONS = (b"", b"AL", b"NE", b"ER", b"SU", b"al", b'""', b"XX", b"AL^", b" ", b"A" * 2000)
CONTROL_IDS = (b"", b"X" * 199, b"X" * 200, b"a b", b"\xe9", b"C^1", b"\\F\\", b"\x01")
LINE_ENDS = (b"\n", b"\r\n", b"\r\r", b"\n\r", b"\r \r", b"\x85", b"\x0b", b"\x0c")


def flip(raw: bytes, rng: random.Random) -> bytes:
    """Change single bytes."""
    data = bytearray(raw)
    for _ in range(rng.randrange(1, 9)):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


def cut(raw: bytes, rng: random.Random) -> bytes:
    """Take bytes out, or all behind a place."""
    start = rng.randrange(len(raw) + 1)
    return raw[:start] if rng.random() < 0.5 else raw[:start] + raw[start + rng.randrange(1, 200) :]


def insert(raw: bytes, rng: random.Random) -> bytes:
    """Put something in between."""
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + (rng.choice(TOKENS) if rng.random() < 0.7 else rng.randbytes(rng.randrange(1, 40))) + raw[at:]


def repeat(raw: bytes, rng: random.Random) -> bytes:
    """Repeat a piece."""
    start = rng.randrange(len(raw) + 1)
    piece = raw[start : start + rng.randrange(1, 60)]
    return raw[:start] + piece * rng.choice((2, 3, 50)) + raw[start:]


def _lines(raw: bytes) -> list[bytes]:
    return raw.split(b"\r")


def swap_segments(raw: bytes, rng: random.Random) -> bytes:
    """Exchange two segments, or bring all into disorder."""
    lines = _lines(raw)
    if rng.random() < 0.3:
        rng.shuffle(lines)
    else:
        one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[one], lines[other] = lines[other], lines[one]
    return b"\r".join(lines)


def drop_segment(raw: bytes, rng: random.Random) -> bytes:
    """Leave a segment out."""
    lines = _lines(raw)
    del lines[rng.randrange(len(lines))]
    return b"\r".join(lines)


def multiply_segment(raw: bytes, rng: random.Random) -> bytes:
    """Repeat a segment, now and then more often than the node takes."""
    lines = _lines(raw)
    at = rng.randrange(len(lines))
    count = rng.choice((2, 3, 10, 10, 60, 250) if rng.random() < 0.98 else (6000, 21_000))
    lines[at : at + 1] = [lines[at]] * min(count, 400_000 // (len(lines[at]) + 1) + 1)
    return b"\r".join(lines)


def other_delimiters(raw: bytes, rng: random.Random) -> bytes:
    """Use other delimiters throughout, or only say so."""
    new = bytes(rng.sample(b"|^~\\&#!$%*+:;@_`{}", 5))
    if rng.random() < 0.3:
        return raw[:3] + new[: rng.randrange(6)] + raw[8:]
    return raw.translate(bytes.maketrans(b"|^~\\&", new))


def set_field(raw: bytes, rng: random.Random) -> bytes:
    """Put something else into a field."""
    return _with_field(raw, rng, rng.choice(TOKENS))


def blow_up(raw: bytes, rng: random.Random) -> bytes:
    """Make a field long."""
    size = rng.choice((201, 251, 501, 1001, 5000, 70_000))
    return _with_field(raw, rng, rng.choice((b"A", b"plantedname ", "王".encode(), b"\\", b"\\X41\\", b"1")) * size)


def deepen(raw: bytes, rng: random.Random) -> bytes:
    """Fill a field with repetitions, components or subcomponents."""
    piece = rng.choice((b"~", b"^", b"&", b"~a", b"^&~", b"a^b&c~", b"~\\R\\"))
    return _with_field(raw, rng, piece * rng.choice((5, 300, 5000, 20_000)))


def _with_field(raw: bytes, rng: random.Random, value: bytes) -> bytes:
    lines = _lines(raw)
    at = rng.randrange(len(lines))
    fields = lines[at].split(b"|")
    where = rng.randrange(len(fields))
    if rng.random() < 0.7 or not fields[where]:
        fields[where] = value
    else:
        components = fields[where].split(b"^")
        components[rng.randrange(len(components))] = value
        fields[where] = b"^".join(components)
    lines[at] = b"|".join(fields)
    return b"\r".join(lines)


def set_header(raw: bytes, rng: random.Random) -> bytes:
    """Change what MSH says of the message."""
    lines = _lines(raw)
    fields = [*lines[0].split(b"|"), *[b""] * 18]
    where, values = rng.choice(
        (
            (8, CODES), (9, CONTROL_IDS), (10, (b"", b"T")),
            (11, VERSIONS), (14, CONDITIONS), (15, CONDITIONS), (17, CHARSETS), (2, TOKENS), (3, TOKENS),
        )
    )  # fmt: skip
    fields[where] = rng.choice(values)
    lines[0] = b"|".join(fields)
    return b"\r".join(lines)


def other_charset(raw: bytes, rng: random.Random) -> bytes:
    """Encode the message otherwise than it says, or say otherwise than it is encoded."""
    if rng.random() < 0.5:
        lines = _lines(raw)
        fields = [*lines[0].split(b"|"), *[b""] * 18]
        fields[17] = rng.choice(CHARSETS)
        lines[0] = b"|".join(fields)
        return b"\r".join(lines)
    codec = rng.choice(("utf_16", "utf_16_le", "utf_32", "gb18030", "shift_jis", "utf_8_sig", "cp037", "utf_7"))
    return raw.decode("utf_8", "replace").encode(codec, "replace")


def other_line_ends(raw: bytes, rng: random.Random) -> bytes:
    """End lines otherwise, all or some."""
    end = rng.choice(LINE_ENDS)
    if rng.random() < 0.5:
        return raw.replace(b"\r", end)
    return re.sub(rb"\r", lambda _: end if rng.random() < 0.4 else b"\r", raw)


def other_value_type(raw: bytes, rng: random.Random) -> bytes:
    """Call the values of OBX another type."""
    kind = rng.choice((b"NM", b"SN", b"ED", b"RP", b"TX", b"FT", b"CWE", b"TS", b"", b"XX"))
    return re.sub(rb"\r(OBX\|[^|\r]*\|)[^|\r]*", lambda match: b"\r" + match.group(1) + kind, raw)


def broken_escapes(raw: bytes, rng: random.Random) -> bytes:
    """Strew escape sequences and halves of them."""
    data = raw
    for _ in range(rng.randrange(1, 12)):
        at = rng.randrange(9, max(10, len(data)))
        data = data[:at] + rng.choice([token for token in TOKENS if token.startswith(b"\\")]) + data[at:]
    return data


MUTATIONS: Sequence[Mutation] = (
    flip, cut, insert, repeat, swap_segments, drop_segment, multiply_segment, other_delimiters, set_field, set_field,
    set_field, blow_up, deepen, set_header, set_header, other_charset, other_line_ends, other_value_type,
    broken_escapes,
)  # fmt: skip


def mutate(raw: bytes, rng: random.Random) -> bytes:
    """Return a message with one to three mutations."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        raw = rng.choice(MUTATIONS)(raw, rng)
    return raw
