"""The settings' shape: one frozen pydantic model a table of ``overread.toml``. :mod:`node.config` reads the file."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from node.decide import defaults
from node.decide.conditions import problem


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _ae_title(value: str) -> str:
    """PS3.8 section 7.1.1.9: 1 to 16 characters of the default repertoire, no backslash, not only spaces."""
    if not 1 <= len(value.strip()) <= 16 or not value.isascii() or not value.isprintable() or "\\" in value:
        raise ValueError("an AE title has 1 to 16 printable ASCII characters and no backslash")
    return value.strip()


def _network(value: str) -> str:
    ipaddress.ip_network(value, strict=False)
    return value


AETitle = Annotated[str, AfterValidator(_ae_title)]
Network = Annotated[str, AfterValidator(_network)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0)]
Priority = Literal["STAT", "ASAP", "ROUTINE"]


class Section(BaseModel):
    """A table of the file: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NodeSection(Section):
    """The node itself."""

    root: Path = Path("./data")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "console"] = "json"
    stop_seconds: Seconds = 12.0
    institution: str = ""


class Peer(Section):
    """A DICOM application that the node knows: who may associate, from where, and where it listens itself.

    With ``host`` and ``port`` the node can call back: reports of storage commitment go there on a new association, and
    with ``query`` the peer is asked how many instances a study has. Without ``store`` it may verify and notify, but its
    objects are refused with 0124, not authorised.
    """

    ae_title: AETitle
    address: Network = "0.0.0.0/0"
    host: str = ""
    port: Port = 0
    tls: bool = False
    query: bool = False
    store: bool = True

    @model_validator(mode="after")
    def _reachable(self) -> Peer:
        if self.query and not (self.host and self.port):
            raise ValueError(f"peer {self.ae_title!r} is to be queried: it needs host and port")
        return self


class TlsSection(Section):
    """TLS of the DICOM port (PS3.15 annex B.12); without a certificate the port speaks plain DICOM."""

    certificate: Path | None = None
    key: Path | None = None
    authorities: Path | None = None
    client_certificates: Literal["none", "optional", "required"] = "none"

    @model_validator(mode="after")
    def _whole(self) -> TlsSection:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("TLS needs a certificate and its key")
        if self.client_certificates != "none" and self.authorities is None:
            raise ValueError("client certificates are verified against authorities: name their file")
        return self


class DicomSection(Section):
    """The DICOM side. No peers: every calling AE title and address is accepted, with a warning at start."""

    ae_title: AETitle = "OVERREAD"
    host: str = "0.0.0.0"  # noqa: S104  scanners are other machines; the allowlist is `peers`
    port: Port = 11112
    processes: Annotated[int, Field(ge=1, le=64)] = 2
    require_called_ae_title: bool = False
    peers: tuple[Peer, ...] = ()
    durability: Literal["instance", "association", "none"] = "instance"
    duplicates: Literal["refuse", "keep"] = "refuse"
    max_associations: Annotated[int, Field(ge=1, le=4096)] = 64
    max_associations_per_peer: Annotated[int, Field(ge=1, le=4096)] = 32
    max_pdu_bytes: Annotated[int, Field(ge=4096, le=1 << 24)] = 131072
    max_instance_bytes: Annotated[int, Field(ge=1 << 20)] = 4 << 30
    idle_seconds: Seconds = 60.0
    read_seconds: Annotated[float, Field(gt=0)] = 30.0
    min_bytes_per_second: Annotated[int, Field(ge=0)] = 1024
    min_free_bytes: Annotated[int, Field(ge=0)] = 1 << 30
    min_free_percent: Annotated[float, Field(ge=0, lt=100)] = 2.0
    journal_bytes: Annotated[int, Field(ge=1 << 20, le=1 << 34)] = 512 << 20
    tls: TlsSection = TlsSection()


class Hl7Section(Section):
    """The HL7 side: an MLLP server.

    ``charset`` holds where MSH-18 is empty; ``charsets`` says otherwise for a sender, by MSH-3 or ``MSH-3|MSH-4``.
    ``acknowledge`` says when AA is answered in the original mode: as soon as the message is kept, or once it was taken
    over into the records.
    """

    host: str = "0.0.0.0"  # noqa: S104
    port: Port = 2575
    application: str = "OVERREAD"
    facility: str = ""
    charset: str = "ASCII"
    charsets: dict[str, str] = Field(default_factory=dict)
    acknowledge: Literal["kept", "processed"] = "kept"
    max_message_bytes: Annotated[int, Field(ge=1024)] = 16 << 20
    max_connections: Annotated[int, Field(ge=1, le=4096)] = 256
    max_connections_per_peer: Annotated[int, Field(ge=1, le=4096)] = 64
    idle_seconds: Seconds = 300.0
    read_seconds: Annotated[float, Field(gt=0)] = 60.0
    peers: tuple[Network, ...] = ()
    tls: TlsSection = TlsSection()


