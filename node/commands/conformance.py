"""`overread conformance`: what this node speaks, taken from the code that speaks it (PS3.2)."""

from __future__ import annotations

from typing import Any

from pydicom.uid import UID
from pynetdicom import AllStoragePresentationContexts

from node import __version__
from node.commands.common import ConfigOption, JsonOption, dump, load, out, told
from node.delivery import TRANSPORTS
from node.dicom.scp.negotiation import TRANSFER_SYNTAXES
from node.dicom.services import abstract_syntaxes
from node.hl7.inbound import HANDLERS
from node.settings import Settings


@told
def conformance(config: ConfigOption = None, json: JsonOption = False) -> None:
    """Print the conformance statement of the configured node, in Markdown."""
    data = statement(load(config))
    if json:
        dump(data)
    else:
        out.print(_markdown(data), markup=False, highlight=False)


def statement(settings: Settings) -> dict[str, Any]:
    """Return roles, services, transfer syntaxes and messages."""
    storage = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    return {
        "product": f"Overread {__version__}",
        "ae_title": settings.dicom.ae_title,
        "port": settings.dicom.port,
        "max_pdu_bytes": settings.dicom.max_pdu_bytes,
        "max_associations": settings.dicom.max_associations,
        "scp": {"Services": sorted(abstract_syntaxes()), "Storage": storage},
        "storage_note": "Storage also of standard, retired and private SOP classes that are not in this list.",
        "scu": [
            "Storage: Segmentation, Comprehensive 3D SR",
            "Verification",
            "Storage Commitment Push Model: of destinations with commitment = true, reports on either association",
            "Study Root Query/Retrieve - FIND: number of instances of a study",
        ],
        "security": "TLS 1.2 and 1.3, BCP 195 (PS3.15 B.12)" if settings.dicom.tls.certificate else "none",
        "dicomweb": ["Store Transaction (STOW-RS): POST /dicom-web/studies, application/dicom (PS3.18 10.5)"],
        "transfer_syntaxes": list(TRANSFER_SYNTAXES),
        "storage_level": "2 (full): every attribute is kept, the data set byte for byte (PS3.4 B.4.1)",
        "hl7": {"version": "2.5.1", "in": sorted(HANDLERS), "out": ["ORU^R01"], "port": settings.hl7.port},
        "transports": sorted(TRANSPORTS),
    }


def _markdown(data: dict[str, Any]) -> str:
    lines = [
        f"# Conformance statement: {data['product']}",
        "",
        f"Application entity `{data['ae_title']}` listens on port {data['port']}; at most {data['max_associations']} "
        f"associations, PDUs of at most {data['max_pdu_bytes']} bytes.",
        "",
        "## SCP",
        *(f"- {service}: {_name(uid)} `{uid}`" for service, uids in data["scp"].items() for uid in uids),
        "",
        data["storage_note"],
        f"Storage level {data['storage_level']}.",
        "",
        "## SCU",
        *(f"- {service}" for service in data["scu"]),
        "",
        "## DICOMweb",
        *(f"- {service}" for service in data["dicomweb"]),
        "",
        f"Secure transport of the DICOM port: {data['security']}.",
        "",
        "## Transfer syntaxes",
        *(f"- {_name(uid)} `{uid}`" for uid in data["transfer_syntaxes"]),
        "",
        f"## HL7 {data['hl7']['version']} over MLLP, port {data['hl7']['port']}",
        f"- in: {', '.join(data['hl7']['in'])}",
        f"- out: {', '.join(data['hl7']['out'])}",
    ]
    return "\n".join(lines)


def _name(uid: str) -> str:
    return UID(uid).name
