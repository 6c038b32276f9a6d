"""The node's persistent volumes: made at `up`, emptied and offered again once their claim is gone."""

import contextlib
import shutil
from functools import partial

from localnode import manifests, supervise
from localnode.api import Api
from localnode.layout import Layout


def ensure(layout: Layout, api: Api) -> None:
    """Every volume exists, and those that a deleted claim has left are fresh again."""
    api.apply(manifests.storage_class())
    for name, mode in manifests.volume_modes().items():
        wanted = manifests.volume(layout, name, mode)
        path = f"/api/v1/persistentvolumes/{name}"
        found = api.get(path)
        phase = ((found or {}).get("status") or {}).get("phase")
        if found is not None and phase in {"Released", "Failed"}:
            # the controller never offers such a volume again; ours is only a folder, so it can be made anew
            api.delete(path)
            supervise.wait_for(layout, f"volume {name} to go", partial(_is_gone, api, path), 15)
            shutil.rmtree(layout.volumes / name, ignore_errors=True)
            found = None
        _folder(layout, name)
        if found is None:
            api.apply(wanted)


def _is_gone(api: Api, path: str) -> bool:
    return api.get(path) is None


def _folder(layout: Layout, name: str) -> None:
    folder = layout.volumes / name
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):
        folder.chmod(0o777)  # hostPath volumes take no fsGroup, and pods write as user 65532
