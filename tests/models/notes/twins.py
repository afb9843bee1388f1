"""Synthetic notes in English and Chinese that tell the same; made up for these tests, of nobody."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Twins:
    """Two notes with the same facts, in the same number."""

    name: str
    english: str
    chinese: str


NODULE_CLINIC = Twins(
    "nodule clinic",
    """Chief complaint: lung nodule found 2 weeks ago.
History of present illness: A 67-year-old man. Chest CT showed an 8 mm solid nodule in the right upper lobe. \
The nodule is spiculated. \
He has a dry cough for 3 months. He denies fever. No hemoptysis. No weight loss.
Past medical history: COPD for 10 years. Emphysema.
Social history: Smoked 1 pack per day for 30 years, quit 5 years ago.
Family history: Father had lung cancer.
Assessment: Suspected lung cancer. Recommend PET-CT.
""",
    """主诉：发现肺结节2周。
现病史：患者男，67岁。胸部CT示右肺上叶8mm实性结节。结节有毛刺。干咳3个月。否认发热。无咯血。无体重减轻。
既往史：慢阻肺10年。肺气肿。
个人史：吸烟30年，每日1包，戒烟5年。
家族史：父亲患肺癌。
评估：疑似肺癌。建议PET-CT。
""",
)

GROUND_GLASS = Twins(
    "ground-glass nodule",
    """Findings: There is a ground-glass nodule in the left lower lobe measuring 1.2 x 0.8 cm, previously 9 mm. \
Another part-solid nodule of 6 mm in the right middle lobe. No pleural effusion. No pneumothorax. \
No mediastinal lymphadenopathy. Emphysema. The heart is of normal size.
Impression: 1. Part-solid nodule, possible adenocarcinoma of the lung.
2. Pneumonia cannot be excluded.
Recommendations: CT chest.
""",
    """影像所见：左肺下叶见磨玻璃结节，大小约1.2×0.8cm，原为9mm。右肺中叶另见部分实性结节，约6mm。无胸腔积液。\
无气胸。未见纵隔淋巴结肿大。肺气肿。心脏大小正常。
印象：1. 部分实性结节，可能为肺腺癌。
2. 不能排除肺炎。
建议：胸部CT。
""",
)

PNEUMONIA = Twins(
    "pneumonia",
    """Chief complaint: Fever and cough for 3 days.
History of present illness: An 82-year-old woman with fever, cough and shortness of breath. Today confusion. \
No chest pain. \
No nausea, no vomiting.
Past medical history: Hypertension, type 2 diabetes, chronic kidney disease.
Medications: metformin, amlodipine.
Allergies: penicillin.
Vital signs: T 38.9 C, HR 112 bpm, RR 32/min, BP 88/56 mmHg, SpO2 90%.
Laboratory: BUN 12.5 mmol/L, creatinine 180 umol/L, CRP 156 mg/L, WBC 15.2 x10^9/L.
Impression: Community-acquired pneumonia. Sepsis is possible.
Plan: If respiratory failure, intubation.
""",
    """主诉：发热、咳嗽3天。
现病史：患者女，82岁，发热、咳嗽、气促。今日意识模糊。无胸痛。无恶心，无呕吐。
既往史：高血压、2型糖尿病、慢性肾脏病。
用药：二甲双胍、氨氯地平。
过敏史：青霉素。
体格检查：T 38.9℃，心率112次/分，呼吸32次/分，血压88/56mmHg，血氧饱和度90%。
化验：BUN 12.5 mmol/L，肌酐180μmol/L，C反应蛋白156mg/L，白细胞15.2×10^9/L。
印象：社区获得性肺炎。可能有脓毒症。
处理：如呼吸衰竭，气管插管。
""",
)

FIBRILLATION = Twins(
    "atrial fibrillation",
    """History of present illness: A 74-year-old man with palpitations for 2 days. No syncope. No chest pain.
Past medical history: Atrial fibrillation, heart failure, hypertension. He had a stroke 3 years ago. \
Coronary artery bypass grafting in 2015. \
No history of gastrointestinal bleeding.
Medications: apixaban, metoprolol. He denies aspirin.
Family history: Mother had stroke.
Results: INR 1.1. Creatinine 1.2 mg/dL. Hemoglobin 13.5 g/dL. LVEF 45%.
Assessment: Atrial fibrillation. Heart failure. Rule out pulmonary embolism.
""",
    """现病史：患者男，74岁，心悸2天。无晕厥。无胸痛。
既往史：心房颤动、心力衰竭、高血压。3年前患脑卒中。2015年行冠脉搭桥。无消化道出血病史。
用药：阿哌沙班、美托洛尔。否认阿司匹林。
家族史：母亲有脑卒中。
检查结果：INR 1.1。肌酐1.2mg/dL。血红蛋白13.5g/dL。左室射血分数45%。
评估：心房颤动。心力衰竭。待排除肺栓塞。
""",
)

HEAD_TRAUMA = Twins(
    "head trauma under warfarin",
    """Reason for examination: Fall with head trauma, on warfarin.
