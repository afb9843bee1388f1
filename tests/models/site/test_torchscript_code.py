"""Code in TorchScript files that somebody wrote by hand: every way to a file that pytorch would follow is refused."""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.site import torchscript
from models.site.errors import ModelRefused
from models.site.torchscript_scan import FORBIDDEN, NAMESPACES, check_source

CALL = 'torch.from_file("{secret}", False, 8)'


class Plus(torch.nn.Module):
    """The least that there is."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """One more."""
        return image + 1


def rewritten(path: Path, code: str, rename: Callable[[str], str] = str, extra: tuple[str, ...] = ()) -> Path:
    """A file as pytorch saves it, with other code in its one method, and perhaps under another name."""
    original = path.with_suffix(".original")
    made: Any = torch.jit.script(Plus())
    made.save(str(original))
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(path, "w") as target:
        for item in source.infolist():
            name, data = item.filename, source.read(item)
            if name.endswith(".debug_pkl"):
                continue
            if name.endswith(".py"):
                name, data = rename(name), re.sub(r"return .*", code, data.decode()).encode()
            target.writestr(name, data)
        for name in extra:
            target.writestr(name, "x")
    return path


@pytest.mark.parametrize(
    "code",
    [
        f"return {CALL}",
        f"return {CALL}".replace("(", "  ("),
        f"return {CALL}".replace("torch.", "ops . aten . "),
        f"return {CALL}".replace("torch.from_file", 'getattr(torch, "from_file")'),
        f"return {CALL}".replace("torch.from_file", 'getattr(torch, "from" "_file")'),
        f"f = torch.from_file\n    return f{CALL.removeprefix('torch.from_file')}",
    ],
)
def test_every_way_of_writing_a_call_that_reads_a_file_is_refused(tmp_path: Path, code: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(struct.pack("<8f", *[7.0] * 8))
    path = rewritten(tmp_path / "m.ts", code.replace("{secret}", str(secret)))
    loaded: Any = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
    assert loaded(torch.zeros(1))[0] == 7  # pytorch follows it

    with pytest.raises(ModelRefused, match=r"from_file|getattr"):
        torchscript.inspect(path)


@pytest.mark.parametrize(
    "rename", [lambda name: name.replace(".py", ".PY"), lambda name: name.replace("/code/", "/CODE/")]
)
def test_code_under_a_name_in_capitals_is_looked_at_for_pytorch_finds_it(
    tmp_path: Path, rename: Callable[[str], str]
) -> None:
    path = rewritten(tmp_path / "m.ts", f"return {CALL}", rename, ("m/code/harmless.py",))

    with pytest.raises(ModelRefused, match="from_file"):
        torchscript.inspect(path)


def test_a_network_that_prints_what_it_sees_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "m.ts", "print(x)\n    return x")

    with pytest.raises(ModelRefused, match=r"remove print\(\)"):
        torchscript.inspect(path)


def test_every_operator_of_pytorch_that_takes_the_name_of_a_file_is_forbidden() -> None:
    schemas = torch._C._jit_get_all_schemas()
    found = {
        schema.name.partition("::")[2]
        for schema in schemas
        if schema.name.partition("::")[0] in NAMESPACES
        and any("file" in argument.name for argument in schema.arguments)
    }

    assert found >= {"from_file", "save"}
    assert found <= FORBIDDEN


@pytest.mark.parametrize(
    "source",
    [
        'x = getattr(getattr(self, "layers"), "0")',
        'raise Exception("save the file first, then print(it)")  # torch.from_file',
        "x = ops.quantized.add(a, b, 1., 0)",
    ],
)
def test_what_pytorch_itself_writes_passes(source: str) -> None:
    check_source(source, "m.ts")


@pytest.mark.parametrize(
    "source",
    [
        "f = getattr",
        'getattr(torch, "from\\x5ffile")',
        'getattr(torch, name)("x")',
        'getattr(torch, "a", "b")',
        'getattr(torch, ("ops"))',
        'x = """',
        "x = 'open",
        "x = ops",
        "x = ops.aten",
        "x = ops.  # \n evil . go(1)",
    ],
)
def test_code_that_hides_what_it_asks_for_is_refused(source: str) -> None:
    with pytest.raises(ModelRefused):
        check_source(source, "m.ts")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="\"'\\#\n.,()[]{} abgetropsf_0", max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        check_source(text, "m.ts")
    except ModelRefused:
        return
    assert "from_file" not in text


def test_a_file_with_two_lists_of_members_is_refused(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "m.ts", "return x")
    torchscript.inspect(path)
    data = path.read_bytes()

    for odd in (b"before" + data, data + b"after", data[:-2] + b"\x05\x00" + data[-22:]):
        path.write_bytes(odd)
        with pytest.raises(ModelRefused, match="no TorchScript"):
            torchscript.inspect(path)


def test_damaged_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.ts"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("m/code/__torch__.py", "x = 1\n" * 50)
        made.writestr("m/constants.pkl", "x")
    data = bytearray(path.read_bytes())
    data[52:60] = bytes(8 * [0xFF])
    path.write_bytes(bytes(data))

    with pytest.raises(ModelRefused, match="no TorchScript"):
        torchscript.inspect(path)
