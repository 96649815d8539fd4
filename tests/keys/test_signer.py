# SPDX-License-Identifier: Apache-2.0
"""Signers by URI: files with their permissions, and everything else through securesystemslib."""

from __future__ import annotations

import os
import stat
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from securesystemslib.signer import SIGNER_FOR_URI_SCHEME, CryptoSigner

from verifiable.errors import Error, FatalStateError, MalformedError, NetworkError, SignatureError, UnsupportedError
from verifiable.keys.signer import Signer, default_signer, generate, load_signer, public_key_pem, verify_signature


def _save(path: Path, key: object, passphrase: bytes | None = None) -> Path:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))  # type: ignore[attr-defined]
    path.chmod(0o600)
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    generate(tmp_path / "node.pem")
    return tmp_path / "node.pem"


def test_a_generated_key_signs_and_loads_again(key_file: Path) -> None:
    signer = load_signer(str(key_file))
    verify_signature(signer.public_key, b"data", signer.sign(b"data"))
    assert load_signer(f"file:{key_file}").public_key == signer.public_key
    assert load_signer(f"file2:{key_file}").fingerprint == signer.fingerprint


def test_signatures_are_always_the_low_ones(key_file: Path) -> None:
    signer = load_signer(str(key_file))
    for i in range(20):
        verify_signature(signer.public_key, b"%d" % i, signer.sign(b"%d" % i))


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        generate(tmp_path / "key.pem")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "key.pem").stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["key.pem"]


def test_an_existing_file_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(b"precious")
    with pytest.raises(FatalStateError, match="already exists"):
        generate(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FatalStateError, match="already exists"):
        generate(tmp_path / "key.pem")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("path", ["absent/folder/key.pem", "nul\0byte"])
def test_an_unwritable_place_is_one_clear_error(tmp_path: Path, path: str) -> None:
    with pytest.raises(FatalStateError):
        generate(tmp_path / path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_key_that_others_can_read_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(FatalStateError, match="others") as caught:
        load_signer(str(key_file))
    assert f"chmod 600 {key_file}" in caught.value.hint


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n", b"x" * 100000]
)
def test_a_file_that_is_no_key(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad").write_bytes(content)
    (tmp_path / "bad").chmod(0o600)
    with pytest.raises(MalformedError):
        load_signer(str(tmp_path / "bad"))


@pytest.mark.parametrize("name", ["absent.pem", ".", "nul\0byte"])
def test_a_path_that_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(MalformedError):
        load_signer(str(tmp_path / name))


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(MalformedError):
        load_signer(str(tmp_path / "pipe"))


@pytest.mark.parametrize("kind", ["p384", "rsa"])
def test_other_kinds_of_key_are_unsupported(tmp_path: Path, kind: str) -> None:
    key = ec.generate_private_key(ec.SECP384R1()) if kind == "p384" else rsa.generate_private_key(65537, 2048)
    with pytest.raises(UnsupportedError, match="P-256"):
        load_signer(str(_save(tmp_path / "key", key)))


def test_passphrases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(_save(tmp_path / "key", ec.generate_private_key(ec.SECP256R1()), b"correct horse"))
    with pytest.raises(UnsupportedError, match="passphrase") as caught:
        load_signer(path)
    assert "VERIFIABLE_KEY_PASSPHRASE" in caught.value.hint
    with pytest.raises(MalformedError, match="passphrase is wrong"):
        load_signer(path, secret=lambda name: "battery staple")
    monkeypatch.setenv("VERIFIABLE_KEY_PASSPHRASE", "correct horse")
    assert load_signer(path).sign(b"data")


def test_errors_and_tracebacks_carry_no_key_material(tmp_path: Path) -> None:
    path = _save(tmp_path / "key", ec.generate_private_key(ec.SECP256R1()))
    text = path.read_text().splitlines()
    path.write_text("\n".join([text[0], text[1] + "!", *text[2:]]))
    path.chmod(0o600)
    with pytest.raises(MalformedError) as caught:
        load_signer(str(path))
    shown = "".join(traceback.format_exception(caught.value))
    assert not any(line[:20] in shown for line in text[1:-1])


def test_repr_shows_only_the_fingerprint(key_file: Path) -> None:
    signer = load_signer(str(key_file))
    assert repr(signer) == f"Signer({signer.fingerprint})"


def test_a_public_key_beside_a_file_must_be_its_own(tmp_path: Path, key_file: Path) -> None:
    other = generate(tmp_path / "other.pem")
    (tmp_path / "pub.pem").write_text(public_key_pem(other.public_key))
    with pytest.raises(MalformedError, match="not the public key"):
        load_signer(str(key_file), public_key=tmp_path / "pub.pem")
    assert load_signer(str(tmp_path / "other.pem"), public_key=tmp_path / "pub.pem")


def test_the_default_key_is_made_once(tmp_path: Path) -> None:
    first, made = default_signer(tmp_path / "data")
    again, made_again = default_signer(tmp_path / "data")
    assert (made, made_again) == (True, False)
    assert first.public_key == again.public_key
    assert stat.S_IMODE((tmp_path / "data" / "keys").stat().st_mode) & 0o077 == 0


def test_a_race_for_the_default_key_has_one_winner(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: default_signer(tmp_path), range(8)))
    assert len({signer.public_key for signer, _ in results}) == 1
    assert sum(made for _, made in results) == 1


