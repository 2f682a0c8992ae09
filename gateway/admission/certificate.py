"""The gateway's certificate: read from two files, and read again when they have changed.

Connections that are open go on with the certificate that they began with; the next one gets the newer. New
files that cannot be used are said so and counted, and change nothing. The bytes of TLS are the business of
`gateway/client/tls.py`.
"""

import asyncio
import hashlib
import logging
import math
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509

from tieline import metrics
from tieline.runtime.guard import bug_guard

LOOK_S: Final = 5.0
"""Between two looks at the files; what has changed is read when it has not changed again by the next one, for
the two are seldom written in the same moment."""

_log = logging.getLogger(__name__)


class UnusableCertificate(Exception):
    """The files hold no certificate with its key that can be shown; the text says why."""


class Files(NamedTuple):
    """Where the two are, as PEM."""

    certificate: Path
    """The gateway's, and those between it and an authority."""
    key: Path

    def digest(self) -> bytes:
        """Tell one content of the files from another; empty: they cannot be read.

        By what is in them: the times of a file that is a link into a directory that is swapped say little.
        """
        found = hashlib.sha256()
        try:
            for file in self:
                found.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError:
            return b""
        return found.digest()


class Shown(NamedTuple):
    """A certificate that connections may begin with."""

    context: ssl.SSLContext
    begins_at: float
    expires_at: float
    """Both in Unix seconds."""
    names: str
    """For the log: for whom it is."""


def load(files: Files) -> Shown:
    """Read both files.

    Raises:
        UnusableCertificate: they cannot be read, or do not go together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        names = certificate.subject.rfc4514_string()  # read only now
    except (OSError, ValueError, x509.InvalidVersion) as problem:
        raise UnusableCertificate(
            f"{files.certificate} holds no certificate in PEM form: {problem}"
        ) from None
    try:
        files.key.read_bytes()  # OpenSSL names no file that it cannot open
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except (OSError, ValueError) as problem:  # an SSLError is an OSError
        raise UnusableCertificate(_said(problem, files)) from None
    return Shown(context, begins.timestamp(), ends.timestamp(), names)


class Certificate:
    """What new connections are shown."""

    def __init__(self, files: Files, clock: Callable[[], float] = time.time) -> None:
        """Read the files.

        Raises:
            UnusableCertificate: see `load`.
        """
        self._files = files
        self._clock = clock
        self._looked_at = self._read = files.digest()
        self._shown = load(files)
        self._begins_at = math.inf
        """When those files may be read again that hold a certificate which is good from then on."""
        metrics.TLS_CERTIFICATE_EXPIRES.set(self._shown.expires_at)
        if self._has_expired(self._shown):
            _log.warning("the certificate has expired, so that clients refuse it", extra=self._fields())
        if self._is_early(self._shown):
            _log.warning("the certificate is not good yet, so that clients refuse it", extra=self._fields())

    def context(self) -> ssl.SSLContext:
        """Return what the next connection is shown."""
        return self._shown.context

    async def watch(self, look_s: float = LOOK_S) -> None:
        """Look at the files now and then, for ever."""
        while True:
            await asyncio.sleep(look_s)
            with bug_guard(_log, "certificate not looked at: a bug"):
                self.look()

    def look(self) -> None:
        """Read the files if they have changed since they were read, and not since the last look.

        And once more when what was not good yet has become so.
        """
        found = self._files.digest()
        if found == self._looked_at != self._read or self._clock() >= self._begins_at:
            self.reload()
        self._looked_at = found

    def reload(self) -> None:
        """Read the files; what cannot be used is said, counted, and changes nothing."""
        self._looked_at = self._read = self._files.digest()
        self._begins_at = math.inf
        try:
            found = load(self._files)
            if self._has_expired(found) and not self._has_expired(self._shown):
                raise UnusableCertificate("it has expired")
            if self._is_early(found) and not self._is_early(self._shown):
                self._begins_at = found.begins_at
                raise UnusableCertificate("it is not good yet; it is used once it is")
        except UnusableCertificate as problem:
            metrics.TLS_RELOADS.labels("failed").inc()
            _log.warning("new certificate not used", extra={"why": str(problem), **self._fields()})
            return
        self._shown = found
        metrics.TLS_RELOADS.labels("ok").inc()
        metrics.TLS_CERTIFICATE_EXPIRES.set(found.expires_at)
        _log.info("certificate read", extra=self._fields())

    def _has_expired(self, shown: Shown) -> bool:
        return shown.expires_at <= self._clock()

    def _is_early(self, shown: Shown) -> bool:
        return shown.begins_at > self._clock()

    def _fields(self) -> dict[str, object]:
        """Say which certificate is shown."""
        shown = self._shown
        return {"file": str(self._files.certificate), "subject": shown.names, "expires_at": shown.expires_at}


def _no_password() -> bytes:
    """Refuse keys that want one: else OpenSSL asks for it on the terminal."""
    raise ValueError(
        "the key is encrypted; give it without a password, in a file that only the gateway can read"
    )


def _said(problem: Exception, files: Files) -> str:
    """Say what is wrong with the files, and show nothing of what is in them."""
    match problem:
        # The last is OpenSSL's word for a key of another kind, as one of RSA beside a certificate of P-256.
        case ssl.SSLError(reason="KEY_VALUES_MISMATCH" | "KEY_TYPE_MISMATCH" | "NO_CERTIFICATE_ASSIGNED"):
            return f"{files.key} is not the key of the certificate in {files.certificate}"
        case ssl.SSLError():
            return (
                f"{files.certificate} and {files.key} are no certificate and its key in PEM form: {problem}"
            )
        case _:
            return str(problem)
