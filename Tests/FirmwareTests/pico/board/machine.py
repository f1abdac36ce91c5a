"""The board's machine module, with an HC-SR04 that shows what the test says."""

import sys
import time

import world


class Pin:
    IN, OUT = 0, 1
    pulse = 0
    pulses = 0

    def __init__(self, number, mode, value=None):
        self.number, self.level = number, value

    def value(self, level):
        if level:
            self.level = time.ticks_us()
        elif time.ticks_diff(time.ticks_us(), self.level) >= 10:
            Pin.pulse += 1


def time_pulse_us(pin, level, timeout):
    assert level == 1 and timeout >= 24_000
    # A measurement needs a pulse of its own.
    if Pin.pulse != 1:
        print("no trigger pulse")
        sys.exit(3)
    Pin.pulse = 0
    Pin.pulses += 1
    if Pin.pulses % 10 == 0:
        print("measured", Pin.pulses)
    distance = world.get("distance")
    if distance is None:
        return -1
    return int(distance / 0.01715 + 0.5)


class WDT:
    def __init__(self, timeout):
        assert timeout <= 8388
        self.timeout = timeout
        self.fed = time.ticks_ms()

    def feed(self):
        now = time.ticks_ms()
        if time.ticks_diff(now, self.fed) > self.timeout:
            print("the watchdog would have bitten")
            sys.exit(4)
        self.fed = now


class Timer:
    PERIODIC = 1
    running = []

    def __init__(self, mode, period, callback):
        assert mode == Timer.PERIODIC
        self.period, self.callback = period, callback
        self.due = time.ticks_add(time.ticks_ms(), period)
        Timer.running.append(self)

    def deinit(self):
        Timer.running.remove(self)


def wait(milliseconds):
    """What the board's modules do while they wait: timers go on."""
    end = time.ticks_add(time.ticks_ms(), milliseconds)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        time.sleep_ms(20)
        for timer in Timer.running:
            if time.ticks_diff(time.ticks_ms(), timer.due) >= 0:
                timer.due = time.ticks_add(timer.due, timer.period)
                timer.callback(timer)


def reset():
    print("reset")
    sys.exit(5)
