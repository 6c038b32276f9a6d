"""Which programs are built, from what, and what is said where that cannot be."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from localnode import builder, components
from localnode.__main__ import main
from localnode.errors import LocalNodeError

TOOLS = components.MODULES.parents[1]
PINNED = {
    "kubernetes": ("k8s.io/kubernetes", components.KUBERNETES_VERSION),
    "coredns": ("github.com/coredns/coredns", components.COREDNS_VERSION),
    "helm": ("helm.sh/helm/v4", components.HELM_VERSION),
    "prometheus": ("github.com/prometheus/prometheus", components.PROMETHEUS_MODULE_VERSION),
}


@pytest.mark.parametrize("module", PINNED)
def test_versions_agree_with_what_is_pinned(module: str) -> None:
    """The number that a program shows is the one that go.mod pins."""
    package, version = PINNED[module]
    text = (components.MODULES / module / "go.mod").read_text()
    assert re.search(rf"\s{re.escape(package)} v{re.escape(version)}$", text, re.MULTILINE)


def test_every_module_is_locked() -> None:
    """No build may take what nobody has pinned."""
    for component in components.COMPONENTS.values():
        folder = components.MODULES / component.module
        text = (folder / "go.mod").read_text()
        assert "require" not in text or (folder / "go.sum").is_file(), folder


def test_key_changes_with_a_dependency(tmp_path: Path) -> None:
    """So that a checkout never uses programs of other versions."""
    (tmp_path / "helm").mkdir()
    (tmp_path / "helm" / "go.sum").write_text("one")
    before = components.cache_key(tmp_path)
    (tmp_path / "helm" / "go.sum").write_text("two")
    assert before != components.cache_key(tmp_path)


def test_groups_and_programs_can_be_mixed() -> None:
    """Each is built once, in the order of the table."""
    found = [component.name for component in components.select(["helm", "control-plane", "etcd"])]
    assert ["etcd", "kube-apiserver", "kubectl", "helm"] == found


def test_unknown_program_names_the_known_ones() -> None:
    """A typing error should cost seconds."""
    with pytest.raises(LocalNodeError, match="control-plane"):
        components.select(["kubeadm"])


@pytest.mark.parametrize(
    ("installed", "expected"), [((1, 26, 8), "local"), ((1, 26, 0), "local"), ((1, 24, 1), "auto"), ((1, 21), "auto")]
)
def test_go_fetches_a_newer_self_only_if_it_must(installed: tuple[int, ...], expected: str) -> None:
    """A toolchain of the machine that is new enough is used as it is."""
    assert expected == builder.toolchain(installed, (1, 26, 0))


def test_go_that_cannot_renew_itself_is_refused() -> None:
    """Debian 12's own Go is 1.19."""
    with pytest.raises(LocalNodeError, match=r"Go 1\.19 is too old: 1\.26\.0 is needed"):
        builder.toolchain((1, 19), (1, 26, 0))


def test_callers_environment_does_not_reach_the_build() -> None:
    """A GOFLAGS or GOOS that someone exported would build something else."""
    foreign = {"GOFLAGS": "-mod=mod", "GOOS": "plan9", "GODEBUG": "x=1", "PATH": "/usr/bin", "GOPROXY": "off"}
    environment = builder.build_environment("local", foreign)
    assert "-mod=readonly -buildvcs=false" == environment["GOFLAGS"]
    assert not {"GOOS", "GODEBUG"} & set(environment)
    assert "off" == environment["GOPROXY"]


def test_missing_go_is_said_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, what is missing, and where to get it; never a traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("RINGFENCE_CACHE", str(tmp_path))
    monkeypatch.setattr(builder, "GO_FOLDERS", str(tmp_path))

    assert 2 == main(["build", "--only", "pause"])

    said = capsys.readouterr().err
    assert "no `go` was found" in said
    assert "remedy: install Go" in said


def test_built_programs_are_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With everything there, no Go is needed at all."""
    monkeypatch.setenv("RINGFENCE_CACHE", str(tmp_path))
    program = builder.binary("pause")
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setenv("PATH", str(tmp_path))

    assert program.parent == builder.build(["pause"])


@pytest.mark.apiserver
@pytest.mark.timeout(300)
def test_two_builds_at_once_make_one_whole_program(tmp_path: Path) -> None:
    """The second waits, finds it made, and nobody ever sees half a file."""
    environment = os.environ | {"RINGFENCE_CACHE": str(tmp_path), "PYTHONPATH": str(TOOLS)}
    command = [sys.executable, "-m", "localnode", "build", "--only", "pause"]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=240) for process in both]

    assert [0, 0] == [process.returncode for process in both], said
    assert 1 == sum("building pause: done" in log for _, log in said)
    assert ["pause"] == [path.name for path in next(tmp_path.glob("node/*/bin")).iterdir()]
