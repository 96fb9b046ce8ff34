"""Certificates for tests of TLS, made with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support import require


class Certificates:
    """An authority, a server's certificate for 127.0.0.1 and a client's, as files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl = str(require.command("openssl", "install openssl"))
        self._run("req", "-x509", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem")
        self._sign("server", "subjectAltName=IP:127.0.0.1")
        self._sign("client", "extendedKeyUsage=clientAuth")

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def _sign(self, name: str, extension: str) -> None:
        self._run("req", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        (self.folder / "extensions").write_text(extension)
        signer = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions")
        self._run("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signer)

    def _run(self, verb: str, *arguments: str) -> None:
        key = ("-newkey", "rsa:2048", "-nodes") if verb == "req" else ()
        subprocess.run([self._openssl, verb, *key, *arguments], cwd=self.folder, check=True, capture_output=True)
