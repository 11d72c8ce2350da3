"""Checks that all machines of a run leave out the same broken images: the id of a dataset does not tell which."""

from typing import TYPE_CHECKING

from workers import files
from workers.data.arrays import Arrays
from workers.data.form import Form

if TYPE_CHECKING:
    from workers.data.large import LargeDataset


def check_left_out_images(url: str, found: "Arrays | LargeDataset") -> None:
    """Record below `url` which broken images `found` leaves out, or compare them with the record of the first machine.

    ValueError if they differ: the same trial would be trained on different images.
    """
    if isinstance(found, Arrays) or not Form.of(found.dataset_id).skip_broken:
        return
    place = f"{url}/left_out-{found.dataset_id}.txt"
    mine = found.skipped or "0"
    if files.create(place, f"{mine}\n".encode()):
        return
    first = (files.read(place) or b"").decode("utf-8", "replace").strip()
    if first != mine:
        raise ValueError(
            f"{found.dataset_id} leaves out {_count(mine)} on this machine (list {mine}), but {_count(first)} "
            f"where the run began (list {first}): one id for different images. "
            f"photographs/{found.dataset_id}.broken.txt in the cache of each machine names them: copy those files "
            f"again and call `archsweep prepare`. If no trial of the run is done yet, {place} may be removed instead"
        )


def _count(skipped: str) -> str:
    count = skipped.partition("-")[0]
    return f"{count} image{'' if count == '1' else 's'}"
