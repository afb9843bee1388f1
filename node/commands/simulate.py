"""`overread simulate`: a hospital in a box, piece by piece, for commissioning and tests."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track

from node.commands.common import JsonOption, dump, err, out, told
from node.commands.send import parse_address
from node.errors import OverreadError
from node.simulator.kinds import KINDS, Wish, make
from node.simulator.modality import send_study
from node.simulator.pacs import run_pacs
from node.simulator.ris import NOTE_CHINESE, NOTE_ENGLISH, Person, admit, labs, note, order, run_ris
from node.simulator.ris import send as send_message
from node.simulator.studies import GeneratedStudy, write
from node.simulator.traffic import Event
from node.simulator.traffic import traffic as make_traffic
from node.simulator.traffic_plan import Faults, plan
from node.simulator.traffic_sending import Sent, Target
from node.simulator.traffic_sending import send as send_traffic

app = typer.Typer(no_args_is_help=True, help="Simulators: modality, PACS, RIS, generated studies.")
FolderArgument = Annotated[Path, typer.Argument(help="Where everything is written.")]
SeedOption = Annotated[int, typer.Option(help="Chooses the anatomy.")]
AccessionOption = Annotated[str, typer.Option(help="Accession Number.")]
SideOption = Annotated[str, typer.Option(help="left or right, for brain-mr.")]
KindOption = Annotated[str, typer.Option(help=f"What to make: {', '.join(KINDS)}.")]
FindingOption = Annotated[
    bool, typer.Option("--finding", help="Show what a model looks for: an opacity, atrial fibrillation, a murmur.")
]
HostOption = Annotated[str, typer.Option(help="Address to listen on.")]


@app.command()
@told
def study(
    folder: FolderArgument,
    seed: SeedOption = 1,
    accession: AccessionOption = "",
    side: SideOption = "right",
    kind: KindOption = "brain-mr",
    finding: FindingOption = False,
) -> None:
    """Generate a study as files."""
    paths = write(_generated(kind, seed, accession, side, finding=finding), folder)
    out.print(f"{len(paths)} files in {folder}")


@app.command()
@told
def modality(
    folder: FolderArgument,
    address: Annotated[str, typer.Argument(metavar="AE@HOST:PORT", help="The node.")],
    seed: SeedOption = 1,
    accession: AccessionOption = "",
    side: SideOption = "right",
    kind: KindOption = "brain-mr",
    finding: FindingOption = False,
) -> None:
    """Generate a study and send it by C-STORE."""
    ae_title, host, port = parse_address(address)
    generated = _generated(kind, seed, accession, side, finding=finding)
    outcomes = send_study(generated, folder, host, port, called_ae=ae_title)
    for outcome in track(outcomes, "C-STORE", total=len(generated.datasets), console=err):
        outcome.raise_for_status()
    out.print(f"Study {generated.study_uid}: {len(generated.datasets)} objects sent.")


@app.command()
@told
def pacs(
    folder: FolderArgument,
    ae_title: Annotated[str, typer.Option(help="AE title.")] = "SIM_PACS",
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option(help="DICOM port.")] = 11113,
) -> None:
    """Run a PACS that keeps what it gets as files, until Ctrl-C."""
    out.print(f"PACS {ae_title} listens on {host}:{port}, objects go to {folder}; Ctrl-C stops it.")
    run_pacs(folder, ae_title, host, port)


@app.command()
@told
def ris(
    folder: FolderArgument,
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option(help="MLLP port.")] = 2576,
) -> None:
    """Run a RIS that keeps the messages it gets as files and answers AA, until Ctrl-C."""
    run_ris(folder, host, port)


@app.command()
@told
def message(
    kind: Annotated[str, typer.Argument(help="order, note, note-zh, admit or labs.")],
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The node's MLLP port.")],
    accession: AccessionOption = "A1",
) -> None:
    """Send a message about the made-up patient over MLLP and show the answer."""
    host, port = _host_port(address)
    person, number = Person(), f"{accession}-{time.time_ns()}"
    builders = {
        "order": lambda: order(person, accession=accession),
        "note": lambda: note(person, document_number=number, text=NOTE_ENGLISH, accession=accession),
        "note-zh": lambda: note(person, document_number=number, text=NOTE_CHINESE, accession=accession),
        "admit": lambda: admit(person),
        "labs": lambda: labs(person, filler=number),
    }
    if kind not in builders:
        raise OverreadError(f"{kind!r} is none of {', '.join(builders)}")
    ack = send_message(host, port, builders[kind](), 30.0)
    out.print(f"answered {ack.code}")


@app.command()
@told
def traffic(
    data: Annotated[Path, typer.Option("--data", help="Folder of MIMIC-IV or its demo (hosp/patients.csv.gz...).")],
    to: Annotated[str, typer.Option("--to", metavar="HOST:PORT", help="The node's MLLP port.")],
    dicom: Annotated[
        str, typer.Option(metavar="AE@HOST:PORT", help="The node's DICOM port; without it no images.")
    ] = "",
    patients: Annotated[int, typer.Option(help="How many patients.")] = 100,
    studies: Annotated[int, typer.Option(help="How many studies, ordered and noted even if no images are sent.")] = 60,
    seed: Annotated[int, typer.Option(help="Chooses names, notes, studies, faults.")] = 1,
    connections: Annotated[int, typer.Option(help="Connections, with --shuffle.")] = 8,
    duplicates: Annotated[float, typer.Option(help="Share of messages that are sent twice.")] = 0.0,
    cuts: Annotated[float, typer.Option(help="Share of messages at which the connection is cut.")] = 0.0,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Mix the patients, and the time of studies.")] = False,
    json: JsonOption = False,
) -> None:
    """Send the traffic of real patients' records: ADT, ORU, ORM, MDM, merges and images. Status 1 if one is refused."""
    host, port = _host_port(to)
    events = make_traffic(data, patients=patients, studies=studies, seed=seed)
    steps = plan(events, Faults(shuffle, connections, duplicates, cuts), seed)
    target = Target(host, port, parse_address(dicom) if dicom else None)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=json) as bar, tempfile.TemporaryDirectory() as folder:
        total = steps.messages + sum(event.study is not None for event in events)
        task = bar.add_task(f"HL7 to {to}", total=total)
        sent = send_traffic(steps, target, Path(folder), seed=seed, advance=lambda: bar.advance(task))
    _report(events, sent, json)


