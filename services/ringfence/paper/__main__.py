"""``python -m ringfence.paper``"""

from ringfence.execution.__main__ import main

if __name__ == "__main__":
    main()
