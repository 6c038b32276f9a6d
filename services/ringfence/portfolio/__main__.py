"""``python -m ringfence.portfolio``"""

from ringfence.portfolio.service import portfolio
from ringfence.runtime.config import ConfigError, PortfolioConfig, load
from ringfence.runtime.service import give_up, run

if __name__ == "__main__":
    try:
        config = load(PortfolioConfig)
    except ConfigError as error:
        give_up(error)
    run(config, portfolio)
