"""Credentials: rotated without a restart, and shown nowhere."""

import pickle
from pathlib import Path

import pytest

from ringfence.venues.binance.credentials import CHECK_NS, CredentialFiles, Credentials, CredentialsError
from ringfence.venues.binance.signing import signer

KEY, SECRET = "KEYVALUE-3f9a", "SECRETVALUE-77d1"


def write(directory: Path, key: str, secret: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "api-key").write_text(key + "\n")
    (directory / "api-secret").write_text(secret + "\n")


def mount(root: Path, version: str, key: str, secret: str) -> None:
    """As the kubelet does it: a new directory, and one symbolic link that moves."""
    write(root / version, key, secret)
    (root / "..new").symlink_to(version)
    (root / "..new").rename(root / "..data")
    for name in ("api-key", "api-secret"):
        if not (root / name).is_symlink():
            (root / name).symlink_to(Path("..data") / name)


def test_rotation_is_seen_without_a_restart(tmp_path: Path) -> None:
    """A moved link is noticed within a second, counted once, and both values are of one pair."""
    mount(tmp_path, "..1", KEY, SECRET)
    files = CredentialFiles(tmp_path)
    first = files.current(0)
    assert (first.key, first.sign("x")) == (KEY, signer(SECRET)("x"))
    mount(tmp_path, "..2", "K2", "S2")
    assert files.current(CHECK_NS - 1) == first
    second = files.current(CHECK_NS)
    assert (second.key, second.sign("x"), files.generation) == ("K2", signer("S2")("x"), 2)


def test_recheck_looks_at_once(tmp_path: Path) -> None:
    """After the venue has refused a key, the files are looked at on the next use."""
    write(tmp_path, KEY, SECRET)
    files = CredentialFiles(tmp_path)
    files.current(0)
    write(tmp_path, "K2-longer", "S2-longer-than-before")
    files.recheck()
    assert files.current(1).key == "K2-longer"


def test_files_that_vanish_later_leave_what_is_held(tmp_path: Path) -> None:
    """A rotation that is in progress must not stop cancels."""
    write(tmp_path, KEY, SECRET)
    files = CredentialFiles(tmp_path)
    files.current(0)
    (tmp_path / "api-secret").unlink()
    assert files.current(CHECK_NS).key == KEY


@pytest.mark.parametrize("secret", [None, "", " \n"])
def test_missing_or_empty_files_are_an_error_without_content(tmp_path: Path, secret: str | None) -> None:
    """The error names the place, never what is there."""
    write(tmp_path, KEY, secret or "")
    if secret is None:
        (tmp_path / "api-secret").unlink()
    with pytest.raises(CredentialsError) as caught:
        CredentialFiles(tmp_path).current(0)
    assert KEY not in str(caught.value)


def test_credentials_show_themselves_nowhere() -> None:
    """Not in a repr, a str, a format, or a pickle; and a venue's echo is hidden."""
    credentials = Credentials(KEY, SECRET)
    shown = f"{credentials!r} {credentials} {[credentials]}"
    assert KEY not in shown
    assert SECRET not in shown
    with pytest.raises(TypeError):
        pickle.dumps(credentials)
    assert credentials.hide(f"bad key {KEY}, secret {SECRET}") == "bad key [hidden], secret [hidden]"
