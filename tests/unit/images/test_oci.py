"""Image archives: the same files give the same bytes, and what is written is what containerd reads."""

import hashlib
import json
import tarfile
from pathlib import Path

from images.oci import Layer, pack, write


def tree(folder: Path) -> Path:
    (folder / "package" / "inner").mkdir(parents=True)
    (folder / "package" / "__init__.py").write_text("x = 1\n")
    (folder / "package" / "inner" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "package" / "inner" / "run.sh").chmod(0o755)
    return folder


def test_layer_is_the_same_bytes_whoever_packs_it(tmp_path: Path) -> None:
    """Neither the folder's place, nor its dates, nor its owner reach the layer."""
    for name in ("a", "b"):
        pack(tree(tmp_path / name), "opt/app", tmp_path / f"{name}.tar")
    assert Layer.of(tmp_path / "a.tar").digest == Layer.of(tmp_path / "b.tar").digest


def test_archive_names_every_blob_by_its_content(tmp_path: Path) -> None:
    """Index, manifest, configuration and layers are reachable by digest, and each blob hashes to its name."""
    pack(tree(tmp_path / "a"), "opt/app", tmp_path / "a.tar")
    layer = Layer.of(tmp_path / "a.tar")
    archive = tmp_path / "image.tar"
    write(archive, ["ringfence.local/x:1", "ringfence.local/x:dev"], [layer], {"User": "65532"}, "amd64")
    with tarfile.open(archive) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar.getmembers() if m.isfile()}  # type: ignore[union-attr] # isfile
    for name, data in files.items():
        if name.startswith("blobs/"):
            assert hashlib.sha256(data).hexdigest() == name.rpartition("/")[2]
    entries = json.loads(files["index.json"])["manifests"]
    names = [entry["annotations"]["io.containerd.image.name"] for entry in entries]
    assert ["ringfence.local/x:1", "ringfence.local/x:dev"] == names
    assert 1 == len({entry["digest"] for entry in entries})
    [entry, _] = entries
    manifest = json.loads(files[f"blobs/sha256/{entry['digest'][7:]}"])
    assert [layer.digest] == [found["digest"] for found in manifest["layers"]]
    config = json.loads(files[f"blobs/sha256/{manifest['config']['digest'][7:]}"])
    assert {"diff_ids": [layer.digest], "type": "layers"} == config["rootfs"]


def test_layer_places_files_with_modes_and_no_owner(tmp_path: Path) -> None:
    """Parents come first, executables stay executable, everything belongs to root and is dated 1970."""
    pack(tree(tmp_path / "a"), "opt/app", tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        members = {m.name: m for m in tar.getmembers()}
    assert ["opt", "opt/app", "opt/app/package"] == list(members)[:3]
    assert 0o755 == members["opt/app/package/inner/run.sh"].mode
    assert 0o644 == members["opt/app/package/__init__.py"].mode
    assert {(0, 0, 0)} == {(m.uid, m.gid, int(m.mtime)) for m in members.values()}
