"""What the knowledge graph is made of: concepts, what one says of another, the tables of triage. Frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from models.contracts import Code, ModelError
from models.fusion.knowledge_values import Condition

FAMILY = "family"

#: Parts of the body that images show, by DICOM Body Part Examined (0018,0015).
PLACES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "chest": frozenset({"CHEST", "LUNG", "THORAX", "CHESTABDOMEN", "CHESTABDPELVIS"}),
        "head": frozenset({"HEAD", "BRAIN", "SKULL", "HEADNECK"}),
    }
)


class GraphError(ModelError):
    """A file of the knowledge graph cannot be used; the message names file and line, and what to do."""


class NodeKind(StrEnum):
    """What a node is."""

    FINDING = "finding"
    STRUCTURE = "structure"  # something normal that is measured, such as the hippocampus
    CONDITION = "condition"
    SYMPTOM = "symptom"
    RISK_FACTOR = "risk_factor"
    LAB = "lab"
    MEDICATION = "medication"
    PROCEDURE = "procedure"
    DEMOGRAPHIC = "demographic"
    FOLLOW_UP = "follow_up"


class EdgeRelation(StrEnum):
    """What the subject of an edge says of its object; the first four are those of links."""

    SUPPORTS = "supports"
    CONTRADICTS = "contradicts"
    EXPLAINS = "explains"
    RAISES_RISK = "raises_risk"
    RECOMMENDS = "recommends"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A code, or all codes with a prefix.

    ``where`` is empty, ``family`` (a statement on the family only), or the part of the body that an image must show for
    a code that says too little by itself (a nodule): one of :data:`PLACES`.
    """

    scheme: str
    value: str
    prefix: bool = False
    where: str = ""

    def matches(self, code: Code) -> bool:
        """Whether a code is meant; ICD-10-CM is compared without its dot."""
        if code.scheme != self.scheme:
            return False
        value, given = self.value.replace(".", ""), code.value.replace(".", "")
        return given.startswith(value) if self.prefix else given == value

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value}{'*' if self.prefix else ''}{f'@{self.where}' if self.where else ''}"


@dataclass(frozen=True, slots=True)
class Node:
    """A clinical concept.

    Parameters
    ----------
    id
        Short and stable; edges name it.
    patterns
        Codes that stand for it, the one that names it first.
    meaning, chinese
        Its names.
    names
        Other names, for looking it up.
    """

    id: str
    kind: NodeKind
    patterns: tuple[Pattern, ...]
    meaning: str
    chinese: str = ""
    names: tuple[str, ...] = ()

    @property
    def code(self) -> Code | None:
        """The code that names it, None where it has only prefixes."""
        exact = next((item for item in self.patterns if not item.prefix and not item.where), None)
        return Code(exact.value, exact.scheme, self.meaning[:64]) if exact else None


@dataclass(frozen=True, slots=True)
class Edge:
    """What one concept says of another.

    Parameters
    ----------
    weight
        0 to 1: a rank, not a probability; by likelihood ratios where they are published (docs/fusion.md).
    condition
        Of the subject's value, None where its presence is enough.
    why
        One sentence.
    source
        The publication, or "clinical convention".
    """

    subject: str
    relation: EdgeRelation
    object: str
    weight: float
    condition: Condition | None
    why: str
    source: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes two edges the same one."""
        return self.subject, str(self.relation), self.object, str(self.condition or "")


@dataclass(frozen=True, slots=True)
class Grade:
    """How soon an image finding is to be read (a line of ``critical*.tsv``).

    Parameters
    ----------
    node
        Id of the finding's node.
    priority
        ``STAT``, ``ASAP`` or ``ROUTINE``.
    critical
        Whether it asks for an alert of its own.
    confidence
        Least confidence of the finding (0 to 1) for the priority and the alert; a finding without one counts.
    by_risk
        Whether it asks for an alert where the record makes the finding more dangerous.
    """

    node: str
    priority: str
    critical: bool
    confidence: float
    why: str
    source: str
    by_risk: bool = False


@dataclass(frozen=True, slots=True)
class PriorityRule:
    """What else raises the priority (a line of ``priority*.tsv``).

    Parameters
    ----------
    kind
        ``score``, ``score_category``, ``patient_class``, ``acute`` (a symptom in a note or order) or ``risk``.
    key
        Name of the score, the class, or the id of a node; ``*`` for any.
    test
        ``>= 3``, or ``4B|4X``; empty where there is nothing to compare.
    """

    kind: str
    key: str
    test: str
    priority: str
    why: str
    source: str
