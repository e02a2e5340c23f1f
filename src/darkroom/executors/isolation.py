"""Gives a job its own /opt/ml: by a mount namespace where the kernel allows one, by environment variables where not.

Runs in the launcher, before the command starts; the mounts belong to the namespace and vanish with its last process.
On the host at most an empty /opt/ml stays behind, the mount point.
"""

import os

from darkroom.executors import kernel

OPT_ML = "/opt/ml"
AUTO, NAMESPACE, FOLDER = "auto", "namespace", "folder"
MODES = (AUTO, NAMESPACE, FOLDER)


class Refused(Exception):
    """The kernel, or the missing mount point, does not allow a mount namespace. The message says what to do."""


def isolate(mode: str, base: str, scratch: str) -> str:
    """Enter the isolation asked for and say which one it became: NAMESPACE or FOLDER. Raises Refused in mode NAMESPACE.

    ``base`` is the folder to see as /opt/ml; ``scratch``, beside it, takes what the job writes into its input.
    """
    if mode == FOLDER:
        return FOLDER
    reason = refusal(base)
    if reason is None:
        _enter(base)
        _protect(os.path.join(base, "input", "data"), os.path.join(OPT_ML, "input", "data"), scratch)
        return NAMESPACE
    if mode == AUTO:
        return FOLDER
    raise Refused(
        f"this machine does not allow a mount namespace on {OPT_ML} ({reason}); "
        f"create an empty folder {OPT_ML}, or set DARKROOM_ISOLATION=folder"
    )


def refusal(base: str) -> str | None:
    """Why there can be no namespace. Tried in a child: out of a half-made one there is no way back."""
    try:
        os.makedirs(OPT_ML, exist_ok=True)
    except OSError as error:
        return str(error)
    child = os.fork()
    if child == 0:
        try:
            _enter(base)
        except OSError as error:
            os._exit(error.errno or 1)
        finally:
            os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return os.strerror(code) if code else None


def _enter(base: str) -> None:
    kernel.enter_own_mounts()
    kernel.bind(base, OPT_ML)


def _protect(data: str, seen_as: str, scratch: str) -> None:
    """Input files are hard links to stored objects: let the job write copies of them, or else nothing at all."""
    upper, work = os.path.join(scratch, "upper"), os.path.join(scratch, "work")
    os.makedirs(upper, exist_ok=True)
    os.makedirs(work, exist_ok=True)
    options = f"lowerdir={_escaped(data)},upperdir={_escaped(upper)},workdir={_escaped(work)}"
    try:
        kernel.mount("overlay", seen_as, "overlay", 0, options)
    except OSError:
        kernel.bind_read_only(seen_as)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")
