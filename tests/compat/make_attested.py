# SPDX-License-Identifier: Apache-2.0
"""Make the attested fixtures of the present version: ``python -m tests.compat.make_attested tests/compat/vX.Y/attested``.

Fake vendors mint the hardware's evidence; they, the log and the node are thrown away with their keys, so that nobody can make
these files again. The story is in the README that is written beside the files.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

import verifiable
from tests.compat.make_settled import MODEL, ORIGIN, Ledger, cosigners
from tests.fakes.pki.amd import FakeAmd
from tests.fakes.pki.authority import Authority
from tests.fakes.pki.nvidia import DRIVER, VBIOS, FakeNvidia
from verifiable import catalogue, settling
from verifiable.digest import Digest
from verifiable.keys.public import public_key_pem
from verifiable.keys.signer import Signer, generate
from verifiable.ledger.client import LogClient
from verifiable.ledger.directory import LogDirectory
from verifiable.ledger.note import NoteKey
from verifiable.ledger.tree import TileReader
from verifiable.receipt import Receipt
from verifiable.tee.attesters import Attested, Attester
from verifiable.tee.attesters.software import Software, measure
from verifiable.tee.attesting import Attached, attest
from verifiable.tee.reference import Reference
from verifiable.tee.roots import Roots
from verifiable.verify.verifier import Verifier

NONCE = b"asked by us"
MEASUREMENT = b"compat guest".ljust(48, b".")
TRUST = '''\
[[circuits]]
name = "{model}"
id = "{circuit}"

[[keys]]
name = "node one"
public-key = """
{node}"""

[[vendors]]
name = "fake AMD"
kinds = ["snp"]
certificate = """
{amd}"""

[[vendors]]
name = "fake NVIDIA, devices"
kinds = ["nvidia"]
certificate = """
{device}"""

[[vendors]]
name = "fake NVIDIA, golden values"
kinds = ["nvidia-rim"]
certificate = """
{rim}"""

{references}
'''
LOG = '''
[[logs]]
name = "the compat log"
vkey = "{vkey}"
policy = """
witness plain {plain}
witness verifying {verifying}
group both all plain verifying
quorum both
"""
'''
README = """\
# Attested receipts of version {version}

Made on {day} by `python -m tests.compat.make_attested`; the keys of everybody were thrown away, the fake vendors' too. `tests/test_compat_attested.py`
judges the files by `trust.toml` alone, years after every certificate in them has expired.

| entry | file | what it is |
|---|---|---|
| 0 | `attested.json` | a receipt for {model}, proved by sumcheck, and attested by an SEV-SNP guest and the GPU beside it, both bound to this receipt; their collateral is in it |
| 1 | `software.json` | another one, without a proof; simulated evidence, bound to the key that signed it |

Both are settled by a checkpoint that two cosigners have signed, a plain one (Ed25519) and a verifying one (ML-DSA-44). The evidence was verified within minutes of
it, which is all the age that `trust.toml` allows.
"""  # noqa: E501 - a table


@dataclass(frozen=True)
class Minting:
    """A fake vendor's hardware, as the attester that a node would ask."""

    kind: str
    make: Callable[[bytes], tuple[bytes, tuple[bytes, ...]]]

    def attest(self, report_data: bytes) -> Attested:
        evidence, collateral = self.make(report_data)
        return Attested(evidence=evidence, collateral=collateral)


