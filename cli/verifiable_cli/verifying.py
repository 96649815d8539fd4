# SPDX-License-Identifier: Apache-2.0
"""What ``verify`` reads and prints; the judging is all in ``verifiable.verify``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from verifiable import files
from verifiable.digest import Digest
from verifiable.encoding.record import format_time
from verifiable.errors import Error, MalformedError, TrustError, VerificationError
from verifiable_cli import attested, options, output

if TYPE_CHECKING:
    from verifiable.checklist import Check
    from verifiable.trust import TrustRoot
    from verifiable.verify.verified import Settled, Verified, VerifiedTensor
    from verifiable.verify.verifier import Verifier
    from verifiable.zk.circuit import Circuit, VerifierCircuit
    from verifiable.zk.system import ModelProgram

#: Tensors of more elements are shown by digest unless --values is given.
MAX_SHOWN = 1024
#: A statement of a few hundred bytes, and checkpoints with all the signatures that a note may have.
MAX_EVENT_SIZE = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the options ask: a receipt and a verifier, a policy file if any, and the other arguments of ``Verifier.verify``."""

    verifier: Verifier
    receipt: bytes
    policy: bytes | None
    others: Mapping[str, Any]

    def answer(self, now: datetime) -> Verified:
        """Judge. Raises Error, with ``checks`` once judging has begun."""
        from verifiable.verify.policy import parse_policy

        rules = None if self.policy is None else parse_policy(self.policy)
        return self.verifier.verify(self.receipt, now=now, policy=rules, **self.others)


def question(
    receipt: Path,
    *,
    circuits: tuple[str, ...],
    trust: Path | None,
    policy: Path | None,
    input_file: Path | None,
    output_file: Path | None,
    model: Path | None,
    dims: tuple[str, ...],
    nonce: bytes | None,
    key_events: tuple[Path, ...],
    references: tuple[Path, ...],
    collateral: tuple[Path, ...],
    allow_dev_srs: bool,
    allow_simulated_tee: bool,
) -> Question:
    """Read everything that ``options.judging_options`` names. Raises Error."""
    import verifiable
    from verifiable import receipt as _receipt
    from verifiable.encoding import toml
    from verifiable.tee.evidence import MAX_SIZE as MAX_COLLATERAL_SIZE
    from verifiable.tee.reference import parse_references

    axes, root = options.dims(dims), verifiable.TrustRoot()
    if trust is not None:
        root = verifiable.TrustRoot.parse(files.read(trust, what="trust root", max_size=toml.MAX_SIZE))
    rules = None if policy is None else files.read(policy, what="policy", max_size=toml.MAX_SIZE)
    events = [files.read(path, what="key event", max_size=MAX_EVENT_SIZE) for path in key_events]
    for path in references:
        root = root.referring(parse_references(files.read(path, what="reference values", max_size=toml.MAX_SIZE)))
    pinned, folders = _circuits(circuits)
    data = files.read(receipt, what="receipt", max_size=_receipt.MAX_SIZE)
    given, opened = _circuit_of(data, folders, needed=bool(input_file or output_file or model))
    inputs, outputs = _expected(None if opened is None else opened.circuit, input_file, output_file)
    narrowed = root.pinning(*pinned) if circuits else root
    others = {
        "nonce": nonce, "allow_dev_srs": allow_dev_srs, "allow_simulated_tee": allow_simulated_tee, "circuit": given,
        "inputs": inputs, "outputs": outputs,
        "key_events": events, "program": _derived(model, opened, narrowed, axes),
        "collateral": [files.read(path, what="collateral", max_size=MAX_COLLATERAL_SIZE) for path in collateral],
    }  # fmt: skip
    return Question(verifier=verifiable.Verifier(narrowed), receipt=data, policy=rules, others=others)


def _derived(model: Path | None, circuit: VerifierCircuit | None, root: TrustRoot, dims: dict[str, int]) -> ModelProgram | None:
    """The model as ``circuit`` proves it. Nothing is derived by the plan of a circuit that nobody trusts: it will be refused."""
    from verifiable.compiling import program_of

    if model is None or circuit is None or circuit.circuit.id not in {entry.digest for entry in root.circuits}:
        return None
    return program_of(model, dims=dims, circuit=circuit)


def _circuits(texts: Iterable[str]) -> tuple[list[Digest], dict[Digest, VerifierCircuit]]:
    """``--circuit``: ids to pin, and the folders among them by id."""
    from verifiable.zk.directory import load_verifier

    pinned, folders = [], {}
    for text in texts:
        reference = options.circuit_reference(text)
        if isinstance(reference, Path):
            loaded = load_verifier(reference)
            folders[loaded.circuit.id] = loaded
            reference = loaded.circuit.id
        pinned.append(reference)
    return pinned, folders


def _circuit_of(
    data: bytes, folders: Mapping[Digest, VerifierCircuit], *, needed: bool
) -> tuple[VerifierCircuit | None, VerifierCircuit | None]:
    """The folder given for the receipt's circuit, and that circuit or the embedded one. The verifier judges both for itself."""
    from verifiable.receipt import Receipt

    if not (folders or needed):
        return None, None
    try:
        receipt = Receipt.parse(data)
    except Error:
        if needed:
            raise
        return None, None  # the verifier will say what is wrong, with its checklist
    given = folders.get(receipt.claim.circuit)
    opened = given or (receipt.circuit.open() if needed and receipt.circuit else None)
    if needed and opened is None:
        raise TrustError("the receipt does not carry its circuit", hint="pass its folder: --circuit DIR")
    return given, opened


