"""``python -m load``: a burst, an hour made short with faults, a breaker, a kill, the books, the journal read."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from load.memory import moments
from load.rig import Rig, Settings
from load.run import Load, Phase


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.add_argument("--rate", type=int, default=1_000, help="orders a second of the burst")
    parser.add_argument("--seconds", type=float, default=10, help="of the burst")
    parser.add_argument("--steady-rate", type=int, default=100, help="orders a second of the shortened hour")
    parser.add_argument("--steady-seconds", type=float, default=360, help="of the shortened hour; 0 = none")
    parser.add_argument("--profile", default="", help="module to profile, such as ringfence.execution")
    parser.add_argument("--directory", type=Path, help="keep logs and journal there")
    return parser.parse_args()


async def _run(given: argparse.Namespace, root: Path) -> int:
    async with Rig(root, Settings(profile=given.profile)).running() as rig:
        load = Load(rig)

        async def disturbed(seconds: float) -> None:
            await asyncio.sleep(seconds / 3)
            await rig.fault("drop_streams")
            await asyncio.sleep(seconds / 3)
            await rig.fault("http_status", status=503, count=3, executed=True)

        _show(await load.phase("burst", given.rate, given.seconds))
        if given.steady_seconds:
            _show(await load.phase("steady", given.steady_rate, given.steady_seconds, disturbed))
        grown = load.memory.grown()
        print("memory: " + ("; ".join(grown) or "no process holds more than it means to remember"))
        print("breaker under load: " + _facts(await load.trip(given.rate)))
        print("kill under load: " + _facts(await load.kill(given.rate)))
        wrong = await load.settle()
        print("recovery: " + _facts(await load.recover()))
        print(f"orders {len(load.journal.submitted)}, fills {len(load.journal.fills)}, differences {len(wrong)}")
        print("".join(f"  {sentence}\n" for sentence in wrong), end="")
        for module in list(rig.processes):
            await rig.stop(module)
    return 1 if wrong or grown else 0


def _show(phase: Phase) -> None:
    print(
        f"{phase.name}: asked {phase.asked}/s, accepted {phase.accepted_per_s:.0f}/s over {phase.seconds:.1f} s; "
        f"{phase.intents} intents, {phase.accepted} accepted, {phase.executed} fills"
    )
    print(f"  refused by the gate {phase.denied}, {phase.denied_unjournaled} more beside the journal; "
          f"rejected by the venue {phase.rejected}, unsent {phase.unsent}, unknown {phase.unknown}")  # fmt: skip
    for what, (half, most) in (
        ("tick to intent, ms", phase.tick_to_intent_ms),
        ("gate check, us", phase.check_us),
        ("gate to acknowledgement, ms", phase.gate_to_ack_ms),
    ):
        print(f"  {what}: p50 {half:.1f}, p99 {most:.1f}")
    for name, busy in phase.cpu_percent.items():
        print(f"  {name:12} {busy:5.1f} % of a core, {phase.cpu_ms[name]:.3f} ms for each order accepted")
    print("  MB after so many orders since each process began:")
    for name, samples in phase.memory.items():
        print(f"  {name:12} " + ", ".join(f"{one.mb:.1f} ({one.orders:,})" for one in moments(samples)))


def _facts(facts: dict[str, float]) -> str:
    return "; ".join(f"{name} {value:,.1f}" for name, value in facts.items())


def main() -> int:
    given = _arguments()
    if given.directory:
        given.directory.mkdir(parents=True, exist_ok=True)
        return asyncio.run(_run(given, given.directory))
    with tempfile.TemporaryDirectory(prefix="ringfence-load-") as root:
        return asyncio.run(_run(given, Path(root)))


if __name__ == "__main__":
    sys.exit(main())
