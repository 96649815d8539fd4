# SPDX-License-Identifier: Apache-2.0
"""The setup ceremonies that this version knows, by the secret that their files hold and by the digests of those files.

All are rounds of the Perpetual Powers of Tau over BN254: each contributor multiplies the secret by one of their own, so a round
is sound if one contributor up to it was honest and forgot theirs. Different rounds have different secrets, hence different
fingerprints. A fingerprint binds G1, s.G1, G2 and s.G2, which *verifiers* compute with, and nothing else of a file.

``perpetual-powers-of-tau`` (response 71): the files ``perpetual-powers-of-tau-raw-{k}`` that han0110/halo2-kzg-srs converted and
documents. The digests for k = 1 to 26 are those that ezkl builds in. The points below are bound to that list by hashing alone:
the k = 1 file is a function of s.G1 and s.G2, and rebuilding it from them gives exactly the listed SHA-256 (a test does).
They come from the k = 3 file kept in sifnoc/plonkish-fibonacci-sample, whose SHA-256 is the listed one, and whose cuts to k = 2
and k = 1 have the listed ones too. That k of 4 and more hold the same secret rests on the converter, and on uses of
larger files: scroll's prover carries this s.G2 (``PARAMS_G2_SECRET_POWER``, for its k = 20 to 26), and public EVM
verifiers generated from them carry it. A listed file that held another secret would be refused by the store, not renamed.

``axiom-perpetual-powers-of-tau`` (challenge 78, by Axiom's documentation): the k = 14 file of SHA-256 8977c9ee..., which passes
the complete :mod:`.check`. Its s.G2 is a constant of Axiom's mainnet verifiers (axiom-crypto/axiom-v1-contracts,
``mainnet_10_7.v1.yul``; axiom-crypto/axiom-v2-contracts, v0.11). The digests for k = 1 to 8 are those of its cuts.

``axiom-perpetual-powers-of-tau-85`` (challenge 85): its s.G2 is a constant of Axiom's later verifiers (axiom-v2-contracts, v0.12
to v0.14); s.G1, which the pairing ties to it, is from the k = 6 file in tlsnotary/tlsn, said there to be cut from the published
k = 15 one; it passes the complete check. Its is the only digest known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from verifiable.digest import Digest
from verifiable.zk.srs import format as raw
from verifiable.zk.srs.curve import GENERATOR, GENERATOR_2, Affine, Twisted

PUBLIC = "perpetual-powers-of-tau"
#: Labels that are not ceremonies: nobody known vouches for the file, and: made here, by one party that could know the secret.
UNKNOWN = "unknown"
DEV_INSECURE = "dev-insecure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """A round of a ceremony: its secret in both groups, and the SHA-256 of its known files by logrows."""

    name: str
    s_g1: Affine
    s_g2: Twisted
    files: Mapping[int, Digest]

    @property
    def fingerprint(self) -> Digest:
        """What :func:`verifiable.zk.srs.format.fingerprint` gives for any of its files."""
        g1, s_g1 = raw.encode_g1(GENERATOR), raw.encode_g1(self.s_g1)
        return raw.fingerprint_of(g1, s_g1, raw.encode_g2(GENERATOR_2), raw.encode_g2(self.s_g2))


def _files(listed: Mapping[int, str]) -> Mapping[int, Digest]:
    return MappingProxyType({logrows: Digest.parse(digits) for logrows, digits in listed.items()})


_PUBLIC_FILES = {
    1: "cafb2aa72c200ddc4e28aacabb8066e829207e2484b8d17059a566232f8a297b",
    2: "8194ec51da5d332d2e17283ade34920644774452c2fadf33742e8c739e275d8e",
    3: "0729e815bce2ac4dfad7819982c6479c3b22c32b71f64dca05e8fdd90e8535ef",
    4: "2c0785da20217fcafd3b12cc363a95eb2529037cc8a9bddf8fb15025cbc8cdc9",
    5: "5b950e3b76e7a9923d69f6d6585ce6b5f9458e5ec57a71c9de5005d32d544692",
    6: "85030b2924111fc60acaf4fb8a7bad89531fbe0271aeab0c21e545f71eee273d",
    7: "e65f95150519fe01c2bedf8f832f5249822ef84c9c017307419e10374ff9eeb1",
    8: "446092fd1d6030e5bb2f2a8368267d5ed0fbdb6a766f6c5e4a4841827ad3106f",
    9: "493d088951882ad81af11e08c791a38a37c0ffff14578cf2c7fb9b7bca654d8b",
    10: "9705d450e5dfd06adb673705f7bc34418ec86339203198beceb2ae7f1ffefedb",
    11: "257fa566ed9bc0767d3e63e92b5e966829fa3347d320a32055dc31ee7d33f8a4",
    12: "28b151069f41abc121baa6d2eaa8f9e4c4d8326ddbefee2bd9c0776b80ac6fad",
    13: "d5d94bb25bdc024f649213593027d861042ee807cafd94b49b54f1663f8f267d",
    14: "c09129f064c08ecb07ea3689a2247dcc177de6837e7d2f5f946e30453abbccef",
    15: "90807800a1c3b248a452e1732c45ee5099f38b737356f5542c0584ec9c3ebb45",
    16: "2a1a494630e71bc026dd5c0eab4c1b9a5dbc656228c1f0d48f5dbd3909b161d3",
    17: "41509f380362a8d14401c5ae92073154922fe23e45459ce6f696f58607655db7",
    18: "d0148475717a2ba269784a178cb0ab617bc77f16c58d4a3cbdfe785b591c7034",
    19: "d1a1655b4366a766d1578beb257849a92bf91cb1358c1a2c37ab180c5d3a204d",
    20: "54ef75911da76d7a6b7ea341998aaf66cb06c679c53e0a88a4fe070dd3add963",
    21: "486e044cf98704e07f41137d2b89698dc03d1fbf34d13b60902fea19a6013b4b",
    22: "1ee9b4396db3e4e2516ac5016626ab6ba967f091d5d23afbdb7df122a0bb9d0c",
    23: "748e48b9b6d06f9c82d26bf551d0af43ee2e801e4be56d7ccb20312e267fd1d6",
    24: "f94fa4afa2f5147680f907d4dd96a8826206c26bd3328cd379feaed614b234de",
    25: "dec49a69893fbcd66cd06296b2d936a6aceb431c130b2e52675fe4274b504f57",
    26: "b198a51d48b88181508d8e4ea9dea39db285e4585663b29b7e4ded0c22a94875",
}
_AXIOM_FILES = {
    1: "2d13ff0ebd535e9b14a4ad89220b143cb97257cbf50e64df8e4680caf533d0f1",
    2: "11d6c4b1e803629881a8ac340cd332de168bce617ab515701f525923b1b0f59c",
    3: "7b570e8166b0fb92532b8553c445704c152a79f74d0c4a381e8d6cf94b47b54b",
    4: "4065e9138755ffb4ec0f7864b2d6529cb214fdf154fc3ce0820e8e3f34464b25",
    5: "b09a3f4a153c3a33c113c0eaaf03e3904857dd97b53eb6adb0a4c6d1ea197fa0",
    6: "dc2ec5dd53c98f1e2087db0fdcc4858e6e2f84ab318f1e092b5a6a47401fb959",
    7: "d41d984c669d2309e36a384c70dac226f2818673e5f94fb6305d9ef846f35bc1",
    8: "0c8466b6924278b6d910a9a94a4c5597c1c8ba363ff9f812ea28cf5a0e88dd6f",
    14: "8977c9ee24a20ea3332f6e3bf46361365f26bc5caa9a8fb70bc668d0ca32f928",
}

CEREMONIES: tuple[Ceremony, ...] = (
    Ceremony(
        name=PUBLIC,
        s_g1=(
            0x269350B5ECD44C007F8FCAE1ABF6D2E4BB3D11E31115DAFBAC15E801F2B91E69,
            0x094818A234BE895AE686071693E4FA85BFBB0D65B2EBE926E2D29AD22F98B08C,
        ),
        s_g2=(
            0x17944351223333F260DDC3B4AF45191B856689EDA9EAB5CBCDDBBE570CE860D2,
            0x186282957DB913ABD99F91DB59FE69922E95040603EF44C0BD7AA3ADEEF8F5AC,
            0x297772D34BC9AA8AE56162486363FFE417B02DC7E8C207FC2CC20203E67A02AD,
            0x298ADC7396BD3865CBF6D6DF91BAE406694E6D2215BAA893BDEADB63052895F4,
        ),
        files=_files(_PUBLIC_FILES),
    ),
    Ceremony(
        name="axiom-perpetual-powers-of-tau",
        s_g1=(
            0x15845D121D43AC34A497ED45FFBCDEE3C0902D22FDD2EFAABDFB62E735C3DE49,
            0x2F588C41764B268ACD4A818BCD085368C20E86D2C763BCF9EA42B67A5FBFE096,
        ),
        s_g2=(
            0x0A3BB881671EE4E9238366E87F6598F0DE356372ED3DC870766EC8AC005211E4,
            0x138D5863615C12D3BD7D3FD007776D281A337F9D7F6DCE23532100BB4BB5839D,
            0x16D9732EC918DC029687B96352B01DFFF595B305E31A7D81C8F9B32FE3BB1AED,
            0x169A76991A49F2FC1E42ED6E95A431D5D118D6F7484C76AE69AA7ED81FA107EE,
        ),
        files=_files(_AXIOM_FILES),
    ),
    Ceremony(
        name="axiom-perpetual-powers-of-tau-85",
        s_g1=(
            0x0BFC87ECBDCDC23EF5481BB179AAADA7F42C22D2DFD52B4655A18C2879C54EEA,
            0x1CBB5FCA42814F560026C7D8854B946E6FA2D25BB2C6430981CA27A974D7D385,
        ),
        s_g2=(
            0x2AE0C8C3A090F7200FF398EE9845BBAE8F8C1445AE7B632212775F60A0E21600,
            0x172AA93C41F16E1E04D62AC976A5D945F4BE0ACAB990C6DC19AC4A7CF68BF77B,
            0x1459FE6CC8A1222FD4290864FF9E47D4B8CF7A403593C7107C39538DDEFD857E,
            0x1754A9FC3B7E4DA9197C283C7401773208190C5555CAF254E644E99C29366704,
        ),
        files=_files({6: "4cc37e8ff070b1c916827424556cfab558f0d8c5c45766d773a7222dbb3d1c24"}),
    ),
)

_BY_FINGERPRINT = {ceremony.fingerprint: ceremony.name for ceremony in CEREMONIES}
_BY_FILE = {digest: ceremony.name for ceremony in CEREMONIES for digest in ceremony.files.values()}
_BY_NAME = {ceremony.name: ceremony for ceremony in CEREMONIES}


def ceremony_of(fingerprint: Digest) -> str | None:
    """The known ceremony whose secret this is. Recompute the fingerprint from the setup's bytes; never take it from a label."""
    return _BY_FINGERPRINT.get(fingerprint)


def ceremony_of_file(digest: Digest) -> str | None:
    """The known ceremony that published exactly this file."""
    return _BY_FILE.get(digest)


def file_digest(ceremony: str, logrows: int) -> Digest | None:
    """The SHA-256 of that ceremony's file of this size, where it is known."""
    known = _BY_NAME.get(ceremony)
    return known.files.get(logrows) if known else None