History: An 80-year-old woman fell yesterday. Headache and vomiting. No loss of consciousness. No seizure.
Past medical history: Deep vein thrombosis. Dementia.
Laboratory: INR 3.4. Platelets 180 x10^9/L.
Findings: Acute subdural hematoma on the left, 12 mm thick. Midline shift of 6 mm. No skull fracture. \
No hydrocephalus. \
Subarachnoid hemorrhage cannot be excluded.
Impression: Acute subdural hematoma on the left.
""",
    """检查原因：跌倒，头部外伤，服用华法林。
病史：患者女，80岁，昨日跌倒。头痛、呕吐。无意识丧失。无抽搐。
既往史：深静脉血栓。痴呆。
化验：INR 3.4。血小板180×10^9/L。
影像所见：左侧急性硬膜下血肿，厚约12mm。中线移位6mm。未见颅骨骨折。无脑积水。不能排除蛛网膜下腔出血。
印象：左侧急性硬膜下血肿。
""",
)

MEMORY = Twins(
    "memory clinic",
    """Chief complaint: Memory loss for 2 years.
History of present illness: A 72-year-old woman with memory loss and word-finding difficulty. \
No hallucinations. Her daughter reports personality change. \
She denies depression.
Past medical history: Hypertension for 20 years. Hypothyroidism.
Medications: donepezil, levothyroxine.
Family history: Mother had Alzheimer's disease.
Examination: MMSE 22/30. MoCA 18/30. No tremor.
Impression: Mild cognitive impairment. Possible Alzheimer's disease. Hippocampal atrophy on the left.
Plan: Recommend MRI.
""",
    """主诉：记忆力下降2年。
现病史：患者女，72岁，记忆力减退，找词困难。无幻觉。女儿代诉性格改变。否认抑郁。
既往史：高血压20年。甲减。
用药：多奈哌齐、左甲状腺素。
家族史：母亲患阿尔茨海默病。
体格检查：MMSE 22分。MoCA 18分。无震颤。
印象：轻度认知障碍。可能为阿尔茨海默病。左侧海马萎缩。
处理：建议核磁共振。
""",
)

EPILEPSY = Twins(
    "epilepsy",
    """History of present illness: A 29-year-old man with temporal lobe epilepsy since 2010. \
Seizures for 3 days. No head trauma. Febrile convulsions in childhood.
Past medical history: Left temporal lobectomy in 2018.
Medications: levetiracetam, lamotrigine. Valproate is not tolerated.
Family history: No family history of epilepsy.
Findings: Right hippocampal sclerosis. No brain tumor. No hemorrhage. Suspicious for cavernoma.
Impression: Mesial temporal sclerosis on the right.
""",
    """现病史：患者男，29岁，2010年起颞叶癫痫。抽搐3天。无头部外伤。幼时热性惊厥。
既往史：2018年行左侧颞叶切除术。
用药：左乙拉西坦、拉莫三嗪。丙戊酸不能耐受。
家族史：无癫痫家族史。
影像所见：右侧海马硬化。未见脑肿瘤。未见出血。可疑海绵状血管瘤。
印象：右侧颞叶内侧硬化。
""",
)

STROKE = Twins(
    "stroke",
    """Chief complaint: Left-sided weakness for 1 day.
History of present illness: A 69-year-old man with dysarthria and facial droop. No headache. \
No loss of consciousness.
Past medical history: Transient ischemic attack last year. Hyperlipidemia. Peripheral arterial disease.
Social history: He smokes. 20 pack-years. No alcohol.
Medications: clopidogrel, atorvastatin.
Vital signs: BP 178/96 mmHg, HR 78 bpm.
Findings: Cerebral infarction on the right. No intracranial hemorrhage. Carotid stenosis on both sides.
Plan: Consider thrombolysis. If headache, call for CT.
""",
    """主诉：左侧肢体无力1天。
现病史：患者男，69岁，言语不清，面瘫。无头痛。无意识丧失。
既往史：去年短暂性脑缺血发作。高血脂。外周动脉疾病。
个人史：吸烟。20包年。不饮酒。
用药：氯吡格雷、阿托伐他汀。
体格检查：血压178/96mmHg，心率78次/分。
影像所见：右侧脑梗死。未见颅内出血。双侧颈动脉狭窄。
处理：考虑溶栓。如头痛，行CT检查。
""",
)

FOLLOW_UP = Twins(
    "oncology follow-up",
    """History of present illness: A 58-year-old woman with breast cancer diagnosed in 2019. \
Chemotherapy in 2020. She denies bone pain. Fatigue for 2 weeks.
Past medical history: Hepatitis B. Appendicitis 20 years ago.
Family history: Sister had breast cancer. No family history of colon cancer.
Results: CEA 3.2 ng/mL. ALT 45 U/L. Albumin 3.9 g/dL.
Findings: Liver metastasis cannot be excluded. No lung metastasis. No ascites. Bone metastasis is unlikely.
Recommendations: MRI.
""",
    """现病史：患者女，58岁，2019年诊断乳腺癌。2020年行化疗。否认骨疼痛。疲劳2周。
