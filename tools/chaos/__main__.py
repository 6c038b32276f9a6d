"""``python -m chaos --episodes 2000 [--seed N]``: many seeds, or one of them told in full."""

import argparse
import collections
import sys
import time
import traceback

from chaos.episode import Outcome, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--episodes", type=int, default=2000)
    parser.add_argument("--first", type=int, default=1, help="the first seed of many")
    parser.add_argument("--seed", type=int, help="only this one, with all that the gate logged")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many failing seeds")
    chosen = parser.parse_args()
    if chosen.seed is not None:
        outcome = run(chosen.seed, keep_logs=True)
        for line in outcome.logs:
            print(line)
        print(outcome.digest, f"{outcome.seconds:.1f} s virtual", outcome.deaths, outcome.fates)
        return _told(outcome)
    began, failed = time.monotonic(), 0  # sim-ok: the rate that is printed, nothing that an episode sees
    lives = orders = fills = 0
    anomalies: collections.Counter[str] = collections.Counter()
    restated: collections.Counter[str] = collections.Counter()
    for number in range(chosen.episodes):
        seed = chosen.first + number
        try:
            outcome = run(seed)
        except Exception:  # the harness itself, or the product in a place that nobody catches: the seed matters
            traceback.print_exc()
            print(f"seed {seed} broke; again: make chaos SEED={seed}")
            return 1
        lives, orders, fills = lives + outcome.lives, orders + outcome.orders, fills + outcome.fills
        anomalies.update(outcome.anomalies)
        restated.update(outcome.restated)
        failed += _told(outcome)
        done = number + 1
        if done % 100 == 0 or done == chosen.episodes or failed >= chosen.failures:
            rate = done / (time.monotonic() - began)  # sim-ok: as above
            print(f"{done} episodes, {rate:.1f}/s, {lives} lives, {orders} orders, {fills} fills, {failed} failed")
        if failed >= chosen.failures:
            break
    print("taken back or restated by the venue:", dict(restated))
    print("irregular at the venue, and in order here:", dict(anomalies))
    return 1 if failed else 0


def _told(outcome: Outcome) -> int:
    if not outcome.wrong:
        return 0
    print(f"seed {outcome.seed} failed after {outcome.lives} lives:")
    for sentence in outcome.wrong[:20]:
        print("  ", sentence)
    print(f"  again: make chaos SEED={outcome.seed}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
