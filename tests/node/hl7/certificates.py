"""Certificates for tests, made by openssl."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.settings import TlsSection

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Keys:
    """A folder with authorities ``ca`` and ``other``, and pairs ``server``, ``client`` (of ``ca``), ``stranger``."""

    folder: Path

    def section(self, name: str, client_certificates: str = "none", authority: str = "ca") -> TlsSection:
        """Return the settings of whoever holds a pair and trusts an authority."""
        return TlsSection.model_validate(
            {
                "certificate": self.folder / f"{name}.pem",
                "key": self.folder / f"{name}.key",
                "authorities": self.folder / f"{authority}.pem",
                "client_certificates": client_certificates,
            }
        )

    def context(self, name: str = "") -> ssl.SSLContext:
        """Return a client's context that trusts ``ca``."""
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        context.check_hostname = False
        if name:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context


def made(folder: Path) -> Keys:
    """Make the certificates; skips where openssl is missing."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificates can be made")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other"):
        openssl(
            "req",
            "-x509",
            *CURVE,
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.pem",
            "-subj",
            f"/CN={name}",
            "-days",
            "2",
        )
    for name, authority in (("server", "ca"), ("client", "ca"), ("stranger", "other")):
        openssl("req", *CURVE, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
            "-CAcreateserial", "-days", "2", "-out", f"{name}.pem",
        )  # fmt: skip
    return Keys(folder)
