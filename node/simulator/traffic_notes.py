"""Clinical notes of the generated traffic, written by templates from a patient's coded diagnoses: nobody wrote them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from node.simulator.traffic_codes import phrase

MOST_PROBLEMS = 8

COMPLAINTS = (
    ("progressive memory loss", "记忆力进行性下降"),
    ("headache", "头痛"),
    ("dizziness", "头晕"),
    ("weakness of the left arm", "左上肢无力"),
    ("word-finding difficulty", "找词困难"),
)
PRESENT = (
    ("", "Reports fatigue.", "自觉疲劳。"),
    ("", "Reports insomnia.", "诉失眠。"),
    ("seizures", "Two seizures last month.", "上月癫痫发作两次。"),
    ("memory", "Short-term memory loss for {months} months.", "近{months}个月近事遗忘。"),
)
ABSENT = (
    ("seizures", "Denies seizures.", "否认癫痫发作。"),
    ("", "No head trauma.", "无头部外伤。"),
    ("headache", "Denies headache.", "否认头痛。"),
    ("", "No history of stroke.", "否认脑卒中病史。"),
    ("memory", "No memory loss.", "无记忆力下降。"),
)
"""What it is about, where a note may say the contrary, too; then the statement."""
FAMILY = (
    ("Mother had dementia.", "母亲患痴呆。"),
    ("Father had epilepsy.", "父亲患癫痫。"),
    ("Brother with stroke.", "兄弟患脑梗死。"),
)
ASSESSED = (
    (
        "Mild cognitive impairment, possible early Alzheimer disease. MRI to evaluate for hippocampal atrophy.",
        "轻度认知障碍。阿尔茨海默病待排。MRI检查，海马萎缩待排。",
    ),
    (
        "Possible left hippocampal sclerosis. If seizures occur, obtain EEG.",
        "左侧海马硬化可能。如有癫痫发作，行脑电图检查。",
    ),
    ("Cognitive decline. Depression to be excluded.", "认知下降。抑郁症待排。"),
    ("No evidence of dementia.", "无痴呆证据。"),
    ("Prior MRI showed no hippocampal atrophy.", "既往MRI未见海马萎缩。"),
)
MEDICATIONS = {
    "long-term anticoagulation": ("warfarin 5 mg daily", "华法林5mg每日一次"),
    "hypertension": ("lisinopril 10 mg daily", "赖诺普利10mg每日一次"),
    "hyperlipidemia": ("atorvastatin 20 mg daily", "阿托伐他汀20mg每日一次"),
    "type 2 diabetes": ("metformin 500 mg twice daily", "二甲双胍500mg每日两次"),
    "epilepsy": ("levetiracetam 500 mg twice daily", "左乙拉西坦500mg每日两次"),
}
"""What is given for a problem, by its English name."""


@dataclass(frozen=True, slots=True)
class Words:
    """The two languages of what a note says."""

    complaint: tuple[str, str]
    history: tuple[tuple[str, str], ...]
    problems: tuple[tuple[str, str], ...]
    family: tuple[str, str]
    assessment: tuple[str, str]
    pack_years: int
    months: int


def compose(rng: random.Random, diagnoses: Sequence[tuple[str, str, str]]) -> Words:
    """Choose what a note says of a patient with these diagnoses (code, ICD version, title)."""
    named = [found for code, version, _ in diagnoses if (found := phrase(code, version)) is not None]
    complaint, present = rng.choice(COMPLAINTS), rng.choice(PRESENT)
    absent = [said for said in ABSENT if not said[0] or (said[0] != present[0] and said[0] not in complaint[0])]
    return Words(
        complaint=complaint,
        history=tuple((said, chinese_said) for _, said, chinese_said in (present, *rng.sample(absent, 2))),
        problems=tuple(dict.fromkeys(named))[:MOST_PROBLEMS],
        family=rng.choice(FAMILY),
        assessment=rng.choice(ASSESSED),
        pack_years=rng.choice((0, 10, 20, 35)),
        months=rng.randint(3, 24),
    )


def english(words: Words, age: int, sex: str) -> str:
    """Write the note in English."""
    who = "woman" if sex == "F" else "man"
    history = " ".join(said.format(months=words.months) for said, _ in words.history)
    problems = ", ".join(name for name, _ in words.problems) or "none"
    drugs = ", ".join(MEDICATIONS[name][0] for name, _ in words.problems if name in MEDICATIONS) or "none"
    smoked = f"Smoked, {words.pack_years} pack-years." if words.pack_years else "Never smoker."
    return (
        f"CHIEF COMPLAINT: {words.complaint[0].capitalize()}.\n\n"
        f"HISTORY OF PRESENT ILLNESS: {age}-year-old {who} with {words.complaint[0]}. {history}\n\n"
        f"PAST MEDICAL HISTORY: {problems}.\n\n"
        f"FAMILY HISTORY: {words.family[0]}\n\n"
        f"MEDICATIONS: {drugs}.\n\n"
        f"SOCIAL HISTORY: {smoked}\n\n"
        f"ASSESSMENT AND PLAN: {words.assessment[0]}"
    )


def chinese(words: Words, age: int, sex: str) -> str:
    """Write the note in Chinese: the same statements."""
    who = "女" if sex == "F" else "男"
    history = "".join(said.format(months=words.months) for _, said in words.history)
    problems = "、".join(name for _, name in words.problems) or "无"
    drugs = "，".join(MEDICATIONS[name][1] for name, _ in words.problems if name in MEDICATIONS) or "无"
    smoked = f"吸烟史，{words.pack_years}包年。" if words.pack_years else "从不吸烟。"
    return (
        f"主诉：{words.complaint[1]}。\n\n"
        f"现病史：患者{who}，{age}岁，{words.complaint[1]}。{history}\n\n"
        f"既往史：{problems}。\n\n"
        f"家族史：{words.family[1]}\n\n"
        f"用药史：{drugs}。\n\n"
        f"个人史：{smoked}\n\n"
        f"诊断意见：{words.assessment[1]}"
    )