class WebSection(Section):
    """The web side. Any host but loopback needs ``user`` and ``password`` (or ``password_hash``, argon2)."""

    host: str = "127.0.0.1"
    port: Port = 8080
    user: str = ""
    password: SecretStr = SecretStr("")
    password_hash: SecretStr = SecretStr("")
    max_stow_bytes: Annotated[int, Field(ge=1 << 20)] = 8 << 30

    @property
    def login(self) -> bool:
        """Whether a login is configured."""
        return bool(self.user and (self.password.get_secret_value() or self.password_hash.get_secret_value()))

    @model_validator(mode="after")
    def _loopback_or_login(self) -> WebSection:
        if not is_loopback(self.host) and not self.login:
            raise ValueError("web.host is not loopback: set web.user and web.password (or web.password_hash) first")
        return self


class DatabaseSection(Section):
    """Where the records are; empty: SQLite under the root."""

    url: str = ""


class BrokerSection(Section):
    """Where jobs are queued; empty: an embedded Valkey under the root."""

    url: str = ""


class WorkersSection(Section):
    """Celery workers that `overread serve` starts. 0 processes: they run elsewhere.

    Each runs its models in a process of its own, on ``device`` (``auto``, ``cpu``, ``cuda`` or ``cuda:1``), with
    ``threads`` of the processor (0: its share of the cores). An inference that takes longer than ``timeout_seconds`` is
    killed. ``reserve_mb`` of the device stay free when a model is loaded. docs/runtime.md has the rest.
    """

    processes: Annotated[int, Field(ge=0, le=64)] = 1
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]{1,2})?)$")] = "auto"
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    lease_seconds: Annotated[float, Field(ge=2)] = 15.0
    max_attempts: Annotated[int, Field(ge=1)] = 3
    timeout_seconds: Annotated[float, Field(gt=0)] = 600.0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    compile: bool = False
    deterministic: bool = False
    reserve_mb: Annotated[int, Field(ge=0, le=1 << 20)] = 512


class CompletenessSection(Section):
    """When a study counts as whole, and what happens to one that does not become it."""

    quiet_seconds: Seconds = 10.0
    release_quiet_seconds: Seconds = 3.0
    learn: bool = True
    max_quiet_seconds: Seconds = 120.0
    incomplete_seconds: Annotated[float, Field(gt=0)] = 600.0
    incomplete: Literal["process", "wait"] = "process"


class WatchSection(Section):
    """A folder whose files are taken in; no path: none is watched."""

    path: Path | None = None
    settle_seconds: Annotated[float, Field(ge=0)] = 2.0
    after: Literal["delete", "move"] = "delete"


class NotesSection(Section):
    """What reads clinical notes: rules and lexicons, or a transformer from a local folder."""

    engine: Literal["rules", "transformer"] = "rules"
    model: Path | None = None

    @model_validator(mode="after")
    def _complete(self) -> NotesSection:
        if self.engine == "transformer" and self.model is None:
            raise ValueError("the transformer engine needs model, a local folder")
        return self


class KnowledgeSection(Section):
    """A folder whose files extend the knowledge graph; see docs/fusion.md."""

    path: Path | None = None


class DeliverySection(Section):
    """How results are retried."""

    retry_seconds: Annotated[float, Field(gt=0)] = 5.0
    retry_max_seconds: Annotated[float, Field(gt=0)] = 900.0
    give_up_days: Annotated[float, Field(gt=0)] = 7.0
    timeout_seconds: Annotated[float, Field(gt=0)] = 60.0


ResultKind = Literal["seg", "sr", "pm", "kos", "gsps", "sc", "pdf", "oru", "alert"]
"""What can be sent: the kinds of ``workers.results``; ``alert`` is the message on a critical finding."""

MESSAGES: frozenset[str] = frozenset({"oru", "alert"})
"""Kinds that are HL7 messages."""

SENT_BY_DEFAULT: Mapping[str, tuple[ResultKind, ...]] = {
    "dicom": ("seg", "sr"),
    "dicomweb": ("seg", "sr"),
    "mllp": ("oru",),
    "folder": ("seg", "sr", "oru"),
}
"""Kinds of result that a destination gets unless ``send`` says otherwise: images and reports, or messages."""