def _expected(
    circuit: Circuit | None, input_file: Path | None, output_file: Path | None
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The tensors in the files, read as the circuit types them."""
    from verifiable.model.data import read_tensors
    from verifiable.model.onnx_file import TensorInfo
    from verifiable.proving import read_inputs

    if circuit is None or (input_file is None and output_file is None):
        return None, None
    gives = [TensorInfo(name=spec.name, dtype="int64", shape=spec.shape) for spec in circuit.outputs]
    return (
        None if input_file is None else read_inputs(circuit, input_file),
        None if output_file is None else read_tensors(output_file, gives, what="output"),
    )


def render_checks(checks: Iterable[Check]) -> list[str]:
    """The numbered checklist as lines."""
    return output.table((str(c.number), c.name, c.status, c.detail) for c in checks)


def render(verified: Verified) -> list[str]:
    """What was established, below the checklist."""
    lines = [f"model    {verified.model.hex if verified.model else 'not established'}", f"circuit  {verified.circuit.id.hex}"]
    for kind, tensors in (("input", verified.inputs), ("output", verified.outputs)):
        lines += [f"{kind:<7}  {_tensor_line(tensor)}" for tensor in tensors]
    lines += [line for each in verified.attested for line in attested.lines(each)]
    return [*map(output.one_line, lines), *(f"note     {output.one_line(caveat)}" for caveat in verified.caveats)]


def _tensor_line(tensor: VerifiedTensor) -> str:
    head = f"{tensor.name} {output.shape(tensor.dtype, tensor.shape)}"
    values = tensor.values()
    if values is None:
        return f"{head} {tensor.visibility}"
    if values.size > 16:
        name = (
            f"sha256 {tensor.digest.hex}"
            if tensor.digest
            else f"commitment {tensor.commitment.hex() if tensor.commitment else '-'}"
        )
        return f"{head} {name}{' (before rounding)' if tensor.rounded and tensor.digest else ''}"
    label = f" (rounded to steps of {tensor.scale:g})" if tensor.rounded else ""
    return f"{head} = {', '.join(f'{v:g}' for v in values.ravel())}{label}"


def verified_json(verified: Verified, *, values: bool) -> dict[str, Any]:
    """``verify --json`` for a receipt that holds."""
    return {
        "verdict": "verified",
        "checks": checks_json(verified.checks),
        "claim": {
            "model": verified.model.hex if verified.model else None,
            "circuit": verified.circuit.id.hex,
            "inputs": {t.name: _tensor_json(t, values=values) for t in verified.inputs},
            "outputs": {t.name: _tensor_json(t, values=values) for t in verified.outputs},
            "signer": {"fingerprint": verified.signer.fingerprint.hex, "name": verified.signer.name},
        },
        "evidence": list(verified.evidence),
        "floatErrors": dict(verified.float_errors),
        "settled": [settled_json(place) for place in verified.settled],
        "attested": [attested.to_json(each, checks_json) for each in verified.attested],
        "signatureOnly": verified.signature_only,
        "nonce": {
            "claimed": verified.claim.nonce.hex() if verified.claim.nonce else None,
            "compared": verified.nonce is not None,
        },
        "setup": None if verified.setup is None else {"name": verified.setup.name, "insecure": verified.setup.insecure},
        "caveats": list(verified.caveats),
    }


def rejected_json(error: Error) -> dict[str, Any]:
    """``verify --json`` for one that does not, cannot be read, or cannot be judged."""
    return {
        "verdict": verdict(error),
        "checks": checks_json(getattr(error, "checks", ())),
        "error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint},
    }


def verdict(error: Error) -> str:
    """The three ways to say no, as ``verifiable.errors`` names them; the exit code says the same."""
    if isinstance(error, VerificationError):
        return "rejected"
    return "malformed" if isinstance(error, MalformedError) else "undecided"


def settled_json(place: Settled) -> dict[str, Any]:
    """A place in a log."""
    return {
        "log": place.log, "origin": place.origin, "index": place.index, "size": place.size, "cosigners": list(place.cosigners),
        "time": format_time(place.time) if place.time else None,
    }  # fmt: skip


def checks_json(checks: Iterable[Check]) -> list[dict[str, Any]]:
    """The checklist."""
    return [{"number": c.number, "name": c.name, "status": c.status, "detail": c.detail} for c in checks]


def _tensor_json(tensor: VerifiedTensor, *, values: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "dtype": tensor.dtype, "shape": list(tensor.shape), "visibility": tensor.visibility, "scale": tensor.scale,
        "sha256": tensor.digest.hex if tensor.digest else None,
        "commitment": tensor.commitment.hex() if tensor.commitment else None,
    }  # fmt: skip
    real = tensor.values()
    if tensor.integers is not None and real is not None and (values or real.size <= MAX_SHOWN):
        document["integers"] = tensor.integers.array().tolist()
        document["values"] = real.tolist()
        document["rounded"] = tensor.rounded
    return document
