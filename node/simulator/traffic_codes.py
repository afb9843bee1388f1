"""Codes and words of the generated traffic: LOINC and UCUM for the tables' own names, phrases for diagnoses.

LOINC codes are those of MIMIC's former table of items (MIMIC-III 1.4, ``d_labitems.loinc_code``) and of loinc.org, from
memory; what is not in the table is sent under the hospital's own code alone, as hospitals do.
"""

from __future__ import annotations

from collections.abc import Mapping

LOINC: Mapping[str, tuple[str, str]] = {
    "50861": ("1742-6", "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma"),
    "50862": ("1751-7", "Albumin [Mass/volume] in Serum or Plasma"),
    "50878": ("1920-8", "Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma"),
    "50882": ("1963-8", "Bicarbonate [Moles/volume] in Serum or Plasma"),
    "50885": ("1975-2", "Bilirubin.total [Mass/volume] in Serum or Plasma"),
    "50889": ("1988-5", "C reactive protein [Mass/volume] in Serum or Plasma"),
    "50902": ("2075-0", "Chloride [Moles/volume] in Serum or Plasma"),
    "50912": ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma"),
    "50931": ("2345-7", "Glucose [Mass/volume] in Serum or Plasma"),
    "50971": ("2823-3", "Potassium [Moles/volume] in Serum or Plasma"),
    "50983": ("2951-2", "Sodium [Moles/volume] in Serum or Plasma"),
    "50993": ("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma"),
    "51006": ("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma"),
    "51010": ("2132-9", "Cobalamin (Vitamin B12) [Mass/volume] in Serum or Plasma"),
    "51222": ("718-7", "Hemoglobin [Mass/volume] in Blood"),
    "51237": ("6301-6", "INR in Platelet poor plasma by Coagulation assay"),
    "51265": ("777-3", "Platelets [#/volume] in Blood by Automated count"),
    "51275": ("3173-2", "aPTT in Blood by Coagulation assay"),
    "51301": ("6690-2", "Leukocytes [#/volume] in Blood by Automated count"),
}
"""Item of the laboratory to LOINC code and name."""

UCUM: Mapping[str, str] = {
    "%": "%",
    "IU/L": "[IU]/L",
    "IU/mL": "[IU]/mL",
    "K/uL": "10*3/uL",
    "fL": "fL",
    "g/dL": "g/dL",
    "m/uL": "10*6/uL",
    "mEq/L": "meq/L",
    "mIU/mL": "m[IU]/mL",
    "mL": "mL",
    "mg/L": "mg/L",
    "mg/dL": "mg/dL",
    "mg/g": "mg/g",
    "mg/mg": "mg/mg",
    "mm Hg": "mm[Hg]",
    "mm/hr": "mm/h",
    "mmol/L": "mmol/L",
    "mOsm/kg": "mosm/kg",
    "min": "min",
    "ng/dL": "ng/dL",
    "ng/mL": "ng/mL",
    "pg": "pg",
    "pg/mL": "pg/mL",
    "sec": "s",
    "U/mL": "U/mL",
    "ug/dL": "ug/dL",
    "ug/mL": "ug/mL",
    "uIU/mL": "u[IU]/mL",
    "umol/L": "umol/L",
}
"""Unit as the laboratory writes it to UCUM; others are sent as they are, without a coding system."""

