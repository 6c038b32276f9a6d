"""The images of the Dockerfiles, built without Docker: a Debian root filesystem, locked wheels, our wheel.

Owns recipes (`recipe`), layers and their cache (`layers`) and the archive format (`oci`). The same input gives the
same digest. Must not know any cluster: `localnode load` brings an archive into one.
"""

from images.build import Image, build, strategy, variant

__all__ = ["Image", "build", "strategy", "variant"]
