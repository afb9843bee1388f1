"""What is built of a job, and where it goes."""

from __future__ import annotations

from typing import Any

from node.settings import Destination
from workers.reporting.plan import make_plan, profile_of
from workers.results.messages.addressing import PLAIN
from workers.results.profile import DEFAULT, Profile


def archive(name: str, **keys: Any) -> Destination:
    return Destination(name=name, kind="dicom", host="pacs", port=104, ae_title="PACS", **keys)


RIS = Destination(name="ris", kind="mllp", host="ris", port=2575)


def test_segmentation_and_report_are_built_even_if_nobody_gets_them() -> None:
    plan = make_plan([RIS], [])
    assert plan.profiles == (DEFAULT,)
    assert plan.kinds(DEFAULT) == ("seg", "sr")
    assert plan.receivers("oru", "") == ["ris"]
    assert plan.receivers("seg", "") == []


def test_every_profile_that_a_destination_wants_is_built_once() -> None:
    wanted = {"segmentation": "labelmap", "empty_frames": True}
    plan = make_plan([archive("a"), archive("b", **wanted), archive("c", **wanted)], [])
    other = Profile("labelmap", empty_frames=True)
    assert plan.profiles == (DEFAULT, other)
    assert plan.receivers("seg", other.key) == ["b", "c"]
    assert plan.receivers("sr", "") == ["a"], "a report goes where the segmentations that it names go"


def test_a_destination_that_takes_no_segmentation_asks_for_no_profile() -> None:
    plan = make_plan([archive("a", segmentation="fractional", send=["pdf"])], [])
    assert plan.profiles == (DEFAULT,)
    assert plan.receivers("pdf", "") == ["a"]


def test_messages_refer_to_what_the_first_archive_gets() -> None:
    plan = make_plan([RIS, archive("a", split_segments=True), archive("b")], [])
    assert plan.primary == Profile(split_segments=True)
    plan = make_plan([archive("a", split_segments=True), archive("b", send=["kos"])], [])
    assert plan.kinds(DEFAULT) == ("seg", "sr")
    assert plan.kinds(plan.primary) == ("seg", "sr", "kos"), "key objects refer to what the archive has"
    assert plan.receivers("kos", "") == ["b"]
    assert make_plan([RIS], []).primary == DEFAULT


def test_a_rule_s_destinations_are_the_only_ones() -> None:
    plan = make_plan([archive("a"), archive("b", send=["sc"])], ["a"])
    assert plan.receivers("seg", "") == ["a"]
    assert not plan.pictures


def test_profiles_have_keys_of_their_own() -> None:
    profiles = {
        Profile(kind, empty_frames=empty, split_segments=split)
        for kind in ("binary", "fractional", "labelmap")
        for empty in (False, True)
        for split in (False, True)
    }
    assert len({profile.key for profile in profiles}) == 12
    assert max(len(profile.key) for profile in profiles) <= 40, "the records' column"
    assert profile_of(archive("a")).key == ""


def test_messages_are_written_once_for_each_form_that_a_destination_wants() -> None:
    form = {"receiving_application": "RIS2", "acknowledgement": "enhanced"}
    others = [RIS.model_copy(update={"name": name, **form}) for name in ("b", "c")]
    plan = make_plan([RIS, *others], [])
    plain, addressed = plan.reports
    assert (plain.key, addressed.application, addressed.enhanced) == ("", "RIS2", True)
    assert plan.receivers("oru", "") == ["ris"]
    assert plan.receivers("oru", addressed.key) == ["b", "c"]
    assert {("oru", ""), ("oru", addressed.key)} <= plan.wanted()


def test_a_message_is_written_though_nobody_takes_one() -> None:
    plan = make_plan([archive("a")], [])
    assert plan.reports == (PLAIN,)
    assert plan.receivers("oru", "") == []


def test_a_pdf_that_goes_along_with_a_message_is_built_and_sent_to_nobody_else() -> None:
    plan = make_plan([RIS.model_copy(update={"attach_pdf": True})], [])
    assert "pdf" in plan.kinds(DEFAULT)
    assert plan.pictures
    assert plan.receivers("pdf", "") == []


def test_alerts_go_only_to_those_who_take_them() -> None:
    plan = make_plan([RIS, RIS.model_copy(update={"name": "phone", "send": ("alert",), "attach_pdf": True})], [])
    assert plan.receivers("alert", "") == ["phone"], "an alert carries no document"
    assert make_plan([RIS], []).forms("alert") == ()