class Destination(Section):
    """Somewhere results go, what it gets, and the form in which its viewers want it.

    Of kind ``mllp``: with ``tls`` the certificate and authorities of ``hl7.tls`` are used; ``attach_pdf`` puts the PDF
    report into the ORU; an ``alert`` that is not acknowledged within ``alert_seconds`` is escalated.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    kind: Literal["dicom", "dicomweb", "mllp", "folder"]
    host: str = ""
    port: Port = 0
    ae_title: str = ""
    calling_ae_title: str = ""
    tls: bool = False
    commitment: bool = False
    url: str = ""
    username: str = ""
    password: SecretStr = SecretStr("")
    token: SecretStr = SecretStr("")
    path: Path | None = None
    send: tuple[ResultKind, ...] = ()
    segmentation: Literal["binary", "fractional", "labelmap"] = "binary"
    empty_frames: bool = False
    split_segments: bool = False
    attach_pdf: bool = False
    receiving_application: str = ""
    receiving_facility: str = ""
    acknowledgement: Literal["original", "enhanced"] = "original"
    alert_seconds: Annotated[float, Field(gt=0)] = 300.0

    @model_validator(mode="after")
    def _complete(self) -> Destination:
        if self.kind == "dicom":
            _ae_title(self.ae_title)
        if self.kind in ("dicom", "mllp") and not (self.host and self.port):
            raise ValueError(f"a destination of kind {self.kind!r} needs host and port")
        if self.kind == "folder" and self.path is None:
            raise ValueError("a destination of kind 'folder' needs path")
        if self.kind == "dicomweb":
            if not re.fullmatch(r"https?://[^/@?]+(/[^@?]*)?", self.url):
                raise ValueError("a destination of kind 'dicomweb' needs url, http(s)://, without a password in it")
            _ = urlsplit(self.url).port  # raises ValueError for one that is none
        if self.kind not in ("dicom", "mllp") and self.tls:
            raise ValueError("tls is for destinations of kind 'dicom' and 'mllp'")
        if self.kind != "dicom" and self.commitment:
            raise ValueError("commitment is for destinations of kind 'dicom'")
        if self.kind in ("dicom", "dicomweb") and set(self.send) & MESSAGES:
            raise ValueError(f"a destination of kind {self.kind!r} takes no oru and no alert")
        if self.kind == "mllp" and set(self.send) - MESSAGES:
            raise ValueError("a destination of kind 'mllp' takes only oru and alert")
        return self

    @property
    def accepts(self) -> tuple[str, ...]:
        """Kinds of result that go there."""
        return self.send or SENT_BY_DEFAULT[self.kind]


class Rule(Section):
    """Which studies get which models, and where their results go. ``send = []`` means every destination.

    A model is named as ``"name"`` (its newest version) or ``"name@version"``. Those of ``shadow`` run and are recorded,
    and nothing of them is published.
    """

    name: str
    when: dict[str, Any] = Field(default_factory=dict)
    run: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()
    send: tuple[str, ...] = ()
    priority: Priority | None = None

    @field_validator("when")
    @classmethod
    def _known(cls, value: dict[str, Any]) -> dict[str, Any]:
        if wrong := [text for name, wanted in value.items() if (text := problem(name, wanted))]:
            raise ValueError("; ".join(wrong))
        return value


DEFAULT_RULES = tuple(Rule.model_validate(rule) for rule in defaults.RULES)


class Settings(Section):
    """All of it. Build with :func:`load`."""

    node: NodeSection = NodeSection()
    dicom: DicomSection = DicomSection()
    hl7: Hl7Section = Hl7Section()
    web: WebSection = WebSection()
    database: DatabaseSection = DatabaseSection()
    broker: BrokerSection = BrokerSection()
    workers: WorkersSection = WorkersSection()
    completeness: CompletenessSection = CompletenessSection()
    watch: WatchSection = WatchSection()
    notes: NotesSection = NotesSection()
    knowledge: KnowledgeSection = KnowledgeSection()
    delivery: DeliverySection = DeliverySection()
    destinations: tuple[Destination, ...] = ()
    rules: tuple[Rule, ...] | None = None

    @model_validator(mode="after")
    def _references(self) -> Settings:
        names = [d.name for d in self.destinations]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"destination names are used twice: {', '.join(twice)}")
        for rule in self.rules or ():
            if missing := sorted(set(rule.send) - set(names)):
                raise ValueError(f"rule {rule.name!r} sends to unknown destinations: {', '.join(missing)}")
        return self

    @property
    def effective_rules(self) -> tuple[Rule, ...]:
        """The configured rules, or the default set where the configuration has none."""
        return DEFAULT_RULES if self.rules is None else self.rules

    @property
    def asked_models(self) -> tuple[str, ...]:
        """The models that rules ask for, as they name them, sorted."""
        return tuple(sorted({model for rule in self.effective_rules for model in (*rule.run, *rule.shadow)}))

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the records."""
        return self.database.url or f"sqlite:///{(self.node.root / 'overread.sqlite').resolve()}"

    def destination(self, name: str) -> Destination | None:
        """Return the destination of that name, or None if it was removed from the configuration."""
        return next((d for d in self.destinations if d.name == name), None)
