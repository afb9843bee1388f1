"""What is odd in a card and does not keep a model from running: units that are not UCUM, modalities that do not come.

Units are read by the grammar of UCUM (Schadow and McDonald, The Unified Code for Units of Measure, ucum.org), case
sensitive: atoms with prefixes, exponents, ``.`` and ``/``, parentheses, annotations in braces. The atoms are those that
medicine uses, written from memory: one that is missing here costs a warning, no more.
"""

from __future__ import annotations

import re

from models.contracts import InputKind
from models.site.card import RADIOGRAPHS, SiteCard

_METRIC = """
m s g rad K C cd mol sr Hz N Pa J W A V F Ohm S Wb Cel T H lm lx Bq Gy Sv l L ar t bar u eV pc cal U kat eq osm B Np P
St G Ci R RAD REM m[H2O] m[Hg] [IU] [iU] g% dyn erg Gal
"""
_PLAIN = """
% deg ' '' min h d a wk mo a_j mo_j [pi] [ppth] [ppm] [ppb] [pH] [in_i] [ft_i] [yd_i] [mi_i] [lb_av] [oz_av] [gr] [degF]
[stone_av] [diop] [p'diop] [hnsf'U] [arb'U] [CFU] [PFU] [drp] [HPF] [LPF] [MET] [Ch] [psi] [c] 10* 10^ AU [fl'oz_us]
[cup_us] [tsp_us] [tbs_us]
"""

#: Atoms that take a prefix, and those that take none.
METRIC, PLAIN = frozenset(_METRIC.split()), frozenset(_PLAIN.split())
PREFIXES = ("da", *"YZEPTGMkhdcmunpfazy")

TOKEN = re.compile(
    r"(?P<note>\{[!-z|~]{0,50}\})|(?P<open>\()|(?P<close>\))|(?P<join>[./])"
    r"|(?P<atom>10[*^]|(?:[A-Za-z%'_]|\[[A-Za-z0-9_']{1,16}\])+)(?P<power>[+-]?\d{1,2})?|(?P<number>\d{1,9})"
)

#: Parts of a unit; a code has 16 characters.
MAX_PARTS = 32


def is_ucum(unit: str) -> bool:
    """Whether a text is a unit by UCUM's grammar, of atoms that are known here."""
    place, depth, after, parts = 0, 0, "", 0
    while place < len(unit) and parts < MAX_PARTS:
        found = TOKEN.match(unit, place)
        if found is None:
            return False
        kind = found.lastgroup if found.lastgroup != "power" else "atom"
        if not _follows(kind or "", found[0], after, depth):
            return False
        if kind == "atom" and not _known(found["atom"]):
            return False
        depth += {"open": 1, "close": -1}.get(kind or "", 0)
        place, after, parts = found.end(), kind or "", parts + 1
    return bool(unit) and place == len(unit) and depth == 0 and after not in {"join", "open"}


def _follows(kind: str, text: str, after: str, depth: int) -> bool:
    """Whether a part may stand after another."""
    ended = after in {"atom", "number", "note", "close"}
    if kind == "join":
        return ended or (text == "/" and after in {"", "open"})
    if kind == "close":
        return ended and depth > 0
    if kind == "note":
        return after != "note"
    return not ended


def _known(atom: str) -> bool:
    if atom in METRIC or atom in PLAIN:
        return True
    return any(atom.startswith(prefix) and atom[len(prefix) :] in METRIC for prefix in PREFIXES)


def warnings(card: SiteCard) -> tuple[str, ...]:
    """Sentences for whoever imports the model."""
    found = [
        f"the unit {output.unit} of {output.label} is not known as UCUM: a receiver may refuse the result"
        for output in card.outputs
        if output.unit and not is_ucum(output.unit)
    ]
    if card.input.kind is InputKind.RADIOGRAPH:
        found += [
            f"modality {word}: radiographs are read from CR and DX objects and secondary captures of them only"
            for word in card.input.modality
            if word not in RADIOGRAPHS
        ]
    return tuple(found)
