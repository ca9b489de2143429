"""Certificates for one run: an authority that signs one server certificate and is then forgotten."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOURS = 6
"""How long a certificate is valid: longer than any load runs."""
BEFORE = datetime.timedelta(minutes=10)
"""Valid from so long ago, for clocks that are late."""


@dataclass(frozen=True)
class Made:
    """What a server needs, and what its clients do; all PEM.

    Attributes:
        ca: the authority's certificate, public.
        certificate: the server's, public.
        key: the server's private key. It is for the Secret alone, and doesn't show where this object is printed.
        expires: end of the validity.

    """

    ca: str
    certificate: str
    key: str = field(repr=False)
    expires: datetime.datetime


def make(host: str, *, expires: datetime.datetime | None = None) -> Made:
    """A new authority and a certificate of its for one host; the authority's key is kept nowhere.

    Args:
        host: the DNS name.
        expires: end of the validity, by default `HOURS` from now.

    """
    end = expires or datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=HOURS)
    begin = min(datetime.datetime.now(datetime.UTC), end) - BEFORE
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "blue-green rehearsal, one run")])
    ca = (
        _begun(ca_name, ca_name, ca_key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    # A common name has at most 64 letters (RFC 5280, ub-common-name), a host may have more; clients read the SAN alone.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    server = (
        _begun(name, ca_name, key.public_key(), begin, end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Made(_pem(ca), _pem(server), private.decode(), end)


def _begun(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)


def _usage(*, sign: bool) -> x509.KeyUsage:
    """A server signs its handshakes, an authority certificates."""
    return x509.KeyUsage(
        digital_signature=sign,
        key_cert_sign=not sign,
        crl_sign=not sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
