#!/usr/bin/env python3
"""ITCH over SoupBinTCP, the whole way: exchange simulator -> TCP -> feed handler -> books.

usage: test_soupbintcp.py MDFH CASE

Runs in a network namespace of its own (as root, or with a user namespace). CASE:
  agree    the books are the exchange's; two clients at once, one of them a latecomer; beside multicast
  breaks   the same with forced disconnects; a server that comes up later; one that goes away for good
  lines    two servers as lines A and B, both dropping their clients, one of them killed on the way
  login    refused logins: the sentence, the exit status, no second attempt; wrong options
  sessions the next session from its beginning, after the end of one and after one that went away
  silent   a server that falls silent is left after 15 s, and nothing is lost
  slow     a client that reads nothing is disconnected after 15 s, and holds up nobody
  control  what must be noticed: one message lost between server and client
"""
import json
import math
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

MDFH, CASE = sys.argv[1], sys.argv[2]
HOST = "127.0.0.1"


def enter_namespace():
    if os.environ.get("MDFH_TEST_INSIDE"):
        subprocess.run(["ip", "link", "set", "lo", "up", "multicast", "on"], check=True)
        subprocess.run(["ip", "route", "add", "239.0.0.0/8", "dev", "lo"], check=True)
        return
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "-U", "-r", "--net"]
    if subprocess.run(unshare + ["true"], capture_output=True).returncode != 0:
        print("no network namespace can be made here (unshare --net is refused)")
        sys.exit(77)
    os.environ["MDFH_TEST_INSIDE"] = "1"
    os.execvp(unshare[0], unshare + [sys.executable] + sys.argv)


def check(what, ok, detail=""):
    print(f"{'ok' if ok else 'FAILED'}: {what}" + (f"\n{detail}" if not ok else ""), flush=True)
    if not ok:
        sys.exit(1)


class Run:
    """mdfh run, its summary and its books."""

    def __init__(self, folder, name, *options):
        self.books = os.path.join(folder, name + ".tsv")
        self.out = open(os.path.join(folder, name + ".json"), "w+")
        self.err = open(os.path.join(folder, name + ".err"), "w+")
        self.process = subprocess.Popen([MDFH, "run", "--json", "--seconds", "90", "--books-out", self.books, *options],
                                        stdout=self.out, stderr=self.err)

    def wait(self):
        self.status = self.process.wait(timeout=120)
        self.out.seek(0)
        self.err.seek(0)
        self.error = self.err.read()
        text = self.out.read()
        self.summary = json.loads(text) if text else None
        self.lines = self.summary["channels"][0]["lines"] if text else []
        return self

    def has_said(self, text):
        with open(self.err.name) as said:
            return text in said.read()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.wait()


