"""Files that are whole or absent: written aside, synced, renamed, and verified by their own digest.

A file is what `torch.save` writes, followed by `#sha256:` and the digest of all before it; plain
`torch.load` opens it too. Only tensors and plain data go in, and reading never runs code. A bundle
is a zip with such a file in it, `model.pt`, which is read in memory: nothing is ever unpacked.

The guide is docs/guide/saving.md.
"""

import errno
import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlcourse.utils.config import UserError

FORMAT = 1
MODEL = "model.pt"  # the policy in a run's folder, and the agent in a bundle
PARTS = {"config", "obs", "act", "epoch", "agent", "optimizers", "ranks"}  # of a checkpoint
LIMIT = 2**28  # bytes of a bundle's model: what comes from others must not fill the memory
_MARK = b"#sha256:"


def write(path: Path, content: bytes, keep: bool = False) -> None:
    """Put content at path at once: a reader, or a crash, meets the old file or the new one.

    With `keep` the old one stays too, as NAME.prev.pt. UserError if there is no room.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with room(path):
            with open(aside, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if keep and path.exists():
                _keep(path)
            os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _keep(path: Path) -> None:
    """A second name for the file, which outlives the first; both are there all the time."""
    aside = path.with_name(f".{previous(path).name}.{os.getpid()}.tmp")
    try:
        os.link(path, aside)
    except OSError:  # a file system without hard links
        os.replace(path, previous(path))  # where load_newest finds it meanwhile
    else:
        os.replace(aside, previous(path))
        aside.unlink(missing_ok=True)  # it stays if both were names of one file already


@contextmanager
def room(path: Path) -> Iterator[None]:
    """A disk that is full, or a quota that is used up, is a UserError."""
    try:
        yield
    except OSError as e:
        if e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise UserError(
            f"{path} cannot be written: {e.strerror}. What was saved before is whole: "
            "make room, and repeat the command"
        ) from e


def sync_folder(folder: Path) -> None:
    """Make renames in it survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def pack(data: dict[str, Any]) -> bytes:
    """Tensors and plain data as the content of a file."""
    import torch  # not above: the log and the plots write and read without it

    buffer = io.BytesIO()
    torch.save({"format": FORMAT} | data, buffer)
    content = buffer.getvalue()
    return content + _MARK + hashlib.sha256(content).hexdigest().encode()


def save(path: Path, data: dict[str, Any], keep: bool = True) -> None:
    """Write tensors and plain data; the file before it stays as NAME.prev.pt if `keep`."""
    write(path, pack(data), keep)


def previous(path: Path) -> Path:
    """Where the file before this one stays: NAME.prev.pt."""
    return path.with_suffix(".prev.pt")


def load(path: Path) -> dict[str, Any]:
    """Read a file that `save` wrote, or that of a bundle; UserError if it is damaged or foreign."""
    import torch

    try:
        content = path.read_bytes()
    except OSError as e:
        raise UserError(f"{path} cannot be read: {e.strerror}") from e
    if path.suffix.lower() == ".zip":
        content = _member(path, content)
    body, mark, digest = content.rpartition(_MARK)
    if not mark or hashlib.sha256(body).hexdigest().encode() != digest:
        raise UserError(f"{path} is damaged or foreign: its digest does not fit")
    with blame(path):
        with zipfile.ZipFile(io.BytesIO(body)) as parts:
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts.infolist()):
                raise ValueError("its tensors are compressed")  # and could be of any size
        data = torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
        found = dict(data)["format"]
    if found != FORMAT:
        raise UserError(f"{path} has format {found}, this version reads {FORMAT}")
    return data


@contextmanager
def blame(path: Path) -> Iterator[None]:
    """Whatever fails while a file's content is taken apart is a fault of the file: UserError."""
    try:
        yield
    except UserError as e:
        raise UserError(f"{path}: {e}") from e
    except Exception as e:  # a hostile file can raise anything; --debug shows what it was
        what = " ".join(f"{type(e).__name__}: {e}".split())[:200]
        raise UserError(f"{path} is foreign: it is not what rlcourse writes ({what})") from e


def _member(path: Path, content: bytes) -> bytes:
    """The model in a bundle, unless it is larger than LIMIT, whatever the zip says of its size."""
    with blame(path), zipfile.ZipFile(io.BytesIO(content)) as bundle:
        if MODEL not in bundle.namelist():
            raise UserError(f"this is no bundle: it holds no {MODEL}")
        if bundle.getinfo(MODEL).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("compressed in a way whose result cannot be bounded")
        with bundle.open(MODEL) as file:
            model = file.read(LIMIT + 1)
    if len(model) > LIMIT:
        raise UserError(f"{path} is refused: its {MODEL} has more than {LIMIT >> 20} MB")
    return model


def load_newest(
    path: Path, check: Callable[[dict[str, Any]], None] = lambda data: None
) -> tuple[dict[str, Any] | None, str]:
    """The checkpoint at path, or the one before it if that is damaged, or None; and what to say.

    `check` raises UserError where another file, which the data name, is damaged.
    """
    candidates = [p for p in (path, previous(path)) if p.exists()]
    complaint = reason = ""
    for candidate in candidates:
        try:
            data = load(candidate)
            if not set(data) >= PARTS:
                raise UserError(f"{candidate} is no checkpoint: another file was put in its place")
            check(data)
            return data, complaint
        except UserError as e:
            reason, complaint = str(e), f"{e}; going on from the one before it"
    if candidates:
        raise UserError(
            f"{path} and the one before it are damaged: --overwrite starts anew ({reason})"
        )
    return None, ""
