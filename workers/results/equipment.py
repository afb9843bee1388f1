"""Who made a result: equipment attributes, contributing equipment, and times that a retry makes again."""

from __future__ import annotations

from typing import Any

from highdicom import ContributingEquipment
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import DA, DT, TM

from workers.results.common import DISCLAIMER, MANUFACTURER, ResultInput, device_serial, device_uid, local_time


def equipment(inp: ResultInput) -> dict[str, Any]:
    """Enhanced General Equipment (PS3.3 C.7.5.2) and times, as arguments of highdicom's constructors."""
    at = local_time(inp)
    return {
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": inp.card.name[:64],
        "software_versions": [f"{inp.card.name} {inp.card.version}"[:64], f"overread {inp.software_version}"[:64]],
        "device_serial_number": device_serial(inp.card),
        "institution_name": inp.institution[:64] or None,
        "content_date": at.date(),
        "content_time": at.time().replace(microsecond=0),
    }


def node_equipment(inp: ResultInput) -> ContributingEquipment:
    """The node as processing equipment (PS3.3 C.12.1, Contributing Equipment Sequence; CID 7005)."""
    return ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name="overread",
        software_versions=inp.software_version[:64],
        institution_name=inp.institution[:64] or None,
        contribution_datetime=DT(local_time(inp).replace(microsecond=0, tzinfo=None)),
        contribution_description=DISCLAIMER,
    )


def algorithm_equipment(inp: ResultInput) -> ContributingEquipment:
    """The model as processing equipment, as IHE AIR 6.5.3.1 wants each algorithm; Device UID changes with the weights.

    What content items and algorithm identifications say of the model has to be the same (AIR table 6.5.3.1-1).
    """
    item = ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name=inp.card.name[:64],
        device_serial_number=device_serial(inp.card),
        software_versions=inp.card.version[:64],
        contribution_datetime=DT(local_time(inp).replace(microsecond=0, tzinfo=None)),
        contribution_description="Algorithm that made the result",
    )
    item.DeviceUID = device_uid(inp.card)
    return item


def settle(ds: Dataset, inp: ResultInput, image: Dataset) -> None:
    """Set what highdicom leaves to the present moment, or refuses, and name the algorithm as the device that it is.

    Device UID stands in General Equipment and in Contributing Equipment Sequence (PS3.3 C.7.5.1, C.12.1).

    The job's time stands for the present one, so that a retry makes the same object. The character set is that of
    ``image`` (:func:`workers.results.headers.prepare`); highdicom does not take one with an empty first value, which
    PS3.3 C.12.1.1.2 allows.
    """
    if "SpecificCharacterSet" in image:
        ds.SpecificCharacterSet = image.SpecificCharacterSet
    at = local_time(inp).replace(microsecond=0, tzinfo=None)
    ds.InstanceCreationDate, ds.InstanceCreationTime = DA(at.date()), TM(at.time())
    ds.DeviceUID = device_uid(inp.card)
    ds.ContributingEquipmentSequence.append(algorithm_equipment(inp))
    for item in ds.ContributingEquipmentSequence:
        if item.get("ManufacturerModelName") == "highdicom":
            item.ContributionDateTime = DT(at)
    if inp.image.get("TimezoneOffsetFromUTC"):
        ds.TimezoneOffsetFromUTC = inp.image.TimezoneOffsetFromUTC
