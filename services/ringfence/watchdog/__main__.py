"""``python -m ringfence.watchdog``: the watchdog of one account."""

from ringfence.runtime.config import ConfigError, WatchdogConfig, load
from ringfence.runtime.service import give_up, run
from ringfence.watchdog.service import watchdog


def main() -> None:
    try:
        config = load(WatchdogConfig)
    except ConfigError as error:
        give_up(error)
    run(config, watchdog)


if __name__ == "__main__":
    main()