def make(target: Path) -> None:
    """Write the fixtures into the new folder ``target``."""
    now = partial(datetime.now, UTC)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        directory = LogDirectory.at(folder / "log")
        keys = directory.initialise(ORIGIN)
        ledger = Ledger(stack.enter_context(directory.open()), TileReader(directory.published))
        node = generate(folder / "node.pem")
        amd, nvidia, software = FakeAmd(), FakeNvidia(), Software()
        compiled = verifiable.compile(catalogue.find(MODEL).model, calibration=catalogue.find(MODEL).calibration)
        compiled.save(folder / "circuit")
        trust = TRUST.format(
            model=MODEL, circuit=compiled.circuit.id, node=public_key_pem(node.public_key), amd=_pem(amd.ark),
            device=_pem(nvidia.device_root), rim=_pem(nvidia.rim_root),
            references="\n".join(each.to_toml() for each in _references(software)),
        )  # fmt: skip
        trusted = Verifier(verifiable.TrustRoot.parse(trust.encode()))
        both = cosigners(
            folder, ledger, keys, lambda receipt: trusted.verify(receipt.encode(), now=now(), allow_simulated_tee=True)
        )
        both = tuple(stack.enter_context(closing(each)) for each in both)
        guest = Minting("snp", lambda data: _guest(amd, data, now()))
        gpu = Minting("nvidia", lambda data: nvidia.mint(report_data=data)[:2])
        for name, receipt in (
            ("attested", _attested(folder, node, (guest, gpu), amd.roots + nvidia.roots)),
            ("software", _software(folder, node, software)),
        ):
            ledger.append(name, receipt, node.public_key)
        ledger.cosign(both)
        log = LOG.format(vkey=keys[0].encode(), plain=both[0].keys[0].encode(), verifying=both[1].keys[1].encode())
        (folder / "out").mkdir()
        readme = README.format(version=verifiable.__version__, day=now().date(), model=MODEL)
        for file, text in (("trust.toml", trust + log), ("README.md", readme)):
            (folder / "out" / file).write_text(text)
        for file, data in _settled(directory, ledger, keys):
            (folder / "out" / file).write_bytes(data)
        shutil.copytree(folder / "out", target)


def _attested(folder: Path, node: Signer, hardware: Iterable[Attester], roots: Roots) -> Receipt:
    """Proved, and each of ``hardware`` asked for this very claim."""

    def ask(key: Digest, nonce: bytes, claim: Digest) -> list[Attached]:
        return [_ask(each, key=key, nonce=nonce, claim=claim, roots=roots) for each in hardware]

    return verifiable.prove(folder / "circuit", catalogue.find(MODEL).sample, signer=node, nonce=NONCE, attest=ask).receipt


def _software(folder: Path, node: Signer, software: Software) -> Receipt:
    """Not proved; the key attested beforehand."""
    attached = _ask(software, key=node.fingerprint, nonce=b"", claim=None, roots=Roots())
    return verifiable.prove(
        folder / "circuit", catalogue.find(MODEL).sample, signer=node, nonce=NONCE, evidence="none", attestations=[attached]
    ).receipt  # fmt: skip


def _ask(hardware: Attester, *, key: Digest, nonce: bytes, claim: Digest | None, roots: Roots) -> Attached:
    return attest(hardware, key=key, nonce=nonce, claim=claim, roots=roots, clock=lambda: datetime.now(UTC))


def _guest(amd: FakeAmd, report_data: bytes, at: datetime) -> tuple[bytes, tuple[bytes, ...]]:
    report, collateral, _ = amd.mint(report_data=report_data, measurement=MEASUREMENT)
    return report, (*collateral, amd.ark.crl(at=at))


def _references(software: Software) -> tuple[Reference, ...]:
    hour = timedelta(hours=1)
    snp = {"measurement": (MEASUREMENT.hex(),), "vmpl": ("0",)}
    tcb = {"bootloader": 4, "tee": 1, "snp": 24, "microcode": 219}
    gpu = {"driver": (DRIVER,), "vbios": (VBIOS,), "mode": ("spt",)}
    return (
        Reference(name="the guest", kind="snp", measurements=snp, max_age=hour, binding="receipt", minimum_tcb=tcb),
        Reference(name="its GPU", kind="nvidia", measurements=gpu, max_age=hour, binding="receipt"),
        Reference(name="simulated", kind="software", measurements={"measurement": (measure(software.root).hex(),)}, max_age=hour),
    )


def _pem(authority: Authority) -> str:
    return authority.certificate.public_bytes(Encoding.PEM).decode()


def _settled(directory: LogDirectory, ledger: Ledger, keys: tuple[NoteKey, ...]) -> Iterable[tuple[str, bytes]]:
    client = LogClient(directory.published, keys)
    for index, (name, statement) in enumerate(ledger.statements.items()):
        place = settling.place_of(statement, client, keys[0], index)
        yield f"{name}.json", settling.settled(statement, place).encode()


if __name__ == "__main__":
    make(Path(sys.argv[1]))
