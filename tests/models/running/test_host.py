from __future__ import annotations

import pytest
import torch

from models import gpu
from models.contracts import Prediction, WeightsError
from models.running.answers import Answers, Failure
from models.running.host import ON_PROCESSOR, Host, set_up
from models.running.options import RunOptions
from tests.models.running.doubles import Choir, Hungry, Library, Sayer, aged

CPU = RunOptions(device="cpu")
PLENTY = 1 << 40


def said(answers: Answers) -> list[str]:
    return [o.findings[0].text if isinstance(o, Prediction) else o.reason for o in answers.outcomes]


def hosting(library: Library, free: int = PLENTY, needed: int = 0) -> Host:
    return Host(CPU, library, estimate=lambda _: needed, free=lambda _: free)


def test_each_input_has_its_own_outcome_in_order() -> None:
    answers = hosting(Library(age=Sayer)).answer("age", aged(40, 7, 99, 41))
    assert said(answers)[0::3] == ["40", "41"]
    assert answers.outcomes[1] == Failure("The patient is a child; this model is for adults.", declined=True)
    assert answers.outcomes[2] == Failure("internal error (ValueError)"), "its text would name the patient"
    assert (answers.batch, answers.device) == (1, "cpu")


def test_a_batch_runs_together_without_what_is_declined() -> None:
    choir = Choir()
    answers = hosting(Library(age=lambda: choir)).answer("age", aged(40, 7, 41, 42))
    assert choir.calls == [3]
    assert said(answers) == ["40", "The patient is a child; this model is for adults.", "41", "42"]
    assert answers.batch == 8


def test_what_spoils_a_batch_fails_alone() -> None:
    choir = Choir()
    answers = hosting(Library(age=lambda: choir)).answer("age", aged(40, 99, 41))
    assert said(answers) == ["40", "internal error (ValueError)", "41"]
    assert choir.calls == [3, 1, 1, 1]


def test_a_batch_that_is_too_large_for_memory_is_halved() -> None:
    class Small(Choir):
        def predict_many(self, sources):  # type: ignore[no-untyped-def]
            if len(sources) > 3:
                raise torch.OutOfMemoryError
            return super().predict_many(sources)

    choir = Small()
    answers = hosting(Library(age=lambda: choir)).answer("age", aged(20, 21, 22, 23, 24, 25))
    assert said(answers) == ["20", "21", "22", "23", "24", "25"]
    assert choir.calls == [3, 3]


def test_a_model_that_is_not_there_or_broken_fails_every_input_with_the_reason() -> None:
    def broken() -> Sayer:
        raise WeightsError("the weights do not fit the network")

    answers = hosting(Library(age=broken)).answer("age", aged(40, 41))
    assert said(answers) == ["the weights do not fit the network"] * 2
    assert answers.card is None


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
    ],
)
def test_memory_that_runs_out_is_tried_again_when_other_models_are_given_up(error: Exception) -> None:
    library = Library(other=Sayer, hungry=lambda: Hungry(1, error))
    host = hosting(library)
    host.answer("other", aged(40))
    assert said(host.answer("hungry", aged(41))) == ["41"]
    assert host._residents.names() == ["hungry"]


def test_memory_that_does_not_suffice_is_a_failure_that_says_what_to_do() -> None:
    [failure] = hosting(Library(hungry=lambda: Hungry(9))).answer("hungry", aged(40)).outcomes
    assert isinstance(failure, Failure)
    assert failure.reason.startswith("the model hungry ran out of memory on cpu; give this machine more memory")
    assert not failure.declined


def test_a_model_that_the_device_does_not_admit_is_not_loaded_and_says_how_much_it_needs() -> None:
    library = Library(age=Sayer)
    [failure] = hosting(library, free=100 << 20, needed=300 << 20).answer("age", aged(40)).outcomes
    assert isinstance(failure, Failure)
    assert "needs about 300 MiB on cpu" in failure.reason
    assert library.loaded == []


def test_what_does_not_fit_the_gpu_is_computed_on_the_processor_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    meta = torch.device("meta")  # stands for a GPU: another device than the processor, on every machine
    monkeypatch.setattr(gpu, "pick", lambda *_: meta)
    library = Library(hungry=lambda: Hungry(1 if library.loaded[-1][1] == "meta" else 0))
    answers = hosting(library).answer("hungry", aged(40))
    [outcome] = answers.outcomes
    assert isinstance(outcome, Prediction)
    assert outcome.warnings == (ON_PROCESSOR,)
    assert library.loaded == [("hungry", "meta"), ("hungry", "cpu")]


def test_a_gpu_that_has_no_room_for_the_model_leaves_it_to_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "pick", lambda *_: torch.device("meta"))
    library = Library(age=Sayer)
    free = {"meta": 10, "cpu": PLENTY}
    host = Host(RunOptions(), library, estimate=lambda _: 20, free=lambda device: free[device.type])
    [outcome] = host.answer("age", aged(40)).outcomes
    assert isinstance(outcome, Prediction)
    assert outcome.warnings == (ON_PROCESSOR,)
    assert library.loaded == [("age", "cpu")]


def test_a_model_that_samples_says_the_same_of_the_same_input() -> None:
    class Sampling(Sayer):
        def _say(self, source):  # type: ignore[no-untyped-def]
            return super()._say(aged(float(torch.rand(1)) + 20)[0])

    host = hosting(Library(age=Sampling))
    assert said(host.answer("age", aged(40))) == said(host.answer("age", aged(40)))


def test_deterministic_mode_and_threads_hold_for_the_process() -> None:
    threads = torch.get_num_threads()
    try:
        set_up(RunOptions(threads=1, deterministic=True))
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.get_num_threads() == 1
    finally:
        torch.use_deterministic_algorithms(mode=False)
        torch.set_num_threads(threads)
