"""What the label maps of TotalSegmentator and its like draw: class maps, and the SNOMED CT code of each structure.

The class maps are those of TotalSegmentator (``map_to_binary.py``, Apache-2.0; Wasserthal et al., Radiology: Artificial
Intelligence 2023;5:e230024), the codes those of its ``totalsegmentator_snomed_mapping.csv``, made for segmentations in
DICOM. Each code was compared with that file; none was looked up in SNOMED CT itself.

A name that ends in ``_left`` or ``_right`` has the code of the structure and the modifier of CID 244 for the side.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from models.contracts import Code, SegmentSpec, Side

#: CID 7150.
STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
TISSUE = Code("85756007", "SCT", "Tissue")
OBJECT = Code("260787004", "SCT", "Physical object")

#: Values of the key ``category`` of a card's outputs.
CATEGORIES: Mapping[str, Code] = MappingProxyType(
    {"structure": STRUCTURE, "abnormality": ABNORMAL, "tissue": TISSUE, "object": OBJECT}
)

#: CID 244.
SIDES: Mapping[Side, Code] = MappingProxyType(
    {Side.LEFT: Code("7771000", "SCT", "Left"), Side.RIGHT: Code("24028007", "SCT", "Right")}
)

_SIDED = """
adrenal_gland 23451007 Adrenal gland;autochthon 244849004 Deep muscle of back;clavicula 51299004 Clavicle
femur 71341001 Femur;gluteus_maximus 181674001 Gluteus maximus muscle;gluteus_medius 78333006 Gluteus medius muscle
gluteus_minimus 75297007 Gluteus minimus muscle;hip 29836001 Hip;humerus 85050009 Humerus
iliac_artery 73634005 Common iliac artery;iliac_vena 46027005 Common iliac vein;iliopsoas 68455001 Iliopsoas muscle
kidney 64033007 Kidney;lung_lower_lobe 90572001 Lower lobe of lung;lung_upper_lobe 45653009 Upper lobe of lung
scapula 79601000 Scapula;subclavian_artery 29700009 Subclavian artery
common_carotid_artery 32062004 Common carotid artery;brachiocephalic_vein 8887007 Brachiocephalic vein
atrial_appendage 68786006 Auricular appendage;lung 39607008 Lung
rib_1 48535007 First rib;rib_2 78247007 Second rib;rib_3 25888004 Third rib;rib_4 25523003 Fourth rib
rib_5 15339008 Fifth rib;rib_6 59558009 Sixth rib;rib_7 24915002 Seventh rib;rib_8 5953002 Eighth rib
rib_9 22565002 Ninth rib;rib_10 77644006 Tenth rib;rib_11 58830002 Eleventh rib;rib_12 43993008 Twelfth rib
"""

_SINGLE = """
aorta 15825003 Aorta;brain 12738006 Brain;colon 71854001 Colon;duodenum 38848004 Duodenum
esophagus 32849002 Esophagus;face 89545001 Face;gallbladder 28231008 Gallbladder
heart_atrium_left 82471001 Left atrium;heart_atrium_right 73829009 Right atrium;heart_myocardium 74281007 Myocardium
heart_ventricle_left 87878005 Left ventricle of heart;heart_ventricle_right 53085002 Right ventricle of heart
inferior_vena_cava 64131007 Inferior vena cava;liver 10200004 Liver
lung_middle_lobe_right 72481006 Middle lobe of right lung;pancreas 15776009 Pancreas
portal_vein_and_splenic_vein 110765007 Portal vein and splenic vein;pulmonary_artery 81040000 Pulmonary artery
sacrum 54735007 Sacrum;small_bowel 30315005 Small intestine;spleen 78961009 Spleen;stomach 69695003 Stomach
trachea 44567001 Trachea;urinary_bladder 89837001 Urinary bladder;vertebrae_S1 65985001 S1 vertebra
vertebrae_C1 14806007 C1 vertebra;vertebrae_C2 39976000 C2 vertebra;vertebrae_C3 113205007 C3 vertebra
vertebrae_C4 5329002 C4 vertebra;vertebrae_C5 36978003 C5 vertebra;vertebrae_C6 36054005 C6 vertebra
vertebrae_C7 87391001 C7 vertebra;vertebrae_L1 66794005 L1 vertebra;vertebrae_L2 14293000 L2 vertebra
vertebrae_L3 36470004 L3 vertebra;vertebrae_L4 11994002 L4 vertebra;vertebrae_L5 49668003 L5 vertebra
vertebrae_T1 64864005 T1 vertebra;vertebrae_T2 53733008 T2 vertebra;vertebrae_T3 1626008 T3 vertebra
vertebrae_T4 73071006 T4 vertebra;vertebrae_T5 56401006 T5 vertebra;vertebrae_T6 45296009 T6 vertebra
vertebrae_T7 62487009 T7 vertebra;vertebrae_T8 11068009 T8 vertebra;vertebrae_T9 82687006 T9 vertebra
vertebrae_T10 7610001 T10 vertebra;vertebrae_T11 12989004 T11 vertebra;vertebrae_T12 23215003 T12 vertebra
heart 80891009 Heart;pulmonary_vein 122972007 Pulmonary vein;brachiocephalic_trunk 12691009 Brachiocephalic artery
superior_vena_cava 48345005 Superior vena cava;prostate 41216001 Prostate;sternum 56873002 Sternum
skull 89546000 Skull;spinal_cord 2748008 Spinal cord;thyroid_gland 69748006 Thyroid gland
costal_cartilages 50016007 Costal cartilage;coronary_arteries 41801008 Coronary artery;patella 64234005 Patella
tibia 12611008 Tibia;fibula 87342007 Fibula;ulna 23416004 Ulna;radius 62413002 Radius
skeletal_muscle 127954009 Skeletal muscle
"""

#: What is not an anatomical structure: category, code, meaning, and the structure in which it lies.
_OTHERS: Mapping[str, tuple[Code, Code, Code | None]] = MappingProxyType(
    {
        "kidney_cyst": (ABNORMAL, Code("367643001", "SCT", "Cyst"), Code("64033007", "SCT", "Kidney")),
        "liver_tumor": (ABNORMAL, Code("108369006", "SCT", "Neoplasm"), Code("10200004", "SCT", "Liver")),
        "pleural_effusion": (
            ABNORMAL,
            Code("41699000", "SCT", "Effusion"),
            Code("91381003", "SCT", "Pleural cavity"),
        ),
        "pericardial_effusion": (
            ABNORMAL,
            Code("41699000", "SCT", "Effusion"),
            Code("25489000", "SCT", "Pericardial cavity"),
        ),
        "intracerebral_hemorrhage": (
            ABNORMAL,
            Code("50960005", "SCT", "Hemorrhage"),
            Code("12738006", "SCT", "Brain"),
        ),
        "hip_implant": (OBJECT, Code("40388003", "SCT", "Implant"), Code("24136001", "SCT", "Hip joint")),
        "subcutaneous_fat": (TISSUE, Code("67769002", "SCT", "Subcutaneous fatty tissue"), None),
    }
)

_RIBS = " ".join(f"rib_{side}_{number}" for side in ("left", "right") for number in range(1, 13))
_SPINE = " ".join(
    [*(f"vertebrae_L{n}" for n in range(5, 0, -1)), *(f"vertebrae_T{n}" for n in range(12, 0, -1)),
     *(f"vertebrae_C{n}" for n in range(7, 0, -1))]
)  # fmt: skip
_MUSCLES = (
    "gluteus_maximus_left gluteus_maximus_right gluteus_medius_left gluteus_medius_right gluteus_minimus_left "
    "gluteus_minimus_right autochthon_left autochthon_right iliopsoas_left iliopsoas_right"
)
_FIRST = "spleen kidney_right kidney_left gallbladder liver stomach"
_LOBES = "lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right lung_middle_lobe_right lung_lower_lobe_right"
_ADRENALS = "adrenal_gland_right adrenal_gland_left"
_ILIAC = "iliac_artery_left iliac_artery_right iliac_vena_left iliac_vena_right"
_LIMBS = "humerus_left humerus_right scapula_left scapula_right clavicula_left clavicula_right"
_HIPS = "femur_left femur_right hip_left hip_right"

#: Class maps by name: structures in the order of their label values, from 1.
CLASS_MAPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        name: tuple(text.split())
        for name, text in {
            "totalsegmentator-v1": f"{_FIRST} aorta inferior_vena_cava portal_vein_and_splenic_vein pancreas "
            f"{_ADRENALS} {_LOBES} {_SPINE} esophagus trachea heart_myocardium heart_atrium_left heart_ventricle_left "
            f"heart_atrium_right heart_ventricle_right pulmonary_artery brain {_ILIAC} small_bowel duodenum colon "
            f"{_RIBS} {_LIMBS} {_HIPS} sacrum face {_MUSCLES} urinary_bladder",
            "totalsegmentator-v2": f"{_FIRST} pancreas {_ADRENALS} {_LOBES} esophagus trachea thyroid_gland "
            f"small_bowel duodenum colon urinary_bladder prostate kidney_cyst_left kidney_cyst_right sacrum "
            f"vertebrae_S1 {_SPINE} heart aorta pulmonary_vein brachiocephalic_trunk subclavian_artery_right "
            "subclavian_artery_left common_carotid_artery_right common_carotid_artery_left brachiocephalic_vein_left "
            "brachiocephalic_vein_right atrial_appendage_left superior_vena_cava inferior_vena_cava "
            f"portal_vein_and_splenic_vein {_ILIAC} {_LIMBS} {_HIPS} spinal_cord {_MUSCLES} brain skull {_RIBS} "
            "sternum costal_cartilages",
            "totalsegmentator-mr": f"{_FIRST} pancreas {_ADRENALS} lung_left lung_right esophagus small_bowel duodenum "
            "colon urinary_bladder prostate sacrum vertebrae intervertebral_discs spinal_cord heart aorta "
            f"inferior_vena_cava portal_vein_and_splenic_vein {_ILIAC} {_LIMBS} {_HIPS} {_MUSCLES} brain",
        }.items()
    }
)


@cache
def _codes() -> Mapping[str, Code]:
    """Codes of structures by their name without its side; those that have sides are under ``name:side`` too."""
    found = {}
    for table, suffix in ((_SIDED, ":side"), (_SINGLE, "")):
        for line in re.split(r"[;\n]", table.strip()):
            name, value, meaning = line.split(" ", 2)
            found[f"{name}{suffix}"] = Code(value, "SCT", meaning)
    return MappingProxyType(found)


def _side_of(name: str) -> tuple[str, Side | None]:
    """A name without its side, and the side: ``kidney_left``, ``rib_left_3``."""
    found = re.fullmatch(r"(.+?)_(left|right)(_\d+)?", name)
    if found is None:
        return name, None
    return f"{found[1]}{found[3] or ''}", Side(found[2])


def colour(place: int) -> tuple[int, int, int]:
    """A colour for the segment at a place: neighbours in the list are far apart in hue (golden angle)."""
    red, green, blue = colorsys.hsv_to_rgb((place * 0.618034) % 1.0, 0.65 if place % 2 else 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def structure(name: str) -> tuple[Code, Code, Code | None, Side | None] | None:
    """Category, code, anatomy and side of a structure by its name in TotalSegmentator; None where it has no code."""
    codes = _codes()
    if name in codes:
        return STRUCTURE, codes[name], None, None
    base, side = _side_of(name)
    if side is not None and f"{base}:side" in codes:
        return STRUCTURE, codes[f"{base}:side"], None, side
    if side is None and f"{base}:side" in codes:
        return STRUCTURE, codes[f"{base}:side"], None, None
    if base in _OTHERS:
        category, code, anatomy = _OTHERS[base]
        return category, code, anatomy, side
    return None


def segment(label: int, name: str, title: str, found: tuple[Code, Code, Code | None, Side | None]) -> SegmentSpec:
    """The segment of a structure that :func:`structure` found."""
    category, code, anatomy, side = found
    modifiers = (SIDES[side],) if side else ()
    place = anatomy or (code if side and category == STRUCTURE else None)
    return SegmentSpec(label, title or name, category, code, place, modifiers if place else (), colour(label))
