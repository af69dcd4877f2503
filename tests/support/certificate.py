"""A certificate for 127.0.0.1 that proves nothing to anybody: its key is here for all to read."""

from pathlib import Path

__all__ = ["TOKEN", "ApiFiles", "api_files"]

from dataclasses import dataclass

TOKEN = "a-token-that-only-tests-know"
_CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIUIQy7zqk7GkZzjcz1l73amEN9CPgwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJMTI3LjAuMC4xMCAXDTI2MTEyMjIwNTgyNFoYDzIxMjYxMDI5
MjA1ODI0WjAUMRIwEAYDVQQDDAkxMjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARKeuxj1xv9jPT2RDEXpyobrUUlotthpDD5UE2zFKun9XLaTpDVjjaX
eqJPaSg1Z77qfU9QnnwtOTOAyfiguPNlo2QwYjAdBgNVHQ4EFgQUMKPsixwrVnYc
u3Vr9A3PMj+MIUYwHwYDVR0jBBgwFoAUMKPsixwrVnYcu3Vr9A3PMj+MIUYwDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IBYg4JwiK+2UWifF4Dlfi61xvd7YkVm30dh9jjCl4cbIAiEA2d3Qbint7KC5F1nw
XWLAsnoQ8aPkaHmylyFtXvDkFEU=
-----END CERTIFICATE-----
"""
_KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg3gpJjye6eJwBZ6jt
6TfYznxFvoHtlB+KbN6DG9p7sfWhRANCAARKeuxj1xv9jPT2RDEXpyobrUUlotth
pDD5UE2zFKun9XLaTpDVjjaXeqJPaSg1Z77qfU9QnnwtOTOAyfiguPNl
-----END PRIVATE KEY-----
"""


@dataclass(frozen=True, slots=True)
class ApiFiles:
    """What the interface on the network wants."""

    certificate: Path
    key: Path
    tokens: Path

    @property
    def options(self) -> list[str]:
        """As options of the daemon, without the address."""
        paths = {"certificate": self.certificate, "key": self.key, "token-file": self.tokens}
        return [word for name, path in paths.items() for word in (f"--api-{name}", str(path))]


def api_files(directory: Path) -> ApiFiles:
    """In `directory`, closed to others."""
    files = ApiFiles(directory / "api.crt", directory / "api.key", directory / "api.tokens")
    for path, text in ((files.certificate, _CERTIFICATE), (files.key, _KEY), (files.tokens, f"{TOKEN}\n")):
        path.write_text(text)
        path.chmod(0o600)
    return files
