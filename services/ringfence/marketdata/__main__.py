"""``python -m ringfence.marketdata``"""

from ringfence.marketdata.service import marketdata
from ringfence.runtime.config import ConfigError, MarketdataConfig, load
from ringfence.runtime.service import give_up, run

if __name__ == "__main__":
    try:
        config = load(MarketdataConfig)
    except ConfigError as error:
        give_up(error)
    run(config, marketdata)
