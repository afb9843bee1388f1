"""A SuperLink and two SuperNodes, each a process of its own, with TLS and keys, as docs/training.md shows them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from ssl import SSLContext, create_default_context

import pytest
import torch
from safetensors.torch import load_file

from models.runtime import named_tensors
from models.training.framework.flower_quiet import QUIET
from tests.peers import eventually, free_port

pytest.importorskip("flwr", reason="Flower is not installed, it wants an environment of its own: see docs/training.md")

from tests.models.training.framework.flower_app.app import COUNTS, in_one_process

APP = Path(__file__).parent / "flower_app"
REPOSITORY = APP.parents[4]
LAUNCH = (sys.executable, "-m", "models.training.framework.flower_quiet")
#: Weights are written in half precision, which has eleven significant bits.
HALF = 2**-10


def certificate(openssl: str, folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that is its own authority, and its key."""
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
         "link.key", "-out", "link.pem", "-subj", "/CN=link", "-days", "2", "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder / "link.pem"


def key(ssh_keygen: str, path: Path) -> Path:
    """Make the key of a site; its public half gets the suffix ``.pub``."""
    subprocess.run([ssh_keygen, "-q", "-t", "ecdsa", "-b", "384", "-N", "", "-f", path], check=True)
    return path


def environment(home: Path) -> dict[str, str]:
    """Give what Flower's programs get: a folder of their own, and this repository to import from."""
    home.mkdir(exist_ok=True)
    own = {"FLWR_HOME": str(home), "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return {name: value for name, value in os.environ.items() if name not in QUIET} | own


def healthy(address: str, trust: SSLContext) -> bool:
    try:
        with urllib.request.urlopen(f"https://{address}/health", timeout=5, context=trust) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


class Federation:
    """The programs of a federation, their logs in one folder."""

    def __init__(self, folder: Path, trusted: Path) -> None:
        self.folder, self.trusted = folder, trusted
        self.address = f"127.0.0.1:{free_port()}"
        settings = ("[superlink.here]", f'address = "{self.address}"', f'root-certificates = "{trusted}"')
        environment(folder / "user")
        (folder / "user" / "config.toml").write_text("\n".join(settings))

    @contextmanager
    def running(self, name: str, *words: str) -> Iterator[None]:
        """Run a program meanwhile."""
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen([*LAUNCH, *words], env=environment(self.folder / name), stdout=log, stderr=log)
            try:
                yield
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    @contextmanager
    def link(self) -> Iterator[None]:
        """Run the SuperLink meanwhile."""
        host, port = self.address.split(":")
        words = (
            *("--ssl-certfile", self.trusted, "--ssl-keyfile", self.trusted.with_suffix(".key")),
            *("--ssl-ca-certfile", self.trusted, "--enable-supernode-auth", "--host", host, "--port", port),
        )
        trust = create_default_context(cafile=self.trusted)
        with self.running("link", "flower-superlink", *map(str, words)):
            eventually("the SuperLink answers", lambda: healthy(self.address, trust), 90)
            yield

    @contextmanager
    def site(self, key: Path, settings: str) -> Iterator[None]:
        """Run a SuperNode meanwhile."""
        words = (
            *("--superlink", self.address, "--root-certificates", self.trusted, "--port", free_port()),
            *("--auth-supernode-private-key", key, "--node-config", settings),
        )
        with self.running(key.stem, "flower-supernode", *map(str, words)):
            yield

    def flwr(self, *words: str) -> str:
        """Run a command of ``flwr`` to its end, and give what all programs have said."""
        done = subprocess.run(
            [*LAUNCH, "flwr", *words], env=environment(self.folder / "user"), capture_output=True, text=True,
            timeout=600, check=False,
        )  # fmt: skip
        logs = [f"{path.name}\n{path.read_text()[-4000:]}" for path in self.folder.glob("*.log")]
        return "\n".join([done.stdout, done.stderr, *logs])


@pytest.mark.long
@pytest.mark.timeout(900)
def test_sites_and_server_that_are_processes_of_their_own_give_the_weights_of_one_process(
    tmp_path: Path, peer: Callable[[str], str]
) -> None:
    federation, out = Federation(tmp_path, certificate(peer("openssl"), tmp_path)), tmp_path / "out"
    keys = [key(peer("ssh-keygen"), tmp_path / f"site{site}.key") for site in range(len(COUNTS))]

    with federation.link(), ExitStack() as sites:
        for site, (own, count) in enumerate(zip(keys, COUNTS, strict=True)):
            federation.flwr("supernode", "register", f"{own}.pub", "here")
            sites.enter_context(federation.site(own, f"site={site} count={count}"))
        said = federation.flwr("run", str(APP), "here", "--stream", "--run-config", f'out="{out}"')
    assert (out / "history.json").exists(), said

    alone, history = in_one_process()
    assert json.loads((out / "history.json").read_text()) == history
    written = load_file(out / "model.safetensors")
    for name, value in named_tensors(alone).items():
        torch.testing.assert_close(written[name].float(), value.float(), rtol=HALF, atol=HALF**2)
