from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.training.framework.division import divide, folds, split_by_group

CASES = tuple(f"p{patient:03d}-{image}" for patient in range(200) for image in range(1 + patient % 3))


def patient(case: str) -> str:
    return case.split("-")[0]


def ill(case: str) -> str:
    return str(int(patient(case)[1:]) % 5 == 0)


@given(st.randoms(use_true_random=False), st.integers(0, 1000))
def test_a_division_is_the_same_for_any_order_and_divides_no_patient(order: Random, seed: int) -> None:
    shuffled = list(CASES)
    order.shuffle(shuffled)

    split = divide(shuffled, patient, seed, stratum_of=ill)

    assert split == divide(CASES, patient, seed, stratum_of=ill)
    parts = [split.train, split.validation, split.held_out]
    assert sorted(case for part in parts for case in part) == sorted(CASES)
    patients = [{patient(case) for case in part} for part in parts]
    assert sum(map(len, patients)) == len(set.union(*patients))


def test_every_part_gets_its_share_of_each_stratum() -> None:
    split = divide(CASES, patient, stratum_of=ill)

    share = sum(ill(case) == "True" for case in CASES) / len(CASES)
    for part, size in ((split.held_out, 0.2), (split.validation, 0.12)):
        assert len(part) / len(CASES) == pytest.approx(size, abs=0.01)
        assert sum(ill(case) == "True" for case in part) / len(part) == pytest.approx(share, abs=0.02)


def test_without_strata_the_division_is_that_of_the_first_trainer() -> None:
    assert divide(CASES, patient, 4) == split_by_group(CASES, patient, 4)


def test_a_group_of_two_strata_is_of_the_more_frequent_one() -> None:
    split = divide(["a-0", "a-1", "a-2", "b-0"], patient, held_out=0.5, validation=0.0, stratum_of=lambda case: case[2])

    assert {patient(case) for case in split.held_out} | {patient(case) for case in split.train} == {"a", "b"}
    assert not {patient(case) for case in split.held_out} & {patient(case) for case in split.train}


def test_folds_validate_every_case_once_and_divide_no_patient() -> None:
    rounds = folds(CASES, patient, 1, 5, ill)

    assert sorted(case for _, validation in rounds for case in validation) == sorted(CASES)
    for train, validation in rounds:
        assert sorted((*train, *validation)) == sorted(CASES)
        assert not {patient(case) for case in train} & {patient(case) for case in validation}
        assert len(validation) == pytest.approx(len(CASES) / 5, abs=6)
        assert sum(ill(case) == "True" for case in validation) / len(validation) == pytest.approx(0.2, abs=0.03)


def test_one_fold_is_no_cross_validation() -> None:
    with pytest.raises(ValueError, match="at least two"):
        folds(CASES, patient, 0, 1)
