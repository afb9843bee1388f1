"""Notes that are written out, in English and Chinese, and read by the engine. All are made up."""

from __future__ import annotations

import datetime as dt

from models.fusion.contracts import StatedFact
from models.notes import analyze
from tests.models.fusion.cases import NOW

NODULE_EN = """Chief complaint: cough.
HPI: A 67-year-old man with a chronic cough for 3 months. He denies hemoptysis, fever or chest pain. He has lost weight:
weight loss of 5 kg. A chest CT in 2024 showed no lung nodule.
Past medical history: COPD with emphysema. Hypertension. Type 2 diabetes. No history of cancer.
Family history: Father died of lung cancer at age 70.
Social history: Smoked 1 ppd x 40 years, quit 2 years ago.
Assessment: Chronic cough in a former smoker. If the CT shows a nodule, refer to pulmonology."""

NODULE_ZH = """主诉：咳嗽3个月。
现病史：患者男，67岁，慢性咳嗽3个月。否认咯血、发热、胸痛。体重下降5kg。2024年胸部CT未见肺结节。
既往史：慢性阻塞性肺疾病、肺气肿。高血压。2型糖尿病。否认恶性肿瘤病史。
家族史：父亲70岁死于肺癌。
个人史：吸烟40年，每日1包，已戒烟2年。
诊断：慢性咳嗽。如CT发现结节，转呼吸科。"""

BLEEDING_EN = """HPI: 81-year-old woman brought in by her daughter after a fall. She hit her head. GCS 13, confused.
She vomited twice. No seizure.
PMH: Atrial fibrillation, hypertension, CHF, chronic kidney disease.
Medications: warfarin 5 mg daily, metoprolol.
Exam: BP 182/96, HR 88. Left hemiparesis.
Labs: INR 3.4, platelets 145.
Plan: Head CT to rule out intracranial hemorrhage."""

BLEEDING_ZH = """现病史：患者女，81岁，摔倒后由女儿送来。头部着地。GCS 13分，意识模糊。呕吐两次。无抽搐。
既往史：心房颤动、高血压、心力衰竭、慢性肾脏病。
用药：华法林5mg每日一次，美托洛尔。
体格检查：血压182/96mmHg，心率88次/分。左侧偏瘫。
化验：INR 3.4，血小板145×10^9/L。
处理：头颅CT排除颅内出血。"""

PNEUMONIA_EN = """HPI: 72-year-old man with 4 days of cough, fever to 39.2 C, rigors and shortness of breath.
Wife reports he is confused today. No chest pain. No hemoptysis.
PMH: COPD, diabetes.
VS: T 39.2, BP 88/52, HR 118, RR 32, SpO2 88% on room air.
Labs: CRP 210 mg/L, BUN 42 mg/dL, procalcitonin 4.2 ng/mL.
Assessment: Sepsis from suspected community acquired pneumonia."""

PNEUMONIA_ZH = """现病史：患者男，72岁，咳嗽4天，发热39.2℃，寒战、气促。妻子诉今日意识模糊。无胸痛，无咯血。
既往史：慢性阻塞性肺疾病，糖尿病。
体格检查：体温39.2℃，血压88/52mmHg，心率118次/分，呼吸32次/分，血氧饱和度88%。
化验：CRP 210 mg/L，尿素15 mmol/L，降钙素原4.2 ng/mL。
诊断：脓毒症，考虑社区获得性肺炎。"""

MEMORY_EN = """HPI: 74-year-old woman brought by her husband for progressive memory loss for 2 years. MMSE 22/30.
MoCA 18. No seizures. No head injury.
PMH: hypothyroidism, hypertension. Mother had Alzheimer's disease.
Impression: possible Alzheimer's disease."""

MEMORY_ZH = """现病史：患者女，74岁，丈夫陪同就诊，进行性记忆力下降2年。MMSE 22分，MoCA 18分。无抽搐，无头部外伤。
既往史：甲状腺功能减退，高血压。母亲患阿尔茨海默病。
诊断：可能阿尔茨海默病。"""


def note(text: str, days: float = 0.0, document: str = "N1") -> tuple[StatedFact, ...]:
    """Read a note that was written some days before the study."""
    written = NOW - dt.timedelta(days=days)
    return tuple(StatedFact(item, document, "Dr A", written, "note") for item in analyze(text).facts)