既往史：乙肝。20年前患阑尾炎。
家族史：姐姐有乳腺癌。无结肠癌家族史。
检查结果：CEA 3.2ng/mL。ALT 45U/L。白蛋白3.9g/dL。
影像所见：不能排除肝转移。未见肺转移。无腹水。骨转移可能性不大。
建议：核磁共振。
""",
)

EFFUSION = Twins(
    "effusion and failure",
    """Reason for examination: Rule out pulmonary edema.
History: A 77-year-old man with dyspnea for 5 days and leg swelling. No fever.
Past medical history: Myocardial infarction in 2012. Atrial fibrillation. Status post pacemaker.
Medications: furosemide, warfarin, digoxin.
Laboratory: BNP 1250 pg/mL. Sodium 131 mmol/L. Potassium 5.2 mmol/L. eGFR 38 mL/min.
Findings: Bilateral pleural effusion. Cardiomegaly. No pneumothorax. No consolidation.
Impression: Heart failure. Probable pulmonary edema.
""",
    """检查原因：肺水肿待排。
病史：患者男，77岁，呼吸困难5天，下肢水肿。无发热。
既往史：2012年患心肌梗死。心房颤动。起搏器术后。
用药：呋塞米、华法林、地高辛。
化验：BNP 1250pg/mL。血钠131mmol/L。血钾5.2mmol/L。eGFR 38mL/min。
影像所见：双侧胸腔积液。心影增大。无气胸。未见实变。
印象：心力衰竭。可能为肺水肿。
""",
)

KIDNEY = Twins(
    "kidney and contrast",
    """Reason for examination: Hematuria for 1 week.
History: A 45-year-old woman, pregnant. Contrast allergy. No diabetes.
Past medical history: Kidney stone in 2021. Hypertension.
Laboratory: Creatinine 95 umol/L. Urea 6.1 mmol/L. Glucose 5.4 mmol/L.
Findings: Right kidney stone of 7 mm. Hydronephrosis on the right. No ascites. The left kidney is normal.
Recommendations: Ultrasound. If fever, return to the clinic.
""",
    """检查原因：血尿1周。
病史：患者女，45岁，妊娠。造影剂过敏。无糖尿病。
既往史：2021年患肾结石。高血压。
化验：肌酐95μmol/L。尿素6.1mmol/L。血糖5.4mmol/L。
影像所见：右侧肾结石，约7mm。右侧肾积水。无腹水。左肾正常。
建议：超声。如发热，及时复诊。
""",
)

TRANSPLANT = Twins(
    "immunosuppression",
    """History of present illness: A 51-year-old man after kidney transplant with cough for 10 days and night \
sweats. Temperature 38.4 C. He denies hemoptysis.
Past medical history: End-stage renal disease. Hepatitis C is excluded.
Medications: tacrolimus, prednisone.
Social history: Former smoker, 15 pack-years. His wife has tuberculosis.
Laboratory: CRP 88 mg/L. Procalcitonin 0.4 ng/mL. Lactate 1.6 mmol/L.
Findings: Consolidation in the left upper lobe. Cavitary nodule of 14 mm. No pleural effusion.
Impression: Suspected tuberculosis. Pneumonia is possible. Immunosuppression.
""",
    """现病史：患者男，51岁，肾移植，咳嗽10天，盗汗。体温38.4℃。否认咯血。
既往史：终末期肾病。已排除丙肝。
用药：他克莫司、泼尼松。
个人史：已戒烟，15包年。妻子有结核。
化验：C反应蛋白88mg/L。降钙素原0.4ng/mL。乳酸1.6mmol/L。
影像所见：左肺上叶实变。空洞结节，14mm。无胸腔积液。
印象：疑似结核。可能有肺炎。免疫抑制。
""",
)

ANEURYSM = Twins(
    "aneurysm",
    """Chief complaint: Thunderclap headache today.
History: A 39-year-old woman with neck stiffness and vomiting. Migraine since March 2020. No trauma.
Family history: Brother had cerebral aneurysm.
Findings: Subarachnoid hemorrhage. Aneurysm clip. Left cerebral aneurysm of 4 mm. Hydrocephalus. \
No cerebral infarction.
Impression: Subarachnoid hemorrhage. Meningitis is excluded.
Plan: Recommend angiography.
""",
    """主诉：今日雷击样头痛。
病史：患者女，39岁，颈强直，呕吐。2020年3月起偏头痛。无外伤。
家族史：哥哥有脑动脉瘤。
影像所见：蛛网膜下腔出血。动脉瘤夹闭。左侧脑动脉瘤，4mm。脑积水。未见脑梗死。
印象：蛛网膜下腔出血。已排除脑膜炎。
处理：建议血管造影。
""",
)

ALL = (
    NODULE_CLINIC,
    GROUND_GLASS,
    PNEUMONIA,
    FIBRILLATION,
    HEAD_TRAUMA,
    MEMORY,
    EPILEPSY,
    STROKE,
    FOLLOW_UP,
    EFFUSION,
    KIDNEY,
    TRANSPLANT,
    ANEURYSM,
)
