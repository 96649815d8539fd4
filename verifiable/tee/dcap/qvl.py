# SPDX-License-Identifier: Apache-2.0
"""The package ``dcap_qvl``, which judges a quote by Intel's statements about the platform: a second opinion on every signature,
and the only one on TCB levels, the quoting enclave's identity and the modes of a trust domain.

Only this module imports it. It is Rust, and what it raises is made one of ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from verifiable.errors import AttestationError
from verifiable.tee.dcap import pem
from verifiable.tee.dcap.collateral import Collateral

_MAX_TEXT = 200
_HINTS = {"No matching TCB level found": "its firmware is older than any that Intel has a word for: have the machine updated"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``status``: Intel's word for the platform, the quoting enclave and the TDX module together; ``advisories`` that apply."""

    status: str
    advisories: tuple[str, ...]


def judge(quote: bytes, collateral: Collateral, *, root: bytes, seconds: int, kind: str) -> Verdict:
    """What it makes of a quote at ``seconds`` since 1970. ``quote``: without padding; ``root``: DER of the only certificate that
    it may trust. Raises AttestationError.
    """
    import dcap_qvl

    try:
        report = dcap_qvl.verify_with_root_ca(
            quote,
            dcap_qvl.QuoteCollateralV3(
                pem.encode_chain(collateral.pck_crl_chain),
                collateral.root_crl,
                collateral.pck_crl,
                pem.encode_chain(collateral.tcb_info.chain),
                collateral.tcb_info.text,
                collateral.tcb_info.signature,
                pem.encode_chain(collateral.qe_identity.chain),
                collateral.qe_identity.text,
                collateral.qe_identity.signature,
            ),
            root,
            seconds,
        )
        return Verdict(status=report.status, advisories=tuple(report.advisory_ids))
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic in Rust reaches Python as a BaseException
        reason = _reason(error)
        raise AttestationError(f"{kind}: {reason}", hint=_HINTS.get(reason, "")) from error


def _reason(error: BaseException) -> str:
    text = " ".join(str(error)[:_MAX_TEXT].split()).replace(" Caused by: ", ": ")
    return "".join(c for c in text if c.isprintable()).removeprefix("Verification failed: ")


__all__ = ["Verdict", "judge"]
