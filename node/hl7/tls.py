"""TLS of the HL7 port and of MLLP destinations: the DICOM port's profile (BCP 195) with the files of ``hl7.tls``."""

from __future__ import annotations

import ssl

from node.dicom.scp import tls
from node.settings import TlsSection

SECTION = "hl7.tls"


def server_context(settings: TlsSection) -> ssl.SSLContext | None:
    """Return the context of the listening side; None where no certificate is configured.

    Raises
    ------
    ConfigError
        If certificate, key or authorities cannot be read.
    """
    return tls.server_context(settings, SECTION)


def client_context(settings: TlsSection) -> ssl.SSLContext:
    """Return the context of connections to destinations; the node's own certificate is shown where there is one.

    With authorities of the site's own, whoever holds a certificate of theirs is trusted, as in the DICOM profile
    (PS3.15 annex B.12 leaves names to the site). Without them the system's authorities are asked, which certify
    anybody: then the name in the certificate has to be the host that is called.

    Raises
    ------
    ConfigError
        If a file cannot be read.
    """
    context = tls.client_context(settings, SECTION)
    context.check_hostname = settings.authorities is None
    return context
