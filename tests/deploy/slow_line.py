"""A line to a device on which every piece takes its time: `ProxyCommand python slow_line.py PORT BYTES_PER_S`."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

_PIECE_BYTES = 4096


def main() -> None:
    port, bytes_per_s = map(int, sys.argv[1:])
    with socket.create_connection(("127.0.0.1", port)) as line:
        threading.Thread(target=_receive, args=(line,), daemon=True).start()
        while piece := os.read(0, _PIECE_BYTES):
            line.sendall(piece)
            time.sleep(len(piece) / bytes_per_s)


def _receive(line: socket.socket) -> None:
    while piece := line.recv(_PIECE_BYTES):
        os.write(1, piece)
    os._exit(0)


if __name__ == "__main__":
    main()
