"""The command ``epsball``: the program, with the arguments of this process."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from ._epsball import command

    # The program listens to Ctrl-C itself where a run can be resumed; elsewhere it ends at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(command(sys.argv))
