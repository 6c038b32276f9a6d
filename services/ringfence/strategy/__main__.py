"""``python -m ringfence.strategy``"""

from ringfence.runtime.config import ConfigError, StrategyConfig, load
from ringfence.runtime.service import give_up, run
from ringfence.strategy.service import strategy

if __name__ == "__main__":
    try:
        config = load(StrategyConfig)
    except ConfigError as error:
        give_up(error)
    run(config, strategy)
