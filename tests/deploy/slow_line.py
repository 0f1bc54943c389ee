"""A slow connection to a device: `ProxyCommand python slow_line.py PORT BYTES_PER_S`."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time

_CHUNK_BYTES = 4096


def main() -> None:
    port, bytes_per_s = map(int, sys.argv[1:])
    with socket.create_connection(("127.0.0.1", port)) as line:
        threading.Thread(target=_receive, args=(line,), daemon=True).start()
        while chunk := os.read(0, _CHUNK_BYTES):
            line.sendall(chunk)
            time.sleep(len(chunk) / bytes_per_s)


def _receive(line: socket.socket) -> None:
    while chunk := line.recv(_CHUNK_BYTES):
        os.write(1, chunk)
    os._exit(0)


if __name__ == "__main__":
    main()