PHRASES: Mapping[str, tuple[str, str]] = {
    "9:038": ("sepsis", "脓毒症"),
    "9:244": ("hypothyroidism", "甲状腺功能减退"),
    "9:250": ("type 2 diabetes", "2型糖尿病"),
    "9:272": ("hyperlipidemia", "高脂血症"),
    "9:278": ("obesity", "肥胖"),
    "9:285": ("anemia", "贫血"),
    "9:290": ("dementia", "痴呆"),
    "9:294": ("dementia", "痴呆"),
    "9:300": ("anxiety", "焦虑"),
    "9:3051": ("current smoker", "吸烟"),
    "9:311": ("depression", "抑郁症"),
    "9:327": ("sleep apnea", "睡眠呼吸暂停"),
    "9:331": ("Alzheimer disease", "阿尔茨海默病"),
    "9:332": ("Parkinson disease", "帕金森病"),
    "9:345": ("epilepsy", "癫痫"),
    "9:401": ("hypertension", "高血压"),
    "9:403": ("hypertension", "高血压"),
    "9:414": ("coronary artery disease", "冠心病"),
    "9:42731": ("atrial fibrillation", "心房颤动"),
    "9:428": ("heart failure", "心力衰竭"),
    "9:430": ("subarachnoid hemorrhage", "蛛网膜下腔出血"),
    "9:431": ("intracerebral hemorrhage", "脑出血"),
    "9:434": ("stroke", "脑梗死"),
    "9:486": ("pneumonia", "肺炎"),
    "9:493": ("asthma", "哮喘"),
    "9:496": ("chronic obstructive pulmonary disease", "慢性阻塞性肺疾病"),
    "9:518": ("respiratory failure", "呼吸衰竭"),
    "9:530": ("gastroesophageal reflux disease", "胃食管反流病"),
    "9:571": ("cirrhosis", "肝硬化"),
    "9:584": ("acute kidney injury", "急性肾损伤"),
    "9:585": ("chronic kidney disease", "慢性肾脏病"),
    "9:599": ("urinary tract infection", "尿路感染"),
    "9:V1582": ("former smoker", "已戒烟"),
    "9:V5861": ("long-term anticoagulation", "长期抗凝"),
    "10:A41": ("sepsis", "脓毒症"),
    "10:D64": ("anemia", "贫血"),
    "10:D69": ("thrombocytopenia", "血小板减少"),
    "10:E03": ("hypothyroidism", "甲状腺功能减退"),
    "10:E11": ("type 2 diabetes", "2型糖尿病"),
    "10:E66": ("obesity", "肥胖"),
    "10:E78": ("hyperlipidemia", "高脂血症"),
    "10:F03": ("dementia", "痴呆"),
    "10:F172": ("current smoker", "吸烟"),
    "10:F32": ("depression", "抑郁症"),
    "10:F41": ("anxiety", "焦虑"),
    "10:G20": ("Parkinson disease", "帕金森病"),
    "10:G30": ("Alzheimer disease", "阿尔茨海默病"),
    "10:G40": ("epilepsy", "癫痫"),
    "10:G47": ("sleep apnea", "睡眠呼吸暂停"),
    "10:I10": ("hypertension", "高血压"),
    "10:I12": ("hypertension", "高血压"),
    "10:I25": ("coronary artery disease", "冠心病"),
    "10:I48": ("atrial fibrillation", "心房颤动"),
    "10:I50": ("heart failure", "心力衰竭"),
    "10:I61": ("intracerebral hemorrhage", "脑出血"),
    "10:I63": ("stroke", "脑梗死"),
    "10:J18": ("pneumonia", "肺炎"),
    "10:J44": ("chronic obstructive pulmonary disease", "慢性阻塞性肺疾病"),
    "10:J45": ("asthma", "哮喘"),
    "10:J96": ("respiratory failure", "呼吸衰竭"),
    "10:K21": ("gastroesophageal reflux disease", "胃食管反流病"),
    "10:K74": ("cirrhosis", "肝硬化"),
    "10:N17": ("acute kidney injury", "急性肾损伤"),
    "10:N18": ("chronic kidney disease", "慢性肾脏病"),
    "10:N39": ("urinary tract infection", "尿路感染"),
    "10:Z7901": ("long-term anticoagulation", "长期抗凝"),
    "10:Z87891": ("former smoker", "已戒烟"),
}
"""ICD version and the beginning of a code to what a note says, in English and in Chinese."""

_LONGEST = max(len(key.split(":")[1]) for key in PHRASES)


def phrase(code: str, version: str) -> tuple[str, str] | None:
    """Return how notes name a diagnosis, in English and in Chinese; None for those that they do not name."""
    for length in range(min(len(code), _LONGEST), 2, -1):
        if (found := PHRASES.get(f"{version}:{code[:length]}")) is not None:
            return found
    return None
