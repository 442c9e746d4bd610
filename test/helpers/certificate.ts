import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A fresh certificate for this machine's loopback, with its key, both in PEM. */
export function makeCertificate(): { cert: string; key: string } {
  const directory = mkdtempSync(join(tmpdir(), "thaw-certificate-"));
  const key = join(directory, "key.pem");
  const cert = join(directory, "cert.pem");
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"];
  const files = ["-keyout", key, "-out", cert];
  execFileSync("openssl", ["req", "-x509", ...curve, "-nodes", "-days", "2", ...files, ...names], {
    stdio: "ignore",
  });
  const pair = { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  rmSync(directory, { recursive: true });
  return pair;
}
