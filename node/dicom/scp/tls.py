"""TLS of the DICOM port: the BCP 195 RFC 8996, 9325 profile (PS3.15 annex B.12).

TLS 1.2 and 1.3 only; of 1.2 only suites with forward secrecy and authenticated encryption, which RFC 9325 section 4.2
recommends. Whether a client has to show a certificate is configured: the profile leaves it to the site.
"""

from __future__ import annotations

import ssl

from node.errors import ConfigError
from node.settings import TlsSection

SUITES = ":".join(
    f"ECDHE-{signer}-{cipher}"
    for cipher in ("AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305")
    for signer in ("ECDSA", "RSA")
)
_VERIFY = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


def server_context(settings: TlsSection, section: str = "dicom.tls") -> ssl.SSLContext | None:
    """Return the context of the listening side; None where no certificate is configured. Errors name ``section``.

    Raises
    ------
    ConfigError
        If certificate, key or authorities cannot be read.
    """
    if settings.certificate is None or settings.key is None:
        return None
    context = _profile(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.verify_mode = _VERIFY[settings.client_certificates]
    try:
        context.load_cert_chain(settings.certificate, settings.key)
        if settings.authorities is not None:
            context.load_verify_locations(settings.authorities)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(f"{section}: certificate, key or authorities cannot be used: {_reason(exc)}") from exc
    return context


def client_context(settings: TlsSection, section: str = "dicom.tls") -> ssl.SSLContext:
    """Return the context of associations that the node asks for; its own certificate is shown where there is one.

    Raises
    ------
    ConfigError
        If a file cannot be read.
    """
    context = _profile(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.check_hostname = False  # PS3.15 B.12 leaves names to the site, and DICOM certificates seldom have them
    try:
        if settings.authorities is not None:
            context.load_verify_locations(settings.authorities)
        else:
            context.load_default_certs()
        if settings.certificate is not None and settings.key is not None:
            context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(f"{section}: certificate, key or authorities cannot be used: {_reason(exc)}") from exc
    return context


def _profile(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    return context


def _reason(exc: OSError) -> str:
    return str(getattr(exc, "reason", "") or exc.strerror or type(exc).__name__)
