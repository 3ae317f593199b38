"""The certificates by which the parts of a Kubernetes control plane know each other."""

import shutil
import subprocess
from pathlib import Path

from tests.tools.servers import missing

EXTENSIONS = """\
subjectAltName=IP:127.0.0.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""
SUBJECTS = {
    "apiserver": "/CN=kube-apiserver",
    "front-proxy": "/CN=front-proxy",
    "admin": "/O=system:masters/CN=admin",
}


def make_certificates(directory: Path) -> None:
    """Make an authority (ca.crt), and certificates that it signed of the API server, of its proxy and of an admin."""
    openssl = shutil.which("openssl") or missing("openssl", "make servers")
    (directory / "extensions").write_text(EXTENSIONS)
    new = [openssl, "req", "-newkey", "rsa:2048", "-nodes"]
    _run(directory, [*new, "-x509", "-days", "2", "-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.crt"])
    signing = [openssl, "x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    for name, subject in SUBJECTS.items():
        request = f"{name}.csr"
        _run(directory, [*new, "-subj", subject, "-keyout", f"{name}.key", "-out", request])
        _run(directory, [*signing, "-in", request, "-extfile", "extensions", "-out", f"{name}.crt"])


def _run(directory: Path, command: list[str]) -> None:
    subprocess.run(command, cwd=directory, check=True, capture_output=True)
