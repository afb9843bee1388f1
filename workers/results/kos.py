"""Key Object Selection of a prediction: the source images that show what was found (TID 2010 of PS3.16).

It names source images and nothing else, as readers of the IHE profile Key Image Note expect. The report refers to
segmentation and images itself, and it changes with notes and order while the key images do not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from highdicom.sr import DeviceObserverIdentifyingAttributes, ObserverContext
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from workers.reading.instances import quiet
from workers.results.common import (
    DISCLAIMER,
    MANUFACTURER,
    ResultInput,
    device_serial,
    device_uid,
    image_uid,
    long_string,
    series_number,
    series_uid,
)
from workers.results.equipment import equipment, node_equipment, settle
from workers.results.headers import grid, prepare
from workers.results.keys import key_slices
from workers.results.profile import Profile


def build_kos(inp: ResultInput, profile: Profile, built: Mapping[str, Sequence[Dataset]]) -> Sequence[Dataset]:
    """Build a Key Object Selection Document of the slices of :func:`workers.results.keys.key_slices`.

    Images are named in order of importance; of a multi-frame image, its frames (PS3.3 C.18.4).
    """
    slices = key_slices(inp)
    return [_build(inp, slices)] if slices else ()


def _build(inp: ResultInput, slices: tuple[int, ...]) -> Dataset:
    with quiet():
        images = prepare(inp.sources, _texts(inp))
        chosen = images if len(images) == 1 else [images[index] for index in slices]
        content = KeyObjectSelection(
            document_title=codes.cid7010.OfInterest,
            referenced_objects=chosen,
            observer_device_context=_observer(inp),
            description=f"Slices that show what {inp.card.title} reports. {DISCLAIMER}",
        )
        if len(images) == 1:
            _name_frames(content, inp, slices)
        kos = KeyObjectSelectionDocument(
            evidence=chosen,
            content=content,
            series_instance_uid=series_uid(inp, "kos"),
            series_number=series_number(inp.image, "kos"),
            sop_instance_uid=image_uid(inp, "kos"),
            instance_number=1,
            series_description=long_string(f"KOS {inp.card.title}"),
            contributing_equipment=[node_equipment(inp)],
            specific_character_set=None,
            **equipment(inp),
        )
    for item in kos.ContentSequence:
        if item.ValueType == "IMAGE":
            del item.ConceptNameCodeSequence  # PS3.16 TID 2010, row 8: no purpose of reference
    kos.copy_patient_and_study_information(images[0])  # highdicom does so for images and reports
    settle(kos, inp, images[0])
    return kos


def _name_frames(content: KeyObjectSelection, inp: ResultInput, slices: tuple[int, ...]) -> None:
    """Narrow the reference to a multi-frame image down to the frames that show ``slices``."""
    _, order = grid(inp.sources)
    [reference] = content.get_references()
    reference.ReferencedSOPSequence[0].ReferencedFrameNumber = [order[index] + 1 for index in slices]


def _observer(inp: ResultInput) -> ObserverContext:
    """TID 1002: the model chose the images."""
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=device_uid(inp.card),
            name=inp.card.title,
            manufacturer_name=MANUFACTURER,
            model_name=inp.card.name,
            serial_number=device_serial(inp.card),
        ),
    )


def _texts(inp: ResultInput) -> Iterator[str]:
    yield from (inp.card.name, inp.card.title, inp.card.version, inp.institution, inp.software_version)
