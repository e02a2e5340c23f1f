"""The few calls into Linux that Python 3.11 does not offer: mount namespaces, bind mounts, signals to orphans.

Knows nothing of tasks. Every function raises OSError, with the call's name in its text, where the kernel refuses.
"""

import ctypes
import os

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 0x1, 0x20, 0x1000, 0x4000, 0x80000
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 1, 24, 36
CAP_DAC_OVERRIDE = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
_libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]
_libc.unshare.argtypes = [ctypes.c_int]


def _check(name: str, result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when the thread that forked it ends. Kept across exec."""
    _check("prctl", _libc.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _check("prctl", _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def obey_file_modes() -> None:
    """From the next exec on, root may not write what file modes forbid."""
    _check("prctl", _libc.prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0))


def enter_own_mounts() -> None:
    """A mount namespace of our own: nobody else sees what is mounted later. A plain user needs a user namespace."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        _check("unshare", _libc.unshare(CLONE_NEWNS))
    else:
        _check("unshare", _libc.unshare(CLONE_NEWNS | CLONE_NEWUSER))
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    mount("none", "/", flags=MS_REC | MS_SLAVE)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    result = _libc.mount(source.encode(), target.encode(), kind.encode() or None, flags, options.encode() or None)
    _check(f"mount on {target}", result)


def bind(source: str, target: str) -> None:
    mount(source, target, flags=MS_BIND | MS_REC)


def bind_read_only(folder: str) -> None:
    """Make a folder read-only for this namespace."""
    bind(folder, folder)
    mount("none", folder, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)
