# SPDX-License-Identifier: Apache-2.0
"""What a careful reader should still know when everything has passed: what no check has established."""

from __future__ import annotations

from verifiable.encoding.record import format_time
from verifiable.errors import MalformedError
from verifiable.model.fidelity import Fidelity
from verifiable.verify.verified import Verified
from verifiable.zk.circuit import VerifierCircuit


def caveats(verified: Verified, circuit: VerifierCircuit) -> tuple[str, ...]:
    """One line each; those of the proof system itself are not among them."""
    found = []
    if verified.signature_only:
        found.append("signed, not proved: the values rest on the word of whoever holds the key, and on nothing else")
    found += _hardware(verified)
    if verified.setup is not None and verified.setup.insecure:
        found.append("the setup is not trustworthy: whoever made it can forge proofs")
    if verified.signer.name is None:
        found.append("who signed is not established")
    if verified.model is None:
        found.append("which model ran is not established")
    elif "rerun" not in verified.evidence:
        found.append("that the circuit computes the model rests on whoever pinned it; `verifiable audit` derives it again")
    else:
        found += _nearness(verified, circuit)
    for tensor in (*verified.inputs, *verified.outputs):
        if tensor.rounded:
            found.append(
                f"{tensor.name!r} is bound to steps of {tensor.scale:g}: whatever rounds to the same integers verifies alike"
            )
        elif tensor.visibility == "hashed" and tensor.stated is None:
            found.append(f"{tensor.name!r} is known by its commitment alone")
        elif tensor.visibility == "private":
            found.append(f"{tensor.name!r} is private and bound to no value")
    if verified.nonce is None:
        found.append("when it ran is the node's word")
    return tuple(found)


def _hardware(verified: Verified) -> list[str]:
    """What stands behind TEE evidence, and what does not."""
    told = []
    counting = [each for each in verified.attested if each.counts]
    if any(each.simulated for each in counting):
        told.append("its TEE evidence is simulated: whoever holds the machine can make it say anything")
    told += [
        f"the {each.kind} evidence is of debug mode: whoever holds the machine can make it say anything"
        for each in counting
        if each.insecure and not each.simulated
    ]
    if counting and not {"zk", "rerun"} & set(verified.evidence):
        told.append("attested, not proved: the values rest on the hardware, its vendor, and the code that was measured")
    for each in verified.attested:
        if not each.counts:
            told.append(f"the {each.kind} evidence counts for nothing: {each.problem}")
            continue
        answered = each.scope == "receipt" and verified.nonce is not None  # then it was made after the caller asked
        if each.evidence is not None and each.evidence.issued_on is None and not answered:
            told.append(f"how old the {each.kind} evidence is, is its maker's word: this hardware states no time")
        if each.later is not None:
            then = format_time(each.at)
            told.append(f"the {each.kind} evidence was good at {then}, and would not be accepted now: {each.later}")
    return told


def _nearness(verified: Verified, circuit: VerifierCircuit) -> list[str]:
    """What a re-run leaves open: the program is the model's, by scales and ranges that its maker chose."""
    try:
        report = Fidelity.parse(circuit.parts.get("fidelity", b""))
    except MalformedError:
        report = None  # a circuit may have none; then nothing was promised
    promised = {output.name: output.max_abs_error for output in report.outputs} if report else {}
    told = []
    for name, error in verified.float_errors.items():
        line = f"{name!r} is within {error:.3g} of the float model's, for these inputs"
        if error > promised.get(name, error):
            line = f"{name!r} is {error:.3g} off the float model's, {promised[name]:.3g} is all that the circuit's report admits"
        told.append(f"{line}; `verifiable audit --calibration` measures others")
    return told or [
        "how near the circuit is to the float model is its maker's word; `verifiable audit --calibration` measures it"
    ]
