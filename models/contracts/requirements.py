"""What a model asks of its input."""

from __future__ import annotations

from dataclasses import dataclass

from models.contracts.sources import InputKind

#: What a card may say of a stack that is not as it should be: refuse it, have it resampled to a regular grid first, or
#: take it as it is.
TILT_CHOICES = ("refuse", "resample", "accept")
STEP_CHOICES = ("refuse", "resample")
STACK_CHOICES = ("refuse", "largest")
SCOUT_CHOICES = ("refuse", "leave_out")


@dataclass(frozen=True, slots=True)
class RadiographNeeds:
    """What a model asks of a radiograph: View Positions (none: any) and the least number of rows and columns."""

    views: tuple[str, ...] = ()
    min_pixels: int = 0


@dataclass(frozen=True, slots=True)
class WaveformNeeds:
    """What a model asks of a waveform.

    Parameters
    ----------
    channels
        Sets of names, any one of which must be there in full; the first that is there is read. None: any channel.
    rate_hz, seconds
        ``(lowest, highest)``.
    """

    channels: tuple[tuple[str, ...], ...] = ()
    rate_hz: tuple[float, float] = (1.0, 1e6)
    seconds: tuple[float, float] = (0.0, 1e6)


@dataclass(frozen=True, slots=True)
class RecordNeeds:
    """What a model asks of the record.

    Parameters
    ----------
    codes
        LOINC codes that it reads; none: all.
    hours
        ``(first, last)`` hours that are read, against the moment of the study: ``(-48, 0)`` is the two days before it.
    min_values
        Fewer values are declined; 0 where the model does without.
    """

    codes: tuple[str, ...] = ()
    hours: tuple[float, float] = (-48.0, 0.0)
    min_values: int = 0


ANY_SPACING_MM = (0.0, 1e4)
"""A range that refuses no volume."""


@dataclass(frozen=True, slots=True)
class InputRequirements:
    """What a model needs of its input; checked before inference, refused with the reason.

    Parameters
    ----------
    modalities
        DICOM defined terms; empty for a model that reads the record alone.
    spacing_mm, extent_mm
        ``(lowest, highest)`` over all axes. No step between slices that is resampled may exceed the highest spacing.
    min_slices
        Least number of slices, of the series as of a resampled stack.
    description
        For people, said with a refusal.
    tilt
        One of :data:`TILT_CHOICES`: stacks whose slices lean against them (gantry tilt). A model that says
        ``"accept"`` gets the sheared affine.
    max_tilt_deg
        Largest lean that is resampled; gantries reach 30 degrees.
    uneven_spacing, missing_slices
        One of :data:`STEP_CHOICES`: slices at uneven steps, and gaps of whole slices in a regular stack.
    several_stacks
        One of :data:`STACK_CHOICES`: several stacks, phases or echoes in one series. ``"largest"`` reads the one with
        the most slices, of equal phases the first.
    scouts
        One of :data:`SCOUT_CHOICES`: localisers and stray images among the slices.
    kind
        What the model reads; what is said of spacing, slices and stacks is of volumes.
    body_parts
        Body Part Examined (PS3.16 annex L) that the model reads, in capitals; none: any, and what the object does not
        say is not held against it.
    radiograph, waveform, record
        What is asked of these; a model of any kind that has ``record`` gets the patient's values with its source.
    """

    modalities: tuple[str, ...]
    spacing_mm: tuple[float, float] = ANY_SPACING_MM
    extent_mm: tuple[float, float] = ANY_SPACING_MM
    min_slices: int = 3
    description: str = ""
    tilt: str = "refuse"
    max_tilt_deg: float = 30.0
    uneven_spacing: str = "refuse"
    missing_slices: str = "refuse"
    several_stacks: str = "refuse"
    scouts: str = "refuse"
    kind: InputKind = InputKind.VOLUME
    body_parts: tuple[str, ...] = ()
    radiograph: RadiographNeeds | None = None
    waveform: WaveformNeeds | None = None
    record: RecordNeeds | None = None

    def __post_init__(self) -> None:
        """Raise :class:`ValueError` for a choice that there is not."""
        choices = {
            "tilt": TILT_CHOICES,
            "uneven_spacing": STEP_CHOICES,
            "missing_slices": STEP_CHOICES,
            "several_stacks": STACK_CHOICES,
            "scouts": SCOUT_CHOICES,
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}")
        if not 0 <= self.max_tilt_deg < 90:
            raise ValueError("max_tilt_deg must be at least 0 and less than 90")
