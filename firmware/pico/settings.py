"""Everything that is to be set for one board."""

# 1 to 128 of A-Z a-z 0-9 . _ : -, first a letter or digit. Two boards must not have the same.
DEVICE = "pico-1"

WIFI_NAME = "network"
WIFI_PASSWORD = "password"
# Two letters: which channels and powers are allowed.
WIFI_COUNTRY = "DE"

MQTT_SERVER = "192.168.1.10"
# 0: 1883, or 8883 with TLS.
MQTT_PORT = 0
# "": none.
MQTT_USER = ""
MQTT_PASSWORD = ""
# Seconds. A silent board asks for a sign of life after half of it; 0: never.
MQTT_KEEP_ALIVE = 60
MQTT_TLS = False
# The certificate of whoever vouches for the broker's, as a file in DER on the board. "": any certificate is taken, and
# then a password is safe from listeners only.
MQTT_CA = ""

NTP_SERVER = "pool.ntp.org"
# Minutes east of Greenwich in winter, and whether the clock follows the European Union's summer time.
UTC_OFFSET = 60
SUMMER_TIME = True

# HC-SR04. Its echo has 5 V and the Pico's pins bear 3.3 V: a voltage divider is needed (README.md).
TRIGGER_PIN = 3
ECHO_PIN = 2

# Milliseconds from one measurement to the next; the sensor needs 60.
SAMPLE_EVERY = 100
# Measurements from which the background is learned at the start.
LEARN_SAMPLES = 30
# Seconds in which it follows what changes slowly.
ADAPT = 60
# Something is there when it is this much nearer than the background, in centimetres.
MARGIN = 30.0
# So often in a row, lest a single wrong echo counts.
DEBOUNCE = 3
# After a trigger, seconds until the next; and what triggered has to be gone in between.
COOL_DOWN = 10
# What has stayed for so many seconds is furniture, and becomes background.
ABSORB = 600

# When triggers are sent, by the clock on the wall; over midnight too. Empty: always. [("22:00", "06:00")]
ARMED = []
# Whether they are sent as long as no time server has answered.
ARMED_WITHOUT_CLOCK = True

# Seconds without a trigger after which the board says again that it is there, for Grafana takes a device for silent after 15
# minutes. 0: never.
ONLINE_EVERY = 600

# Readings, two for each trigger, that are kept while nothing can be sent; then the oldest make way, and are counted.
QUEUE = 64
