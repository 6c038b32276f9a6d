"""``python -m ringfence.execution``: a gate; paper or live by its configuration."""

from ringfence.execution.service import execution
from ringfence.runtime.config import ConfigError, GateConfig, load
from ringfence.runtime.service import give_up, run


def main() -> None:
    try:
        config = load(GateConfig)
    except ConfigError as error:
        give_up(error)
    run(config, execution)


if __name__ == "__main__":
    main()