def test_a_damaged_default_key_is_not_replaced(tmp_path: Path) -> None:
    default_signer(tmp_path)
    path = tmp_path / "keys" / "default.pem"
    path.write_bytes(b"damaged")
    with pytest.raises(MalformedError):
        default_signer(tmp_path)
    assert path.read_bytes() == b"damaged"


def test_an_unusable_data_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FatalStateError):
        default_signer(tmp_path / "file")


@pytest.mark.parametrize("uri", ["nosuch:key", "gnupg:ABCD", "https://example.org/key"])
def test_unknown_schemes(uri: str) -> None:
    with pytest.raises(UnsupportedError, match="scheme"):
        load_signer(uri)


@pytest.mark.parametrize("uri", ["hsm:2", "gcpkms:projects/p", "awskms:alias/a", "azurekms://v.vault.azure.net/keys/k/1"])
def test_devices_and_services_need_a_public_key_and_their_package(tmp_path: Path, uri: str) -> None:
    with pytest.raises(UnsupportedError, match="public key"):
        load_signer(uri)
    (tmp_path / "pub.pem").write_text(public_key_pem(generate(tmp_path / "k").public_key))
    with pytest.raises(UnsupportedError, match="not installed") as caught:  # none of these packages is in our requirements
        load_signer(uri, public_key=tmp_path / "pub.pem")
    assert "pip install" in caught.value.hint


class _Device(CryptoSigner):
    """A device behind securesystemslib's own seam: asks for a pin, signs with a key it holds, and may fail."""

    key = ec.generate_private_key(ec.SECP256R1())

    @classmethod
    def from_priv_key_uri(cls, priv_key_uri, public_key, secrets_handler=None):  # type: ignore[no-untyped-def]
        if secrets_handler("pin") != "1234":
            raise RuntimeError("CKR_PIN_INCORRECT")
        return cls(cls.key)

    def sign(self, payload):  # type: ignore[no-untyped-def]
        if payload == b"unplugged":
            raise OSError("device removed\nsecond line")
        return super().sign(payload)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "device", _Device)
    monkeypatch.setenv("VERIFIABLE_KEY_PIN", "1234")
    pem = public_key_pem(load_signer(str(_save(tmp_path / "inside", _Device.key))).public_key)
    (tmp_path / "pub.pem").write_text(pem)
    return tmp_path / "pub.pem"


def test_a_device_signs(device: Path) -> None:
    signer = load_signer("device:1", public_key=device)
    verify_signature(signer.public_key, b"data", signer.sign(b"data"))


def test_a_device_with_another_key_than_announced_is_noticed(tmp_path: Path, device: Path) -> None:
    device.write_text(public_key_pem(generate(tmp_path / "other").public_key))
    with pytest.raises(SignatureError):
        load_signer("device:1", public_key=device).sign(b"data")


def test_a_wrong_or_missing_pin_and_a_lost_device(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NetworkError, match=r"device removed$"):
        load_signer("device:1", public_key=device).sign(b"unplugged")
    with pytest.raises(NetworkError, match="PIN_INCORRECT") as caught:
        load_signer("device:1", public_key=device, secret=lambda name: "9999")
    assert "9999" not in str(caught.value)
    monkeypatch.delenv("VERIFIABLE_KEY_PIN")
    with pytest.raises(Error, match="VERIFIABLE_KEY_PIN"):
        load_signer("device:1", public_key=device)


def test_a_signer_needs_a_key_on_p256() -> None:
    with pytest.raises(MalformedError):
        Signer(CryptoSigner.generate_ecdsa(), b"no key")
