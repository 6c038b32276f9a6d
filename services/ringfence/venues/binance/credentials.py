"""API credentials from mounted files: a key, and what signs, which is a shared secret or an Ed25519 private key (PEM).

Read again when the files change, so that rotation needs no restart.
"""

from pathlib import Path
from typing import Final

from ringfence.venues.binance.signing import signer

KEY_FILE: Final = "api-key"
SECRET_FILE: Final = "api-secret"  # noqa: S105 - a file's name
CHECK_NS: Final = 1_000_000_000
"""How often the files are looked at; also at once after the venue has refused a key."""
_TRIES: Final = 3
HIDDEN: Final = "[hidden]"


class CredentialsError(Exception):
    """The files are missing, empty or unreadable. Never carries what is in them."""


class Credentials:
    """A key pair that shows itself nowhere: not in a repr, a str, a pickle or a comparison's failure text."""

    __slots__ = ("_key", "_secret", "sign")

    def __init__(self, key: str, secret: str) -> None:
        """Raises ValueError for a private key that cannot be used."""
        self._key = key
        self._secret = secret
        self.sign = signer(secret)

    @property
    def key(self) -> str:
        return self._key

    def hide(self, text: str) -> str:
        """The text without the key and the secret, should a venue's answer ever repeat them."""
        return text.replace(self._key, HIDDEN).replace(self._secret, HIDDEN)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials) and (self._key, self._secret) == (other._key, other._secret)

    def __hash__(self) -> int:
        return hash((self._key, self._secret))

    def __repr__(self) -> str:
        return f"Credentials({HIDDEN})"

    def __reduce__(self) -> str:
        raise TypeError("credentials are not written anywhere")


_Stamp = tuple[tuple[int, int, int], tuple[int, int, int]]


class CredentialFiles:
    """The pair of files ``api-key`` and ``api-secret`` in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._current: Credentials | None = None
        self._stamp: _Stamp | None = None
        self._checked_ns: int | None = None
        self.generation = 0
        """Counts the changes: who holds a session opened with older credentials opens a new one."""

    def current(self, now_ns: int) -> Credentials:
        """Raises CredentialsError. ``now_ns`` is the monotonic clock."""
        due = self._checked_ns is None or now_ns - self._checked_ns >= CHECK_NS
        if self._current is None or due:
            self._refresh()
            self._checked_ns = now_ns
        if self._current is None:
            raise CredentialsError(f"no credentials in {self._directory}")
        return self._current

    def hide(self, text: str) -> str:
        """The text without the credentials that are held now."""
        return self._current.hide(text) if self._current else text

    def recheck(self) -> None:
        """Look at the files on the next use: the venue has refused what we hold."""
        self._checked_ns = None

    def _refresh(self) -> None:
        failure = ""
        for _ in range(_TRIES):
            base = self._base()
            try:
                stamp = _stamp(base)
                if stamp == self._stamp:
                    return
                key, secret = _read(base / KEY_FILE), _read(base / SECRET_FILE)
                if _stamp(base) != stamp or self._base() != base:
                    continue  # swapped while we read: a key of one pair and a secret of another are of no use
            except OSError as error:
                failure = f"{error.strerror}: {Path(str(error.filename)).name}"
                continue
            except UnicodeDecodeError:
                failure = "not text"
                continue
            if not key or not secret:
                failure = "a file is empty"
                continue
            try:
                self._adopt(Credentials(key, secret), stamp)
            except ValueError as error:
                failure = str(error)
                continue
            return
        if self._current is None:
            raise CredentialsError(
                f"credentials in {self._directory} cannot be read: {failure or 'they keep changing'}"
            )
        # what we hold stays good until the venue says otherwise; a rotation in progress must not stop cancels

    def _adopt(self, credentials: Credentials, stamp: _Stamp) -> None:
        if credentials != self._current:
            self.generation += 1
        self._current = credentials
        self._stamp = stamp

    def _base(self) -> Path:
        """A mounted Secret swaps both files at once by the symbolic link ``..data``: read behind one value of it."""
        link = self._directory / "..data"
        return link.resolve() if link.exists() else self._directory


def _stamp(base: Path) -> _Stamp:
    found = [(base / name).stat() for name in (KEY_FILE, SECRET_FILE)]
    first, second = ((s.st_ino, s.st_mtime_ns, s.st_size) for s in found)
    return first, second


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
