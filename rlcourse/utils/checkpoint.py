"""Files that are whole or absent: written aside, synced, renamed, and verified by their own digest.

A file is what `torch.save` writes, followed by `#sha256:` and the digest of all before it; plain
`torch.load` opens it too. Only tensors and plain data go in, and reading never runs code.
"""

import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import Any

from rlcourse.utils.config import UserError

FORMAT = 1
_MARK = b"#sha256:"


def write(path: Path, content: bytes) -> None:
    """Put content at path at once: a reader, or a crash, meets the old file or the new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in it survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save(path: Path, data: dict[str, Any], keep: bool = True) -> None:
    """Write tensors and plain data; the file before it stays as NAME.prev.pt if `keep`."""
    import torch  # not above: the log and the plots write and read without it

    buffer = io.BytesIO()
    torch.save({"format": FORMAT} | data, buffer)
    content = buffer.getvalue()
    content += _MARK + hashlib.sha256(content).hexdigest().encode()
    if keep and path.exists():
        os.replace(path, previous(path))  # where load_newest finds it meanwhile
    write(path, content)


def previous(path: Path) -> Path:
    return path.with_suffix(".prev.pt")


def load(path: Path) -> dict[str, Any]:
    """Read a file that `save` wrote; UserError if it is damaged or foreign."""
    import torch

    try:
        content = path.read_bytes()
    except OSError as e:
        raise UserError(f"{path} cannot be read: {e.strerror}") from e
    body, mark, digest = content.rpartition(_MARK)
    if not mark or hashlib.sha256(body).hexdigest().encode() != digest:
        raise UserError(f"{path} is damaged or foreign: its digest does not fit")
    try:
        data = torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
        found = data["format"]
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, EOFError) as e:
        raise UserError(f"{path} is foreign: it holds no tensors and plain data of rlcourse") from e
    if found != FORMAT:
        raise UserError(f"{path} has format {found}, this version reads {FORMAT}")
    return data


def load_newest(path: Path) -> tuple[dict[str, Any] | None, str]:
    """The file at path, or the one before it if that is damaged, or None; and what to say."""
    candidates = [p for p in (path, previous(path)) if p.exists()]
    complaint = ""
    for candidate in candidates:
        try:
            return load(candidate), complaint
        except UserError as e:
            complaint = f"{e}; going on from the one before it"
    if candidates:
        raise UserError(f"{path} and the one before it are damaged: --overwrite starts anew")
    return None, ""
