"""The certificate that clients are shown: read, read anew when it has changed, and kept when that fails."""

import asyncio
import base64
import datetime as dt
import logging
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.admission.certificate import Certificate, Files, UnusableCertificate, load
from tests.support.certificates import Pair, self_signed
from tests.support.metrics import value_of
from tests.support.waiting import until
from tests.unit.gateway.client.tls_line import shown_by
from tieline import metrics

FAILED = metrics.TLS_RELOADS.labels("failed")
READ = metrics.TLS_RELOADS.labels("ok")


def at(pair: Pair) -> Certificate:
    return Certificate(Files(pair.certificate, pair.key))


def name_shown(certificate: Certificate) -> str:
    """Shake hands with who trusts anybody; returns whom the certificate is for."""
    return shown_by(certificate.context())


def test_what_is_older_than_tls_1_2_is_not_spoken(tmp_path: Path) -> None:
    context = at(self_signed(tmp_path)).context()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.verify_mode is ssl.CERT_NONE  # clients show none


def test_its_end_is_a_metric(tmp_path: Path) -> None:
    at(self_signed(tmp_path, days=3))
    left_s = value_of(metrics.TLS_CERTIFICATE_EXPIRES) - time.time()
    assert dt.timedelta(days=3).total_seconds() - 60 < left_s <= dt.timedelta(days=3).total_seconds()


def test_a_certificate_that_only_seems_one_is_named(tmp_path: Path) -> None:
    pair = self_signed(tmp_path)
    whole = x509.load_pem_x509_certificate(pair.certificate.read_bytes()).public_bytes(Encoding.DER)
    version, name = b"\xa0\x03\x02\x01\x02", b"\x06\x03\x55\x04\x03"
    assert version in whole
    assert name in whole
    for odd in (
        whole.replace(version, b"\xa0\x03\x02\x01\x13"),
        whole.replace(name, b"\x02\x03\x55\x04\x03"),
    ):
        pem = base64.encodebytes(odd).decode()
        pair.certificate.write_text(f"-----BEGIN CERTIFICATE-----\n{pem}-----END CERTIFICATE-----\n")
        with pytest.raises(UnusableCertificate, match="holds no certificate in PEM form"):
            load(Files(pair.certificate, pair.key))


def test_files_that_are_no_certificate_and_its_key_are_named(tmp_path: Path) -> None:
    one, other = self_signed(tmp_path, "one"), self_signed(tmp_path, "other")
    locked = self_signed(tmp_path, "locked", password=b"sesame")
    nowhere, nothing, of_rsa = tmp_path / "nowhere", tmp_path / "nothing", tmp_path / "rsa.key"
    nothing.write_text("")
    key = rsa.generate_private_key(65537, 2048)
    of_rsa.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for files, problem in (
        (Files(one.certificate, other.key), "other.key is not the key of the certificate in"),
        (Files(one.certificate, of_rsa), "rsa.key is not the key of the certificate in"),
        (Files(one.key, one.certificate), "one.key holds no certificate in PEM form"),
        (Files(locked.certificate, locked.key), "the key is encrypted"),
        (Files(nowhere, one.key), "No such file"),
        (Files(one.certificate, nowhere), "No such file"),
        (Files(one.certificate, nothing), "no certificate and its key in PEM form"),
        (Files(nothing, one.key), "nothing holds no certificate in PEM form"),
    ):
        with pytest.raises(UnusableCertificate) as found:
            load(files)
        assert problem in str(found.value)
        assert "PRIVATE" not in str(found.value)


def test_newer_files_are_read_when_they_have_settled(tmp_path: Path) -> None:
    here = self_signed(tmp_path, "older")
    certificate, before = at(here), value_of(READ)
    certificate.look()
    self_signed(tmp_path, "newer").write_over(here)

    certificate.look()
    assert name_shown(certificate) == "older"
    certificate.look()
    assert name_shown(certificate) == "newer"
    certificate.look()
    assert value_of(READ) == before + 1