def _report(events: list[Event], sent: Sent, json: bool) -> None:
    figures = {
        "patients": len({event.patient for event in events}),
        "messages": sent.messages,
        "repetitions": sent.repetitions,
        "cuts": dict(sent.cuts),
        "studies": sent.studies,
        "answers": dict(sent.answers),
        "refused": [{"control_id": control_id, "answer": code} for control_id, code in sent.refused],
        "seconds": round(sent.seconds, 1),
        "messages_a_second": round((sent.messages + sent.repetitions) / max(sent.seconds, 0.001), 1),
    }
    if json:
        dump(figures)
    else:
        for name, value in figures.items():
            out.print(f"{name.replace('_', ' ')}: {value}", markup=False, highlight=False)
    if sent.refused:
        raise typer.Exit(1)


def _host_port(address: str) -> tuple[str, int]:
    try:
        _, host, port = parse_address(f"RIS@{address}")
    except OverreadError as exc:
        raise OverreadError(f"{address!r} is not HOST:PORT, such as 127.0.0.1:2575") from exc
    return host, port


def _generated(kind: str, seed: int, accession: str, side: str, *, finding: bool) -> GeneratedStudy:
    if side not in ("left", "right"):
        raise OverreadError(f"side is left or right, not {side!r}")
    return make(kind, Wish(seed, Person(), accession, dt.datetime.now(), finding, side))
