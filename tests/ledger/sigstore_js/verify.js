// SPDX-License-Identifier: Apache-2.0
// Judges a bundle with Sigstore's own verifier. Arguments: bundle, trusted_root.json, the signer's public key (PEM).
// Prints "verified", or the error's code and message with exit status 1.
const fs = require("node:fs");
const { bundleFromJSON } = require("@sigstore/bundle");
const { TrustedRoot } = require("@sigstore/protobuf-specs");
const { toSignedEntity, toTrustMaterial, Verifier } = require("@sigstore/verify");

const [bundlePath, rootPath, keyPath] = process.argv.slice(2);
const read = (path) => JSON.parse(fs.readFileSync(path, "utf8"));
try {
  const key = { rawBytes: fs.readFileSync(keyPath, "utf8") };
  const material = toTrustMaterial(TrustedRoot.fromJSON(read(rootPath)), () => ({
    publicKey: require("node:crypto").createPublicKey(key.rawBytes),
    validFor: () => true,
  }));
  // A log of our own: no certificate authority, no timestamp authority, one log entry.
  const verifier = new Verifier(material, { ctlogThreshold: 0, timestampThreshold: 0, tlogThreshold: 1 });
  verifier.verify(toSignedEntity(bundleFromJSON(read(bundlePath))));
  console.log("verified");
} catch (error) {
  console.log(`${error.code ?? error.name}: ${error.message}`);
  process.exit(1);
}