def test_half_of_a_new_pair_is_not_read(tmp_path: Path) -> None:
    here, newer = self_signed(tmp_path, "older"), self_signed(tmp_path, "newer")
    certificate, before = at(here), value_of(FAILED)
    here.certificate.write_bytes(newer.certificate.read_bytes())
    certificate.look()
    here.key.write_bytes(newer.key.read_bytes())
    certificate.look()
    certificate.look()
    assert (name_shown(certificate), value_of(FAILED)) == ("newer", before)


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    for name in ("older", "newer"):
        (tmp_path / name).mkdir()
        self_signed(tmp_path / name, "same")
    link = tmp_path / "now"
    link.symlink_to("older")
    files = Files(link / "same.crt", link / "same.key")
    certificate = Certificate(files)
    first = certificate.context()
    link.unlink()
    link.symlink_to("newer")
    certificate.look()
    certificate.look()
    assert certificate.context() is not first


def test_an_unusable_new_certificate_is_said_and_the_older_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    here = self_signed(tmp_path, "older")
    certificate, before, end = at(here), value_of(FAILED), value_of(metrics.TLS_CERTIFICATE_EXPIRES)
    here.key.write_bytes(self_signed(tmp_path, "other").key.read_bytes())
    for _ in range(5):
        certificate.look()
    (line,) = caplog.records
    assert line.message == "new certificate not used"
    assert "is not the key" in vars(line)["why"]
    assert (name_shown(certificate), value_of(FAILED)) == ("older", before + 1)
    assert value_of(metrics.TLS_CERTIFICATE_EXPIRES) == end

    here.certificate.unlink()
    for _ in range(5):
        certificate.look()
    assert (name_shown(certificate), value_of(FAILED)) == ("older", before + 2)
    self_signed(tmp_path, "newer").write_over(here)
    certificate.reload()  # as on a signal: at once
    assert name_shown(certificate) == "newer"


def test_a_new_certificate_that_has_expired_is_not_used(tmp_path: Path) -> None:
    here = self_signed(tmp_path, "older")
    certificate = at(here)
    self_signed(tmp_path, "gone", days=-1).write_over(here)
    certificate.reload()
    assert name_shown(certificate) == "older"


def test_a_new_certificate_is_not_used_before_it_is_good(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = time.time()
    here = self_signed(tmp_path, "older")
    certificate = Certificate(Files(here.certificate, here.key), clock=lambda: now)
    self_signed(tmp_path, "of-tomorrow", begins_in_days=1).write_over(here)
    for _ in range(5):
        certificate.look()
    assert name_shown(certificate) == "older"
    (line,) = caplog.records
    assert "not good yet" in vars(line)["why"]
    now += 2 * 86_400
    certificate.look()
    assert name_shown(certificate) == "of-tomorrow"


def test_at_the_start_one_that_is_not_good_yet_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = self_signed(tmp_path, "of-tomorrow", begins_in_days=1)
    certificate = at(here)
    assert [record.message for record in caplog.records] == [
        "the certificate is not good yet, so that clients refuse it"
    ]
    self_signed(tmp_path, "of-tomorrow-too", begins_in_days=1).write_over(here)
    certificate.reload()
    assert name_shown(certificate) == "of-tomorrow-too"


def test_at_the_start_an_expired_one_is_shown_and_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = self_signed(tmp_path, "gone", days=-2)
    certificate = at(here)
    assert [record.message for record in caplog.records] == [
        "the certificate has expired, so that clients refuse it"
    ]
    self_signed(tmp_path, "also-gone", days=-1).write_over(here)
    certificate.reload()
    assert name_shown(certificate) == "also-gone"


async def test_the_files_are_looked_at_again_and_again(tmp_path: Path) -> None:
    here = self_signed(tmp_path, "older")
    certificate = at(here)
    self_signed(tmp_path, "newer").write_over(here)
    watching = asyncio.ensure_future(certificate.watch(look_s=0))
    await until(lambda: name_shown(certificate) == "newer")
    watching.cancel()
