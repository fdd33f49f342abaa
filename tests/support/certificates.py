"""Certificates for the tests, made by openssl."""

import ssl
import subprocess
from pathlib import Path

from testbed.programs import find_program


def make_certificate(folder: Path, name: str) -> Path:
    """A certificate that signs itself, for a host's name, with its key in the same file."""
    both = folder / f"{name}.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
    files = ("-addext", f"subjectAltName=DNS:{name}", "-keyout", both, "-out", folder / "public")
    command = [find_program("openssl"), *words.split(), *map(str, files)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(both.read_text() + (folder / "public").read_text())
    return both


def server_context(certificate: Path) -> ssl.SSLContext:
    """TLS of a server with this certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context
