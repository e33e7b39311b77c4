#!/usr/bin/env python3
"""xdp_launcher.py - start a program as a user without privilege, with an AF_XDP socket as its descriptor 3.

    xdp_launcher.py USER COMMAND [ARGUMENT]...      as root

With backend_options `pinned=/sys/fs/bpf/mdfh,socket_fd=3` the program receives by backend xdp, once root has
attached the XDP program and given its maps to the user: docs/backend-xdp.md."""
import os
import pwd
import socket
import sys

AF_XDP = 44

if len(sys.argv) < 3:
    sys.exit('usage: xdp_launcher.py USER COMMAND [ARGUMENT]...')
user = pwd.getpwnam(sys.argv[1])
made = socket.socket(AF_XDP, socket.SOCK_RAW)
os.dup2(made.fileno(), 3)
os.set_inheritable(3, True)  # it may have been 3 already
os.setgroups([])
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
os.execvp(sys.argv[2], sys.argv[2:])
