"""umqtt.simple with a bound on every wait, a last will, and a way to notice that nobody is there any more."""

import sys
import time

from umqtt.simple import MQTTClient

# Seconds: the watchdog waits for eight.
PATIENCE = 5


class Bounded:
    """A socket for umqtt that gives up instead of waiting for ever, and checks what it wrote.

    umqtt calls setblocking(True) before each packet, which would undo a timeout that was set once.
    """

    def __init__(self, plain, stream):
        self.plain = plain
        self.stream = stream
        self.is_blocking = True
        self.heard = time.ticks_ms()
        self.setblocking(True)

    def setblocking(self, is_blocking):
        self.is_blocking = is_blocking
        self.plain.settimeout(PATIENCE if is_blocking else 0)

    def read(self, count):
        data = self.stream.read(count)
        if data:
            self.heard = time.ticks_ms()
        elif data is None and self.is_blocking:
            # TLS says it so; a plain socket raises by itself.
            raise OSError("no answer")
        return data

    def write(self, data, count=None):
        if count is None:
            count = len(data)
        if self.stream.write(data, count) != count:
            raise OSError("not sent")

    def close(self):
        self.stream.close()


class Broker(MQTTClient):
    def __init__(self, settings, feed):
        self._feed = feed
        self._plain = None
        self._stream = None
        context = None
        if settings.MQTT_TLS:
            import tls

            context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
            context.verify_mode = tls.CERT_NONE
            if settings.MQTT_CA:
                with open(settings.MQTT_CA, "rb") as file:
                    context.load_verify_locations(file.read())
                context.verify_mode = tls.CERT_REQUIRED
            # Versions of umqtt before 1.4 ask a module of this name, later ones the context that they are given.
            sys.modules["ussl"] = context
        # In bytes: of a text umqtt sends how many characters it has.
        user = settings.MQTT_USER.encode()
        super().__init__(
            settings.DEVICE, settings.MQTT_SERVER, settings.MQTT_PORT, user or None,
            settings.MQTT_PASSWORD.encode() if user else None, settings.MQTT_KEEP_ALIVE, ssl=context,
            ssl_params={"server_hostname": settings.MQTT_SERVER})
        self._online = ("sensors/%s/online" % settings.DEVICE).encode()
        self._asked = None
        self._sent = 0

    # umqtt keeps its socket here, and asks for it before each step that may wait: so each new one is bounded, and the
    # watchdog sees that things go on.
    @property
    def sock(self):
        self._feed()
        return self._stream

    @sock.setter
    def sock(self, stream):
        if stream is not None and self._stream is None:
            self._plain = stream
            stream.settimeout(PATIENCE)
        self._stream = stream

    def begin(self, start):
        """Connects, and says that the device is there. Raises OSError or MQTTException."""
        self._stream = None
        # With an id: what the broker sends again is then stored once.
        self.set_last_will(self._online, ('{"value":false,"id":"%s-lost-%d"}' % (start, time.ticks_ms())).encode(), True, 1)
        try:
            try:
                self.connect(True, PATIENCE)
            except TypeError:
                # Versions before 1.4 have no timeout there.
                self.connect()
            self._stream = Bounded(self._plain, self._stream)
            self._asked = None
            self._sent = time.ticks_ms()
            self.greet(start)
        except BaseException:
            self.end()
            raise

    def greet(self, start):
        """Says that the device is there."""
        self.send(self._online, '{"value":true,"id":"%s-online-%d"}' % (start, time.ticks_ms()), True)

    def send(self, topic, words, retain=False):
        """Publishes, and waits for the broker's acknowledgement."""
        # umqtt counts on from 65535, and 0 is no packet identifier (MQTT 3.1.1, 2.3.1).
        self.pid %= 65535
        self.publish(topic, words.encode(), retain, 1)
        self._sent = time.ticks_ms()

    def tend(self, now):
        """To be called often: answers, and signs of life; says whether one just came. Raises OSError when nobody is there."""
        self.check_msg()
        # Of one who has just been heard.
        self._stream.setblocking(True)
        if self._asked is not None:
            if time.ticks_diff(self._stream.heard, self._asked) >= 0:
                self._asked = None
                return True
            if time.ticks_diff(now, self._asked) > PATIENCE * 1000:
                raise OSError("no answer")
        elif self.keepalive and time.ticks_diff(now, self._sent) >= self.keepalive * 500:
            self.ping()
            self._sent = self._asked = now
        return False

    def end(self):
        stream, self._stream = self._stream, None
        for each in (stream, self._plain):
            try:
                if each is not None:
                    each.close()
            except OSError:
                pass
        self._plain = None
