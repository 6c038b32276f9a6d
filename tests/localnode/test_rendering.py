"""What is written for a node follows from its name and slot alone, and two nodes share nothing."""

import ipaddress
import json
from pathlib import Path

import pytest

from localnode import commands, manifests, mounts, network, pki, render
from localnode.errors import LocalNodeError
from localnode.layout import SLOTS, Layout, layout

PROGRAMS = Path("/programs")


def test_slots_share_no_address() -> None:
    """Every network of every slot is apart from every other."""
    every = [layout("demo", slot=slot) for slot in range(SLOTS)]
    networks = [
        ipaddress.ip_network(text) for each in every for text in (each.link_cidr, each.pod_cidr, each.service_cidr)
    ]
    for index, first in enumerate(networks):
        assert not [second for second in networks[index + 1 :] if first.overlaps(second)], first


def test_two_nodes_share_no_name() -> None:
    """Paths, sockets, cgroups, namespaces and interfaces differ by name or slot."""
    one, other = layout("one", slot=0), layout("other", slot=1)
    for attribute in ("state", "run", "socket", "cgroup", "netns", "link", "context", "node", "kubelet", "pod_logs"):
        assert getattr(one, attribute) != getattr(other, attribute), attribute


def test_what_is_removed_depends_on_the_name_alone() -> None:
    """A node that never started has no slot yet: clearing it with a default one would cut another node's cable."""
    one, same = layout("demo", slot=0), layout("demo", slot=5)
    for attribute in ("state", "run", "socket", "cgroup", "netns", "link", "context"):
        assert getattr(one, attribute) == getattr(same, attribute), attribute
    assert 15 == len(layout("a-name-of-20-letters").link)


@pytest.mark.parametrize("name", ["", "Demo", "a/b", "-a", "a-", "x" * 21, "..", "a b"])
def test_bad_names_are_refused(name: str) -> None:
    """A name becomes a path, a cgroup and a host name."""
    with pytest.raises(LocalNodeError):
        layout(name)


def test_state_folder_can_be_moved() -> None:
    """RINGFENCE_STATE holds everything, for people who may not write to /var/lib."""
    found = layout("demo", environment={"RINGFENCE_STATE": "/elsewhere"})
    assert [Path("/elsewhere/node/demo"), Path("/elsewhere/run/node/demo")] == [found.state, found.run]


def test_control_plane_needs_no_folder_of_root() -> None:
    """Its state lies in the caller's own cache."""
    found = layout("demo", "control-plane", environment={"RINGFENCE_CACHE": "/home/someone/cache"})
    assert Path("/home/someone/cache") in found.state.parents


def test_long_socket_path_is_refused_early() -> None:
    """The kernel would cut it at 108 bytes, and containerd would fail with a riddle."""
    found = layout("demo", environment={"RINGFENCE_STATE": "/" + "deep/" * 20})
    with pytest.raises(LocalNodeError, match="RINGFENCE_STATE"):
        _ = found.socket


def test_kubelet_is_alone_in_its_folders_and_cgroup() -> None:
    """Two kubelets in one cgroup or log folder would end each other's pods as orphans."""
    found = layout("demo")
    config = json.loads(render.kubelet(found))
    assert f"/{found.cgroup}" == config["cgroupRoot"]
    assert str(found.pod_logs) == config["podLogsDir"]
    assert 0 == config["oomScoreAdj"]


def test_containerd_touches_only_its_own_folders() -> None:
    """Root, state, socket, CNI folder and the mounts of pod networks."""
    text = render.containerd(layout("demo"), "ringfence.local/pause:1")
    assert "/var/lib/containerd" not in text
    assert "netns_mounts_under_state_dir = true" in text
    assert "restrict_oom_score_adj = true" in text


def test_resolv_conf_leaves_out_loopback() -> None:
    """A server on the host's loopback does not answer in a pod."""
    assert "nameserver 192.0.2.1\n" == render.resolv_conf("search a\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n")
    assert "" == render.resolv_conf("").strip()


def test_processes_of_a_node_run_in_its_namespace() -> None:
    """And those of a control plane do not: it has none."""
    node, plane = layout("demo"), layout("demo", "control-plane")
    assert ["nsenter", "--net=/run/netns/rf-demo"] == commands.proxy(node, PROGRAMS).command(node)[:2]
    assert "/programs/etcd" == commands.etcd(plane, PROGRAMS).command(plane)[0]


def test_authorization_and_admission_are_the_real_ones() -> None:
    """What the tests prove about rights has to hold on a real cluster."""
    words = commands.apiserver(layout("demo"), PROGRAMS).words
    assert "Node,RBAC" == words[words.index("--authorization-mode") + 1]
    assert "NodeRestriction" == words[words.index("--enable-admission-plugins") + 1]


def test_certificates_name_every_address() -> None:
    """Clients reach the API server by Service and by node address; the kubelet by its own."""
    found = layout("demo", slot=3)
    made = {certificate.name: certificate for certificate in pki.certificates(found)}
    assert f"IP:{found.service_address}" in made["apiserver"].alternative_names
    assert f"IP:{found.address}" in made["apiserver"].alternative_names
    assert "/O=system:nodes/CN=system:node:rf-demo" == made["kubelet"].subject


def _free(layouts: list[Layout], routes: list[dict[str, str]], taken: set[int]) -> int:
    return network.choose_slot("demo", taken, layouts, routes)


def test_slot_avoids_nodes_and_foreign_routes() -> None:
    """A machine may already route 10.244.0.0/16 somewhere; our own stale route is no obstacle."""
    every = [layout("demo", slot=slot) for slot in range(SLOTS)]
    assert 0 == _free(every, [{"dst": "default"}], set())
    assert 1 == _free(every, [], {0})
    assert 1 == _free(every, [{"dst": "10.244.0.0/16", "dev": "flannel.1"}], set())
    assert 0 == _free(every, [{"dst": "10.244.0.0/24", "dev": "rf-demo"}], set())
    with pytest.raises(LocalNodeError, match="down --all"):
        _free(every, [], set(range(SLOTS)))


def test_mounts_go_deepest_first_and_only_ours() -> None:
    """A neighbour whose name begins like ours keeps its mounts."""
    table = "\n".join(
        [
            "tmpfs /state/demo/kubelet tmpfs rw 0 0",
            "tmpfs /state/demo/kubelet/pods/a\\040b tmpfs rw 0 0",
            "tmpfs /state/demo2/kubelet tmpfs rw 0 0",
        ]
    )
    assert ["/state/demo/kubelet/pods/a b", "/state/demo/kubelet"] == mounts.below([Path("/state/demo")], table)


def test_volumes_serve_one_access_mode_each() -> None:
    """The API server refuses ReadWriteOncePod beside another mode, and a claim binds only where all its modes are."""
    found = layout("demo")
    made = [manifests.volume(found, name, mode) for name, mode in manifests.volume_modes().items()]
    assert all(1 == len(each["spec"]["accessModes"]) for each in made)
    assert {"ReadWriteOncePod", "ReadWriteOnce"} == {each["spec"]["accessModes"][0] for each in made}


def test_prometheus_names_series_as_our_queries_do() -> None:
    """Labels namespace, pod, system, track and service; other pod labels are left out."""
    relabel = json.loads(manifests.prometheus_config())["scrape_configs"][0]["relabel_configs"]
    assert {"namespace", "pod"} <= {rule.get("target_label") for rule in relabel}
    assert any("(system|track|service)" in rule.get("regex", "") for rule in relabel)
