"""Builds the firmware, and runs it on an emulated board (board.c)."""

import atexit
import shutil
import threading

from support import ARDUINO, CC, HERE, Process, folder, run

BUILDS = {}
# The core's objects, which do not depend on settings, by board.
CORES = {}
FOLDERS = []
LOCK = threading.RLock()


def own_folder(name):
    FOLDERS.append(folder(name))
    return FOLDERS[-1]


def build(board="uno", **settings):
    """The program for a board with these settings, each without `SLUICE_`; and what the build printed."""
    with LOCK:
        key = (board, *sorted(settings.items()))
        if key not in BUILDS:
            home = own_folder(f"build-{board}")
            if board not in CORES:
                CORES[board] = own_folder(f"core-{board}")
            lines = ['#include "sluice/Settings.h"']
            for name, value in settings.items():
                lines += [f"#undef SLUICE_{name}", f"#define SLUICE_{name} {value}"]
            (home / "settings.h").write_text("\n".join(lines) + "\n")
            printed = run(["make", "-s", "-j2", "-C", ARDUINO, f"BOARD={board}", f"BUILD={home}/out", f"CORE_BUILD={CORES[board]}",
                           f"SETTINGS={home}/settings.h"])
            BUILDS[key] = (home / "out/sluice.elf", printed)
        return BUILDS[key]


def emulator():
    with LOCK:
        if "emulator" not in BUILDS:
            program = own_folder("emulator") / "board"
            run([CC, "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, HERE / "board.c", "-lsimavr", "-lelf"])
            BUILDS["emulator"] = (program, "")
        return BUILDS["emulator"][0]


@atexit.register
def remove_builds():
    for home in FOLDERS:
        shutil.rmtree(home)


class Board(Process):
    """An emulated board."""

    def __init__(self, program, port=None, mcu="atmega328p", distance=1000, analog=2500, cable="in", **options):
        words = [emulator(), mcu, program, "--distance", distance, "--analog", analog, "--cable", cable]
        if port:
            words += ["--forward", f"1883:{port}"]
        for name, value in options.items():
            words += [f"--{name}", value]
        super().__init__(words)

    def command(self, line):
        before = len(self.lines)
        self.say(line)
        return self.expect(f"done {line}", before)

    def time(self):
        """Milliseconds of the board, which are longer than others where the machine is busy."""
        before = len(self.lines)
        self.say("time")
        return int(self.lines[self.expect("time ", before) - 1].split()[1])

    def quit(self):
        """Ends it as a loss of power does, and gives how many bytes of its memory were never used."""
        self.say("quit")
        self.process.wait(timeout=30)
        self.reader.join()
        return int(next(line for line in self.lines if line.startswith("untouched")).split()[1])
