"""A motion detector: sends the distance when something comes nearer than what is usual, and only then.

Before the distance that triggered goes the one that was measured last before anything came, with its own time: so that who
looks at the readings alone, as the Motion dashboard does, sees that something came.
"""

import binascii
import os
import sys
import time

import machine
import network
import ntptime

import motion
import settings
from broker import Broker
from umqtt.simple import MQTTException

# From 1970 to 2000, where some boards' clocks begin.
EPOCH = 946_684_800 if time.gmtime(0)[0] == 2000 else 0


class Program:
    def __init__(self):
        if not motion.is_name(settings.DEVICE):
            raise ValueError("settings.DEVICE is no name: A-Z a-z 0-9 . _ : -, at most 128")
        for period in settings.ARMED:
            motion.is_armed([period], 0)
        # The longest that a Pico's watchdog can wait.
        self.watchdog = machine.WDT(timeout=8000)
        self.trigger = machine.Pin(settings.TRIGGER_PIN, machine.Pin.OUT, value=0)
        self.echo = machine.Pin(settings.ECHO_PIN, machine.Pin.IN)
        self.detector = motion.Detector(
            settings.LEARN_SAMPLES, settings.MARGIN, settings.DEBOUNCE, settings.COOL_DOWN * 1000,
            settings.ABSORB * 1000, settings.ADAPT * 1000 / settings.SAMPLE_EVERY)
        self.queue = motion.Queue(settings.QUEUE)
        self.start = random_text(8)
        # A clock of milliseconds that does not begin anew, made of one that does after 12 days.
        self.now = 0
        self.ticks = time.ticks_ms()
        # What has to be added to it for milliseconds since 1970; None: nobody knows.
        self.epoch = None
        self.topic = ("sensors/%s/distance" % settings.DEVICE).encode()
        self.broker = None
        # When the broker was told something last.
        self.told = 0
        self.wifi_retry = motion.Retry(random_number)
        self.ntp_retry = motion.Retry(random_number, 600_000)
        self.mqtt_retry = motion.Retry(random_number)
        network.country(settings.WIFI_COUNTRY)
        self.wifi = network.WLAN(network.STA_IF)
        self.wifi.active(True)

    def tick(self):
        ticks = time.ticks_ms()
        self.now += time.ticks_diff(ticks, self.ticks)
        self.ticks = ticks

    def run(self):
        due = 0
        while True:
            self.watchdog.feed()
            self.tick()
            while self.now < due:
                time.sleep_ms(min(due - self.now, 1000))
                self.watchdog.feed()
                self.tick()
            # Measurements that were missed while something else took its time are not made up for.
            due = max(due + settings.SAMPLE_EVERY, self.now)
            distance = self.measure()
            before = self.detector.state
            if self.detector.sample(distance, self.now) and self.is_armed():
                print("trigger", distance)
                self.queue.add(self.detector.undisturbed, self.detector.undisturbed_at)
                self.queue.add(distance, self.now)
            if before != motion.Detector.WATCHING and self.detector.state == motion.Detector.WATCHING:
                print("clear, background", self.detector.background)
            self.tend()

    def measure(self):
        """The distance in centimetres; None without an echo."""
        self.trigger.value(1)
        time.sleep_us(12)
        self.trigger.value(0)
        # An echo from four metres comes back after 23.3 ms.
        echo = machine.time_pulse_us(self.echo, 1, 30_000)
        # There and back at 343 metres a second, which air has at 20 degrees.
        return echo * 0.01715 if 100 < echo < 24_000 else None

    def is_armed(self):
        if self.epoch is None:
            return settings.ARMED_WITHOUT_CLOCK or not settings.ARMED
        seconds = (self.now + self.epoch) // 1000
        return motion.is_armed(
            settings.ARMED, motion.minute_of_day(seconds, settings.UTC_OFFSET, settings.SUMMER_TIME))

    # Connections. Each step takes less than the watchdog's time, but for those with patience.

    def tend(self):
        if not self.wifi.isconnected():
            self.lose("no Wi-Fi")
            if self.wifi_retry.is_due(self.now):
                # 15 seconds more than the delay: joining takes its time, and a second call would begin anew.
                self.wifi_retry.failed(self.now)
                self.wifi_retry.wait += 15_000
                self.wifi.connect(settings.WIFI_NAME, settings.WIFI_PASSWORD)
            return
        self.wifi_retry.succeeded()
        if self.ntp_retry.is_due(self.now):
            self.with_patience(self.set_clock)
        if self.broker is None:
            if self.mqtt_retry.is_due(self.now):
                self.with_patience(self.connect)
            return
        try:
            # That a broker takes the hello does not say that it takes readings.
            if self.broker.tend(self.ticks):
                self.mqtt_retry.succeeded()
            if self.queue.events:
                self.send(self.queue.events[0])
                self.mqtt_retry.succeeded()
            elif settings.ONLINE_EVERY and self.now - self.told >= settings.ONLINE_EVERY * 1000:
                self.broker.greet(self.start)
                self.told = self.now
        # umqtt asserts what a broker's answer looks like, and takes an end in the middle for an index.
        except (OSError, MQTTException, AssertionError, IndexError, TypeError) as error:
            self.lose(error)

    def with_patience(self, step):
        """For what looks up a name: that cannot be bounded, and takes 14 seconds where neither of two name servers answers.

        The board's modules let timers go on while they wait, so one feeds the watchdog meanwhile; not for ever.
        """
        end = time.ticks_add(time.ticks_ms(), 20_000)

        def feed(_timer):
            if time.ticks_diff(end, time.ticks_ms()) > 0:
                self.watchdog.feed()

        timer = machine.Timer(mode=machine.Timer.PERIODIC, period=1000, callback=feed)
        try:
            step()
        finally:
            timer.deinit()
        self.watchdog.feed()

    def set_clock(self):
        began = self.now
        try:
            ntptime.host = settings.NTP_SERVER
            ntptime.timeout = 2
            ntptime.settime()
            self.tick()
            self.epoch = (time.time() + EPOCH) * 1000 - self.now
            self.ntp_retry.succeeded()
            # A Pico's clock is wrong by up to half a second after this.
            self.ntp_retry.since = self.now
            self.ntp_retry.wait = 6 * 3600 * 1000
            print("clock", motion.timestamp(self.now + self.epoch, settings.UTC_OFFSET, settings.SUMMER_TIME))
        # ntptime takes an answer apart whatever its length.
        except (OSError, OverflowError, ValueError) as error:
            self.tick()
            self.ntp_retry.failed(self.now)
            # Nothing is measured meanwhile: a tenth of the time at most.
            self.ntp_retry.wait = max(self.ntp_retry.wait, 9 * (self.now - began))
            print("no clock:", error)

    def connect(self):
        began = self.now
        broker = Broker(settings, self.watchdog.feed)
        try:
            broker.begin(self.start)
        except (OSError, MQTTException, AssertionError, IndexError, TypeError, ValueError) as error:
            self.tick()
            self.mqtt_retry.failed(self.now)
            # Nothing is measured meanwhile: a tenth of the time at most, also where name servers do not answer.
            self.mqtt_retry.wait = max(self.mqtt_retry.wait, 9 * (self.now - began))
            print("no broker:", repr(error))
            return
        self.broker = broker
        self.told = self.now
        print("online")

    def send(self, event):
        ts = None
        if self.epoch is not None:
            ts = motion.timestamp(event.at + self.epoch, settings.UTC_OFFSET, settings.SUMMER_TIME)
        dropped = self.queue.dropped
        told = dropped if dropped != self.queue.reported else None
        self.broker.send(self.topic, motion.payload(settings.DEVICE, self.start, event, ts, told))
        self.queue.settled(event, dropped)
        self.told = self.now

    def lose(self, why):
        if self.broker is None:
            return
        print("offline:", repr(why))
        self.broker.end()
        self.broker = None
        # Noticing it may have taken longer than the pause that is to follow.
        self.tick()
        self.mqtt_retry.failed(self.now)


def random_number():
    return int.from_bytes(os.urandom(4), "big")


def random_text(count):
    return binascii.hexlify(os.urandom(count)).decode()


if __name__ == "__main__":
    try:
        Program().run()
    except Exception as error:
        # Whatever it is, an alarm that stands still is worse than one that begins anew.
        sys.print_exception(error)
        time.sleep(5)
        machine.reset()
