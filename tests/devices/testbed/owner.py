"""Owns a umockdev testbed and plays its keyboards as the kernel's evdev does. For the system's Python, which has its binding.

Orders come as lines of JSON, and each is answered by one: `tests.devices.testbed.machine`.
"""

import errno
import json
import os
import struct
import sys
import threading
import time

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev  # noqa: E402

EVENT = struct.Struct("@llHHi")
EV_SYN, EV_KEY = 0, 1
SYN_REPORT = 0
GRAB, VERSION, ID, NAME, PHYS, UNIQ, KEYS_DOWN, EFFECTS = 0x90, 0x01, 0x02, 0x06, 0x07, 0x08, 0x18, 0x84
BITS = range(0x20, 0x40)
VANISHED_S, LOOKS = 0.02, 8


class Keyboard:
    """One input device: who has grabbed it, which keys are down, and what all other windows heard."""

    def __init__(self, testbed, node, bus, vendor, product, name, serial):
        self.node = node
        self.identity = struct.pack("HHHH", bus, vendor, product, 1)
        self.texts = {NAME: name, PHYS: "usb-0000:00:14.0-2/input0", UNIQ: serial}
        self.down = set()
        self.heard = []
        self.grabs = 0
        self.grabbed_by = None
        self.lock = threading.Lock()
        self.testbed = testbed
        self.handler = UMockdev.IoctlBase()
        self.handler.connect("handle-ioctl", self.ioctl)
        testbed.attach_ioctl(node, self.handler)

    def ioctl(self, _handler, client):
        request = client.get_request()
        number, size = request & 0xFF, request >> 16 & 0x3FFF
        if number == GRAB:
            (wanted,) = struct.unpack_from("i", bytes(client.get_arg().retrieve()))
            if wanted and self.grabbed:  # by one that just closed it, perhaps: we hear of that a little later
                threading.Thread(target=self.grab_later, args=(client, wanted)).start()
            else:
                client.complete(*self.grab(client, wanted))
            return True
        answer = self.answer(number)
        if answer is None:
            client.complete(-1, errno.EINVAL)
            return True
        answer = answer[:size]
        client.get_arg().resolve(0, size).update(0, answer)
        client.complete(len(answer) if number in (NAME, PHYS, UNIQ) else 0, 0)
        return True

    def answer(self, number):
        if number == VERSION:
            return struct.pack("i", 0x010001)
        if number == ID:
            return self.identity
        if number in self.texts:
            return self.texts[number].encode() + b"\0"
        if number == KEYS_DOWN:
            return sum(1 << code for code in self.down).to_bytes(96, "little")
        if number in BITS:
            bits = {EV_SYN: 1 << EV_SYN | 1 << EV_KEY, EV_KEY: (1 << 127) - 2}.get(number - BITS.start, 0)
            return bits.to_bytes(96, "little")
        return struct.pack("i", 0) if number == EFFECTS else None

    def grab_later(self, client, wanted):
        for _ in range(LOOKS):  # not one long one: on a machine that stands still we hear of nothing either
            time.sleep(VANISHED_S)
            if not self.grabbed:
                break
        client.complete(*self.grab(client, wanted))

    def grab(self, client, wanted):
        with self.lock:
            if wanted and self.grabbed:
                return -1, errno.EBUSY
            self.grabs += bool(wanted)
            self.grabbed_by = client if wanted else None
        return 0, 0

    @property
    def grabbed(self):
        return self.grabbed_by is not None and self.grabbed_by.get_connected()

    def press(self, events):
        far = self.testbed.get_dev_fd(self.node)
        for kind, code, value in events:
            with self.lock:
                if kind == EV_KEY:
                    (self.down.add if value else self.down.discard)(code)
                    if not self.grabbed:
                        self.heard.append(code)
            os.write(far, EVENT.pack(0, 0, kind, code, value) + EVENT.pack(0, 0, EV_SYN, SYN_REPORT, 0))


class Owner:
    """Does what is ordered."""

    def __init__(self):
        self.testbed = UMockdev.Testbed.new()
        self.keyboards = {}
        self.nowhere = os.open("/dev/null", os.O_RDWR)

    def root(self):
        return self.testbed.get_root_dir()

    def plug(self, description):
        self.testbed.add_from_string(description)

    def keyboard(self, **says):
        self.keyboards[says["node"]] = Keyboard(self.testbed, **says)

    def unplug(self, sys_path, node):
        if self.keyboards.pop(node, None):
            self.testbed.detach_ioctl(node)
        far = self.testbed.get_dev_fd(node)
        if far >= 0:
            pty = os.readlink(self.root() + node)  # noqa: PTH115
            os.unlink(f"{self.root()}/dev/.ptymap/{pty.replace('/', '_')}")  # noqa: PTH108  # the next may get the same
            os.dup2(self.nowhere, far)  # who holds the node sees it hang up
        self.testbed.uevent(sys_path, "remove")
        self.testbed.remove_device(sys_path)

    def press(self, node, events):
        self.keyboards[node].press(events)

    def hold(self, node, codes):
        self.keyboards[node].down = set(codes)

    def seen(self, node):
        keyboard = self.keyboards[node]
        return {"grabs": keyboard.grabs, "grabbed": keyboard.grabbed, "heard": keyboard.heard}


def main():
    owner = Owner()
    for line in sys.stdin:
        order = json.loads(line)
        done = getattr(owner, order.pop("do"))(**order)
        print(json.dumps(done), flush=True)


main()
