"""The command line: `python -m localnode --help`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from localnode import builder, components, deps, node
from localnode.errors import LocalNodeError
from localnode.layout import DEFAULT_NAME
from localnode.progress import say
from localnode.state import NodeInfo


def parser() -> argparse.ArgumentParser:
    """Every command and its options."""
    main = argparse.ArgumentParser(prog="localnode", description="A real one-node Kubernetes on this machine.")
    commands = main.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, *, named: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        if named:
            made.add_argument("--name", default=DEFAULT_NAME, help="which node (default: %(default)s)")
        return made

    up = command("up", "Start a node, or say that it runs.")
    up.add_argument("--control-plane", action="store_true", help="etcd and API server alone; needs no root")
    up.add_argument("--prometheus", action="store_true", help="also run Prometheus in the cluster")
    up.add_argument("--install", action="store_true", help="apt-get install what is missing")
    up.add_argument("-o", "--output", choices=["table", "json"], default="table")
    down = command("down", "Take a node away.")
    down.add_argument("--all", action="store_true", help="every node of this machine")
    down.add_argument("--purge", action="store_true", help="its images, certificates and logs too")
    status = command("status", "What runs.", named=False)
    status.add_argument("--name", default=None, help="only this node")
    status.add_argument("-o", "--output", choices=["table", "json"], default="table")
    making = command("build", "Compile the programs of a node.", named=False)
    making.add_argument("--only", default="node", help=f"comma-separated: {', '.join(components.GROUPS)}, or programs")
    making.add_argument("--with", dest="also", default="", help="more of the same, such as prometheus")
    loading = command("load", "Import OCI image archives.")
    loading.add_argument("archives", nargs="+", type=Path)
    command("kubeconfig", "Print the path of the administrator's kubeconfig.")
    command("deps", "Install the Debian packages that a node needs.", named=False)
    return main


def show(found: NodeInfo) -> str:
    """A node for a person."""
    alive = [f"{process.name}={process.pid}" for process in found.processes if process.alive]
    dead = [process.name for process in found.processes if not process.alive]
    rows = {
        "name": f"{found.name} ({found.sort})",
        "state": found.state,
        "kubernetes": found.versions["kubernetes"],
        "api": found.api_url,
        "pods": found.pod_cidr,
        "services": found.service_cidr if found.pod_cidr else "",
        "kubeconfig": found.kubeconfig,
        "logs": found.logs,
        "processes": " ".join(alive),
        "ended": " ".join(dead),
    }
    return "\n".join(f"{key:<11} {value}" for key, value in rows.items() if value)


def usage(found: NodeInfo) -> str:
    return f"export KUBECONFIG={found.kubeconfig} PATH={found.kubectl.parent}:$PATH"


def _up(options: argparse.Namespace) -> int:
    found = node.up(
        options.name, control_plane=options.control_plane, prometheus=options.prometheus, install=options.install
    )
    if options.output == "json":
        print(json.dumps(found.as_json(), indent=2))
    else:
        print(f"{show(found)}\n\n{usage(found)}")
    return 0 if found.running else 1


def _down(options: argparse.Namespace) -> int:
    names = node.down_all(purge=options.purge) if options.all else []
    if not options.all and node.down(options.name, purge=options.purge):
        names = [options.name]
    say(f"down: {', '.join(names)}" if names else "nothing was up")
    return 0


def _status(options: argparse.Namespace) -> int:
    found = node.statuses() if options.name is None else [node.status(options.name)]
    if options.output == "json":
        plain = [each.as_json() for each in found]
        print(json.dumps(plain if options.name is None else plain[0], indent=2))
    else:
        print("\n\n".join(show(each) for each in found) or "no nodes")
    return 0 if options.name is None or found[0].running else 1


def _build(options: argparse.Namespace) -> int:
    words = [word.strip() for word in f"{options.only},{options.also}".split(",") if word.strip()]
    print(builder.build(words))
    return 0


def _kubeconfig(options: argparse.Namespace) -> int:
    found = node.status(options.name)
    if found.state == "absent":
        raise LocalNodeError(f"there is no node {options.name}", f"python -m localnode up --name {options.name}")
    print(found.kubeconfig)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 seen but not well, 2 cannot, with the remedy on standard error."""
    options = parser().parse_args(arguments)
    try:
        match options.command:
            case "up":
                return _up(options)
            case "down":
                return _down(options)
            case "status":
                return _status(options)
            case "build":
                return _build(options)
            case "kubeconfig":
                return _kubeconfig(options)
            case "load":
                print("\n".join(node.load(options.name, options.archives)))
            case "deps":
                say(f"installed: {' '.join(deps.install()) or 'nothing was missing'}")
    except LocalNodeError as error:
        say(f"localnode: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
