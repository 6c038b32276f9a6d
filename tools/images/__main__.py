"""`python -m images`: build both images, print their references and archives."""

import sys

from images.build import build
from images.layers import BuildError


def main() -> int:
    try:
        found = build()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    for image in found.values():
        print(f"{image.reference}\t{image.archive}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
