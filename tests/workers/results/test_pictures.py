"""Pictures of radiographs, waveforms and contributions: true to scale, shaded where it matters, and never broken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from pydicom.dataset import Dataset

from models.contracts import Channel, Radiograph, Waveform
from tests.workers.results.kinds import (
    CONTRIBUTIONS,
    LEADS,
    RATE,
    chest,
    heat,
    importance,
    radiograph_input,
    record_input,
    sound_input,
    waveform_input,
)
from workers.results.pictures import bars, trace
from workers.results.pictures.heat import FLOOR, radiograph
from workers.results.pictures.heat import heat as colours
from workers.results.pictures.single import picture_of

MARGIN = trace.MARGIN_MM * trace.PER_MM
ROW = trace.ROW_MM * trace.PER_MM


def dark(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Where ink is."""
    ink: npt.NDArray[np.bool_] = pixels.astype(int).sum(axis=-1) < 150
    return ink


def test_an_ecg_has_a_hundred_pixels_a_second_and_forty_a_millivolt() -> None:
    samples = np.zeros((1, 2500), np.float32)
    samples[0, 750:760] = 1.0  # a millivolt at 3 s
    seen = Waveform(samples, RATE, (Channel("II", unit="mV"),), "ECG")
    drawn = dark(trace.waveform(seen, replace(waveform_input().prediction, traces=())))[MARGIN : MARGIN + ROW]
    columns = np.flatnonzero(drawn[: ROW // 2 - 10, MARGIN + 60 :].any(axis=0)) + MARGIN + 60
    assert columns.min() - MARGIN == pytest.approx(3.0 * 100, abs=2)
    assert ROW / 2 - np.flatnonzero(drawn[:, columns[1]]).min() == pytest.approx(40, abs=1)


def test_importance_is_shaded_at_its_time_and_nowhere_else() -> None:
    flat = Waveform(np.zeros((1, 2500), np.float32), RATE, (Channel("II", unit="mV"),), "ECG")
    inp = waveform_input()
    plain = trace.waveform(flat, replace(inp.prediction, traces=())).astype(int)
    shaded = trace.waveform(flat, inp.prediction).astype(int)
    change = np.abs(shaded - plain).sum(axis=(0, 2))
    assert (int(change.argmax()) - MARGIN) / 100 == pytest.approx(2.5, abs=0.15)
    assert change[MARGIN + 500] < 0.05 * change.max()


def test_twelve_leads_stand_in_four_columns_with_a_rhythm_strip() -> None:
    inp = waveform_input()
    assert isinstance(inp.seen, Waveform)
    strips = trace.layout(inp.seen, inp.prediction, trace._scale(inp.seen))
    assert len(strips) == 13
    names = [LEADS[strip.channel] for strip in strips]
    assert names[:4] == ["I", "aVR", "V1", "V4"]
    assert names[-1] == "II"
    assert strips[3].start_s == 7.5


def test_of_a_long_recording_the_strips_that_mattered_are_drawn() -> None:
    rng = np.random.default_rng(1)
    seen = Waveform(rng.standard_normal((1, 250 * 600)).astype(np.float32), RATE, (Channel("II", unit="mV"),), "ECG")
    inp = waveform_input()
    late = replace(inp.prediction.traces[0], start_s=300.0, values=importance())
    strips = trace.layout(seen, replace(inp.prediction, traces=(late,)), trace._scale(seen))
    assert len(strips) == trace.STRIPS
    assert 300.0 in [strip.start_s for strip in strips]


@pytest.mark.parametrize("samples", [1, 3, 40])
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 1e30])
def test_odd_samples_break_no_picture(samples: int, value: float) -> None:
    seen = Waveform(np.full((2, samples), value, np.float32), RATE, (Channel("A"), Channel("B")), "ECG")
    assert trace.waveform(seen, waveform_input().prediction).ndim == 3
    loud = replace(seen, modality="AU")
    assert trace.waveform(loud, sound_input().prediction).ndim == 3


def test_a_heat_map_is_clear_where_it_is_low_and_reddest_at_its_peak() -> None:
    drawn = colours(heat()[0])
    peak = np.unravel_index(heat()[0].argmax(), heat()[0].shape)
    assert drawn[..., 3].max() == drawn[(*peak, 3)]
    assert not drawn[heat()[0] < FLOOR * heat()[0].max(), 3].any()
    assert not colours(np.full((4, 4), np.nan, np.float32))[..., 3].any()


def test_a_radiograph_keeps_its_proportions() -> None:
    wide = Radiograph(chest(), "CR", spacing_mm=(0.2, 0.4))
    drawn = radiograph(wide, replace(radiograph_input().prediction, maps=()), Dataset())
    rows = np.flatnonzero(drawn.any(axis=(1, 2)))
    columns = np.flatnonzero(drawn.any(axis=(0, 2)))
    assert len(columns) / len(rows) == pytest.approx(80 * 0.4 / (96 * 0.2), rel=0.01)


def test_bars_go_to_the_side_of_what_they_did() -> None:
    drawn = bars.bars(CONTRIBUTIONS).astype(int)
    middle = (bars.WIDTH + bars.NAMES) // 2
    raises = (np.abs(drawn - np.array(bars.RAISES)).sum(axis=2) == 0)[bars.HEAD : -bars.HEAD]
    lowers = (np.abs(drawn - np.array(bars.LOWERS)).sum(axis=2) == 0)[bars.HEAD : -bars.HEAD]
    assert np.flatnonzero(raises.any(axis=0)).min() >= middle
    assert np.flatnonzero(lowers.any(axis=0)).max() <= middle
    assert raises[: bars.ROW].sum() > raises[bars.ROW : 2 * bars.ROW].sum()


def test_a_contribution_that_is_no_number_is_drawn_as_none() -> None:
    odd = (replace(CONTRIBUTIONS[0], weight=float("nan"), value=float("inf")),)
    assert bars.bars(odd).shape[1] == bars.WIDTH


def test_what_is_not_at_hand_has_no_picture() -> None:
    assert picture_of(replace(radiograph_input(), seen=None)) is None
    inp = record_input()
    assert picture_of(replace(inp, prediction=replace(inp.prediction, contributions=()))) is None