class Sim:
    """mdfh sim serving a day."""

    def __init__(self, folder, port, *options, messages=60000, rate=40000, name="exchange"):
        self.books = os.path.join(folder, name + ".tsv")
        self.process = subprocess.Popen(
            [MDFH, "sim", "--soupbintcp", f"{HOST}:{port}", "--rate", str(rate), "--messages", str(messages),
             "--symbols", "300", "--seed", "11", "--burst", "3", "--json", "--books-out", self.books, *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait(self):
        out, err = self.process.communicate(timeout=120)
        check("the simulator ran", self.process.returncode == 0, err)
        self.summary = json.loads(out)
        self.soup = self.summary["soupbintcp"]
        return self


def wait_for(happened, seconds=60):
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            check("what is waited for happened in time", False)
        time.sleep(0.01)


def wait_for_messages(port):
    """Until a client of this port has received more than the answer to its login."""
    def received():
        sockets = subprocess.run(["ss", "-Htin", f"dport = :{port}"], capture_output=True, text=True, check=True)
        return any(int(n) > 1000 for n in re.findall(r"bytes_received:(\d+)", sockets.stdout))
    wait_for(received)


def attempts_that_failed():
    """TCP connections of this namespace that nobody took."""
    with open("/proc/net/snmp") as file:
        names, numbers = (line.split() for line in file if line.startswith("Tcp:"))
    return int(numbers[names.index("AttemptFails")])


def compare(a, b):
    result = subprocess.run([MDFH, "compare", a, b], capture_output=True, text=True, check=False)
    return result.returncode, result.stdout.strip().splitlines()[-1]


def check_whole(run, sim):
    detail = json.dumps(run.summary, indent=1) + run.error
    check("nothing was lost", run.status == 0 and run.summary["lost"] == 0 and run.summary["gaps"] == 0, detail)
    check("every message arrived once", run.summary["messages"] == sim.summary["messages"], detail)
    status, last = compare(sim.books, run.books)
    check("the books agree", status == 0 and last.endswith(" 0 differences"), last)


def agree(folder):
    run = Run(folder, "first", "--server", f"{HOST}:9001", "--session", "soupbintcp")
    group = "239.1.1.1:26477"
    udp = Run(folder, "udp", "--group", group, "--interface", "lo")
    # Long enough for the newest to come while it lasts, on a busy machine, too.
    sim = Sim(folder, 9001, "--group", group, "--wait-for-listener", "60", "--linger", "5", rate=10000)
    late = Run(folder, "late", "--server", f"{HOST}:9001", "--session-id", "MDFHSIM")
    newest = Run(folder, "newest", "--server", f"{HOST}:9001", "--join-newest")
    for each in (run, late, newest, udp):
        each.wait()
    sim.wait()
    check_whole(run, sim)
    check_whole(late, sim)
    check_whole(udp, sim)
    login = run.lines[0]["login"]
    check("one login, one session, its end", login["accepted"] == 1 and login["session"] == "MDFHSIM"
          and login["reasons"]["ended"] == 1 and login["reasons"]["lost"] == 0, json.dumps(login))
    check("heartbeats went to the server", sim.soup["heartbeats_received"] > 0
          and login["heartbeats_sent"] > 0, json.dumps(sim.soup))
    check("joining at the newest message loses nothing after it", newest.status == 0 and newest.summary["lost"] == 0
          and newest.summary["messages"] > 0, json.dumps(newest.summary["channels"]))
    check("three clients had the end of session", sim.soup["ends_of_session"] == 3 and sim.soup["logins"] == 3,
          json.dumps(sim.soup))
    result = subprocess.run([MDFH, "sim", "--soupbintcp", "0.0.0.0:9001"], capture_output=True, text=True, check=False)
    check("others are not served by accident", result.returncode == 2 and "--transmit" in result.stderr, result.stderr)


def breaks(folder):
    # The server comes up when the handler already looks for it.
    run = Run(folder, "breaks", "--server", f"{HOST}:9002")
    wait_for(lambda: os.path.exists(f"/proc/{run.process.pid}/task/{run.process.pid}")
             and len(os.listdir(f"/proc/{run.process.pid}/task")) > 2)
    sim = Sim(folder, 9002, "--disconnect-every", "3000", "--wait-for-listener", "60").wait()
    run.wait()
    check_whole(run, sim)
    login = run.lines[0]["login"]
    check("every disconnect was noticed and mended", sim.soup["dropped"] >= 19
          and login["connects"] == sim.soup["dropped"] + 1 and login["accepted"] == login["connects"]
          and login["ahead"] == login["behind"] == 0, json.dumps([login, sim.soup]))
    check("messages were cut on the way", login["reasons"]["lost"] == sim.soup["dropped"])

    # One that dies stays a line that is looked for; what is missing is not known.
    run = Run(folder, "gone", "--server", f"{HOST}:9003")
    sim = Sim(folder, 9003, "--wait-for-listener", "60", messages=400000)
    wait_for_messages(9003)
    sim.process.kill()
    sim.process.wait(timeout=30)
    failed = attempts_that_failed()
    wait_for(lambda: attempts_that_failed() >= failed + 3)
    run.stop()
    login = run.lines[0]["login"]
    check("a server that is gone is looked for", login["state"] == "not connected" and login["connect_failures"] > 0
          and login["accepted"] == 1 and run.summary["lost"] == 0, json.dumps(login))


def lines(folder):
    # Long days, so that they are at the same time even if one exchange begins a second before the other.
    a = Sim(folder, 9004, "--disconnect-every", "2500", "--wait-for-listener", "60", "--linger", "4", name="a",
            rate=10000)
    b = Sim(folder, 9005, "--disconnect-every", "3100", "--wait-for-listener", "60", name="b", rate=10000)
    c = Sim(folder, 9006, "--wait-for-listener", "60", name="c", rate=10000)
    servers = [f for port in (9004, 9005, 9006) for f in ("--server", f"{HOST}:{port}")]
    run = Run(folder, "lines", *servers)
    wait_for_messages(9006)
    c.process.kill()
    a.wait()
    b.wait()
    c.process.wait(timeout=60)
    run.wait()
    check_whole(run, a)
    delivered = [line["delivered"] for line in run.lines]
    check("each line brought something first", delivered[0] > 0 and delivered[1] > 0
          and sum(delivered) == a.summary["messages"], str(delivered))
    check("what came twice was dropped", run.summary["duplicates"] > 0)
    check("all the lines were broken", all(line["login"]["disconnects"] > 0 for line in run.lines),
          json.dumps(run.lines))


def login(folder):
    password = os.path.join(folder, "password")
    with open(password, "w") as file:
        file.write("pass4word\nsecret\n")
    sim = Sim(folder, 9007, "--soup-user", "bob", "--soup-password", "secret", "--wait-for-listener", "60")
    refused = Run(folder, "refused", "--server", f"{HOST}:9007", "--username", "bob", "--password-file", password).wait()
    check("a refused login ends it with 2 and the sentence", refused.status == 2
          and "login refused: not authorized (A)" in refused.error and "bob" in refused.error
          and f"{HOST}:9007" in refused.error, refused.error)
    check("no password is shown", "pass4word" not in refused.error + json.dumps(refused.summary))
    check("the line says why", refused.lines[0]["login"]["refused"] == 1
          and refused.lines[0]["login"]["last_reason"] == "login refused: not authorized (A)",
          json.dumps(refused.lines))
    with open(password, "w") as file:
        file.write("SECRET\n")
    began = time.monotonic()
    other = Run(folder, "other", "--server", f"{HOST}:9007", "--username", "BOB", "--password-file", password,
                "--session-id", "YESTERDAY")
    down = Run(folder, "down", "--server", f"{HOST}:9019")
    no_session = f"line A, server {HOST}:9007: login refused: session not available (S); it is tried again"
    no_server = f"line A, server {HOST}:9019: no connection, Connection refused; it is tried again"
    wait_for(lambda: other.has_said(no_session) and down.has_said(no_server))
    two = Run(folder, "two", "--server", f"{HOST}:9007", "--server", f"{HOST}:9008", "--username", "bob",
              "--password-file", password)
    sim.wait()
    # After 1 s, 2 s, 4 s ...
    most = 2 + math.log2(1 + time.monotonic() - began)
    two.wait()
    check_whole(two, sim)
    check("a refusal is said while it runs, once", other.stop().error.count(no_session) == 1, other.error)
    check("so is a server that is not there", down.stop().error.count(no_server) == 1, down.error)
    check("a wrong password was tried once each, a session that is not there seldom",
          sim.soup["reasons"]["not-authorized"] == 1 and sim.soup["reasons"]["no-session"] <= most,
          json.dumps(sim.soup))
    for wrong, said in ((["--username", "longername"], "user name"), (["--password-file", folder + "/none"], "none"),
                        (["--group", "239.1.1.1:1", "--session", "moldudp64"], "server"),
                        (["--inject-loss", "5"], "fault"), (["--join-newest", "--first-sequence", "5"], "join_newest")):
        result = subprocess.run([MDFH, "run", "--server", f"{HOST}:9009", *wrong], capture_output=True, text=True,
                                check=False)
        check(f"refused: {wrong[0]}", result.returncode == 2 and said in result.stderr, result.stderr)
    result = subprocess.run([MDFH, "run", "--server", "localhost"], capture_output=True, text=True, check=False)
    check("a bad server is named", result.returncode == 2 and "server 'localhost'" in result.stderr, result.stderr)


def sessions(folder):
    """Three days on one port: one that ends, one whose server dies, one more."""
    run = Run(folder, "sessions", "--server", f"{HOST}:9016", "--stay")
    first = Sim(folder, 9016, "--wait-for-listener", "60", "--session", "MON", "--linger", "0", messages=20000).wait()
    second = Sim(folder, 9016, "--wait-for-listener", "60", "--session", "TUE", messages=400000)
    wait_for_messages(9016)
    second.process.kill()
    second.process.wait(timeout=30)
    third = Sim(folder, 9016, "--wait-for-listener", "60", "--session", "WED", "--linger", "0", messages=30000,
                name="third").wait()
    run.stop()
    login = run.lines[0]["login"]
    check("no session was missed", login["session"] == "WED" and login["accepted"] == 3
          and login["reasons"]["ended"] == 2, json.dumps(login))
    check("the session that was gone was asked for once, then the current one", login["reasons"]["no-session"] == 1
          and third.soup["reasons"]["no-session"] == 1, json.dumps(login))
    check("all that was sent came, nothing of a day was lost", run.status == 0 and run.summary["lost"] == 0
          and run.summary["messages"] >= first.summary["messages"] + third.summary["messages"],
          json.dumps(run.summary["channels"]))
    check("three days began", run.summary["events_by_kind"].get("session-begin") == 3, str(run.summary["events_by_kind"]))
    status, last = compare(third.books, run.books)
    check("the books are the last day's", status == 0, last)


def packet(kind, payload=b""):
    return struct.pack(">HB", len(payload) + 1, ord(kind)) + payload


def read_packet(stream):
    head = stream.read(2)
    return head + stream.read(struct.unpack(">H", head)[0]) if len(head) == 2 else b""


def silent(folder):
    """A hand-written server: half of a message, then nothing; when it is asked again, the rest."""
    listener = socket.create_server((HOST, 9010))
    listener.settimeout(60)
    messages = [b"S" + bytes(10) + code for code in (b"O", b"S", b"Q", b"M", b"E", b"C")]
    run = Run(folder, "silent", "--server", f"{HOST}:9010")
    first, _ = listener.accept()
    asked = read_packet(first.makefile("rb"))
    check("the login asks for the first message", asked[-20:].strip() == b"1", str(asked))
    first.sendall(packet("A", b"DAY1".rjust(10) + b"%20d" % 1) + b"".join(packet("S", m) for m in messages[:3])
                  + packet("S", messages[3])[:5])
    second, _ = listener.accept()
    asked = read_packet(second.makefile("rb"))
    check("after the silence it asks for what was not whole", asked[19:29].strip() == b"DAY1"
          and asked[-20:].strip() == b"4", str(asked))
    second.sendall(packet("A", b"DAY1".rjust(10) + b"%20d" % 4) + b"".join(packet("S", m) for m in messages[3:])
                   + packet("Z"))
    run.wait()
    second.close()
    line = run.lines[0]["login"]
    check("nothing was lost", run.status == 0 and run.summary["messages"] == 6, json.dumps(run.summary) + run.error)
    check("the silence is what ended the first connection", line["reasons"]["silent"] == 1
          and line["accepted"] == 2, json.dumps(line))
    beats = first.recv(4096)
    check("it sent heartbeats all the while", beats.count(b"\0\1R") >= 13 and not beats.replace(b"\0\1R", b""),
          str(beats))


def slow(folder):
    """A client that logs in, sends heartbeats and reads nothing."""
    sim = Sim(folder, 9015, "--wait-for-listener", "60", messages=600000, rate=300000)
    run = Run(folder, "slow", "--server", f"{HOST}:9015")
    lazy = socket.socket()
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wait_for(lambda: lazy.connect_ex((HOST, 9015)) == 0)
    lazy.sendall(packet("L", b" " * 26 + b"%20d" % 1))
    run.wait()
    ended = time.monotonic()
    while sim.process.poll() is None and time.monotonic() < ended + 60:
        try:
            lazy.sendall(packet("R"))
        except OSError:
            pass
        time.sleep(1)
    sim.wait()
    check_whole(run, sim)
    check("the slow one was disconnected", sim.soup["reasons"]["slow"] == 1 and sim.soup["logins"] == 2
          and sim.soup["ends_of_session"] == 1, json.dumps(sim.soup))


def relay(listener, server_port, lost):
    """Between server and client, in large pieces, so that the server never finds it slow; the lost'th
    sequenced packet is left out."""
    client, _ = listener.accept()
    server = socket.socket()
    wait_for(lambda: server.connect_ex((HOST, server_port)) == 0)

    def up():
        while data := client.recv(65536):
            server.sendall(data)

    def down():
        number = at = 0  # at: where the next packet begins in held
        held = b""
        while number < lost and (data := server.recv(1 << 20)):
            held = held[at:] + data
            at = 0
            while len(held) - at >= 3 and len(held) - at >= 2 + struct.unpack_from(">H", held, at)[0]:
                end = at + 2 + struct.unpack_from(">H", held, at)[0]
                number += held[at + 2] == ord("S")
                if number == lost:
                    client.sendall(held[:at] + held[end:])
                    break
                at = end
            else:
                client.sendall(held[:at])
        while data := server.recv(1 << 20):
            client.sendall(data)
        client.shutdown(socket.SHUT_WR)

    for function in (up, down):
        threading.Thread(target=function, daemon=True).start()


def control(folder):
    for lost in (0, 15000):
        port = 9011 + 2 * bool(lost)
        sim = Sim(folder, port, "--wait-for-listener", "60", messages=20000, rate=20000)
        listener = socket.create_server((HOST, port + 1))
        threading.Thread(target=relay, args=(listener, port, lost), daemon=True).start()
        run = Run(folder, f"control{lost}", "--server", f"{HOST}:{port + 1}").wait()
        sim.wait()
        status, last = compare(sim.books, run.books)
        if not lost:
            check("the control of the control: a relay that loses nothing", status == 0, last)
            check_whole(run, sim)
        else:
            check("one lost message: the books differ", status == 1 and "differ" in last, last)
            check("and it was one", run.summary["messages"] == sim.summary["messages"] - 1)


enter_namespace()
with tempfile.TemporaryDirectory() as temporary:
    {"agree": agree, "breaks": breaks, "lines": lines, "login": login, "silent": silent,
     "slow": slow, "sessions": sessions, "control": control}[CASE](temporary)
