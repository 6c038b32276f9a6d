"""What an installation decides: read from the environment once, at start. Pure but for `from_environ`'s argument."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from ringfence.runtime.config import Alerting
from ringfence_operator.rollout.platform import PROOF_S

FIELD_MANAGER: Final = "ringfence-operator"
"""Owner of every field that we apply, as managedFields shows it."""
OWN_NAMESPACE_FALLBACK: Final = "ringfence-system"


class SettingsError(ValueError):
    """An environment that the operator refuses to run with; names the variable and the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """See `from_environ` for the variable of each."""

    platform_image: str
    """Image of every pod of ours; the strategy's is the author's. Where another one runs, it is an upgrade."""
    platform_proof_s: int = PROOF_S
    """How long paper has to work on a new image before execution gets it."""
    namespaces: tuple[str, ...] = ()
    """Namespaces that are served; empty = the whole cluster."""
    operator_namespace: str = OWN_NAMESPACE_FALLBACK
    """Where the operator itself runs: its heartbeat lies there, and gates accept its pushes from there."""
    image_pull_secrets: tuple[str, ...] = ()
    journal_storage_class: str = ""
    """Empty = the cluster's default class."""
    journal_access_mode: str = "ReadWriteOncePod"
    journal_size: str = "1Gi"
    monitoring_namespaces: tuple[str, ...] = ("monitoring",)
    """From where metrics may be scraped."""
    alerting: Alerting = field(default_factory=Alerting)
    """Alertmanagers that the operator and every gate tell, and where people find the runbooks."""
    prometheus_url: str = ""
    """Where the evidence of rollouts is asked for; empty = nowhere, and nothing that needs evidence ever rises."""
    policies_required: bool = True
    """Refuse to reconcile while an admission policy is missing."""
    log_level: str = "info"
    http_port: int = 8080
    """/livez /readyz /metrics of the operator."""
    workers: int = 8
    """Systems reconciled at once."""
    resync_s: float = 600.0
    """Every system is looked at again after this, even where no event asked for it."""


def from_environ(environ: Mapping[str, str]) -> Settings:
    """Settings from ``RINGFENCE_*``; a value that makes no sense is an error and never a default."""
    image = environ.get("RINGFENCE_PLATFORM_IMAGE", "")
    if not image:
        raise SettingsError("RINGFENCE_PLATFORM_IMAGE is not set: which image do the platform's pods run?")
    mode = environ.get("RINGFENCE_JOURNAL_ACCESS_MODE", "ReadWriteOncePod")
    if mode not in {"ReadWriteOncePod", "ReadWriteOnce"}:
        raise SettingsError(f"RINGFENCE_JOURNAL_ACCESS_MODE is {mode!r}; a journal has one writer: ReadWriteOncePod")
    return Settings(
        platform_image=image,
        platform_proof_s=_between(environ, "RINGFENCE_PLATFORM_PROOF_SECONDS", PROOF_S, 5, 3_600),
        namespaces=_words(environ.get("RINGFENCE_NAMESPACES", "")),
        operator_namespace=environ.get("RINGFENCE_OPERATOR_NAMESPACE") or OWN_NAMESPACE_FALLBACK,
        image_pull_secrets=_words(environ.get("RINGFENCE_IMAGE_PULL_SECRETS", "")),
        journal_storage_class=environ.get("RINGFENCE_JOURNAL_STORAGE_CLASS", ""),
        journal_access_mode=mode,
        journal_size=environ.get("RINGFENCE_JOURNAL_SIZE") or "1Gi",
        monitoring_namespaces=_words(environ.get("RINGFENCE_MONITORING_NAMESPACES", "monitoring")),
        alerting=Alerting(
            alertmanagers=tuple(
                _url("RINGFENCE_ALERTMANAGERS", url) for url in _words(environ.get("RINGFENCE_ALERTMANAGERS", ""))
            ),
            runbooks=_url("RINGFENCE_RUNBOOKS", environ.get("RINGFENCE_RUNBOOKS", "")),
        ),
        prometheus_url=_url("RINGFENCE_PROMETHEUS_URL", environ.get("RINGFENCE_PROMETHEUS_URL", "")),
        policies_required=_one_of(environ, "RINGFENCE_POLICIES_REQUIRED", "true", ("true", "false")) == "true",
        log_level=_one_of(environ, "RINGFENCE_LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
        http_port=_between(environ, "RINGFENCE_HTTP_PORT", 8080, 1, 65_535),
        workers=_between(environ, "RINGFENCE_WORKERS", 8, 1, 64),
        resync_s=float(_between(environ, "RINGFENCE_RESYNC_SECONDS", 600, 10, 86_400)),
    )


def _url(name: str, url: str) -> str:
    """An http(s) URL without credentials: it is written into ConfigMaps."""
    if not url:
        return ""
    try:
        found = urlsplit(url)
        whole = found.scheme in {"http", "https"} and bool(found.hostname) and (found.port or 1) > 0
        whole = whole and found.username is None and not found.query
    except ValueError:
        whole = False
    if not whole:
        raise SettingsError(f"{name} has {url!r}; an http or https URL without credentials is needed")
    return url.rstrip("/")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _one_of(environ: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = environ.get(name) or default
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
    return value


def _between(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not least <= int(text) <= most:
        raise SettingsError(f"{name} is {text!r}; a whole number from {least} to {most} is needed")
    return int(text)
