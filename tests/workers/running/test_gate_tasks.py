"""A job on an irregular series ends declined with the reason, or with a prediction on the slices of the series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from models.contracts import InputDeclined, ModelCard, Prediction, Source, Volume, expect
from models.geometry import is_sheared
from models.running.options import RunOptions
from node.records.schema import Event, Instance, Job
from node.records.states import JobState, StudyState
from node.settings import NodeSection, Settings
from tests import factories
from tests.stores import fill
from tests.workers.running.shelf import Shelf
from tests.workers.stacks import Uneven, single_frames
from tests.workers.synthetic import CARD, SEGMENTS, write
from workers import predictions, tasks
from workers.context import SPOOL, Context
from workers.results.headers import check_planes
from workers.running.inferrers import Direct

STACK = Uneven([0, 2.5, 5, 7.5, 10, 12.5], lean=(0.3, 0.1))


class Drawing:
    """A model that draws everything, on a right-angled grid only."""

    def __init__(self, card: ModelCard) -> None:
        self.card = card
        self.seen: list[tuple[int, ...]] = []

    def check(self, source: Source) -> None:
        if is_sheared(expect(source, Volume).geometry.affine):
            raise InputDeclined("sheared")

    def predict(self, source: Source) -> Prediction:
        volume = expect(source, Volume)
        self.seen.append(volume.array.shape)
        return Prediction((), np.ones(volume.array.shape, dtype=np.uint8), SEGMENTS)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    found = Context(Settings(node=NodeSection(root=tmp_path)), "worker")
    fill(found.records)
    yield found
    found.records.close()


def _job(context: Context, model: Drawing) -> str:
    context.inferrer = Direct(Shelf(hippocampus=model), RunOptions(device="cpu"))
    context.catalogue = Shelf(hippocampus=model)
    context.broker.send = lambda task: None  # type: ignore[method-assign]
    paths = write(context.root / SPOOL, single_frames(STACK))
    with context.records.write() as session:
        study = factories.study(session, state=StudyState.ANALYSING)
        series = study.series[0]
        series.instances[0].path = paths[0].name
        for number, path in enumerate(paths[1:]):
            series.instances.append(
                Instance(
                    uid=f"1.2.9.{number}",
                    sop_class="1.2.840.10008.5.1.4.1.1.4",
                    transfer_syntax="1.2.840.10008.1.2.1",
                    path=path.name,
                    size=1,
                    digest=f"xxh128:{number}",
                )
            )
        return factories.job(session, study).id


def _state(context: Context, job_id: str) -> Job:
    with context.records.read() as session:
        return session.get_one(Job, job_id)


def test_a_leaning_series_is_declined_with_its_angle_by_a_model_that_does_not_take_it(context: Context) -> None:
    model = Drawing(CARD)
    job_id = _job(context, model)
    tasks.infer(context, job_id)
    assert _state(context, job_id).state is JobState.DECLINED
    assert model.seen == []
    with context.records.read() as session:
        said = " ".join(event.text for event in session.scalars(select(Event)))
    assert "the stack leans by 17.5 degrees against its slices (gantry tilt)" in said


def test_a_model_that_takes_it_resampled_has_its_labels_on_the_slices_and_a_warning_with_them(context: Context) -> None:
    model = Drawing(replace(CARD, requirements=replace(CARD.requirements, tilt="resample")))
    job_id = _job(context, model)
    tasks.infer(context, job_id)
    job = _state(context, job_id)
    assert job.state is JobState.INFERRED
    assert model.seen == [(6, 17, 11)], "wide enough for the lean"
    prediction, card = predictions.read(context.root / job.prediction)
    assert card.requirements.tilt == "resample"
    assert prediction.labels is not None
    assert prediction.labels.shape == STACK.shape
    assert prediction.labels.all()
    assert "lean by 17.5 degrees" in prediction.warnings[0]
    assert list(job.warnings) == list(prediction.warnings)
    with context.records.read() as session:
        sources = context.headers(session, session.get_one(Job, job_id))
    check_planes(sources, prediction, predictions.read_planes(context.root / job.prediction))
