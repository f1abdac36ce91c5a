// Everything that is to be set for one board. A build takes another file with SETTINGS=path.
#ifndef SLUICE_SETTINGS_H
#define SLUICE_SETTINGS_H

// What can be chosen below; not to be changed.
#define SLUICE_MQTT 1
#define SLUICE_HTTP 2
#define SLUICE_W5500 1
#define SLUICE_WIFI 2

// 1 to 40 of A-Z a-z 0-9 . _ : -, first a letter or digit. Two boards must not have the same.
#define SLUICE_DEVICE "arduino-1"

// How readings are sent: SLUICE_MQTT, or SLUICE_HTTP for networks without a broker.
#define SLUICE_TRANSPORT SLUICE_MQTT

// The MQTT broker, or the machine of `sluice ingest`. An address with the W5500; Wi-Fi clients take names too.
#define SLUICE_SERVER "192.168.1.10"
#define SLUICE_PORT 1883

// MQTT. nullptr: none.
#define SLUICE_USER nullptr
#define SLUICE_PASSWORD nullptr
// Seconds. A silent board asks for a sign of life after half of it; 0: never.
#define SLUICE_KEEP_ALIVE 60

// HTTP: a key of `sluice keys create`, or nullptr.
#define SLUICE_KEY nullptr

// SLUICE_W5500, or SLUICE_WIFI with a board that has <WiFi.h>.
#define SLUICE_NETWORK SLUICE_W5500
#define SLUICE_WIFI_NAME "network"
#define SLUICE_WIFI_PASSWORD "password"

// W5500: an address of one's own for each board; the second digit 2, 6, A or E marks it as not a manufacturer's.
#define SLUICE_MAC {0x02, 0x53, 0x4c, 0x00, 0x00, 0x01}
// 1: the address comes from DHCP. 0: it is the next three.
#define SLUICE_DHCP 1
#define SLUICE_ADDRESS {192, 168, 1, 50}
#define SLUICE_MASK {255, 255, 255, 0}
#define SLUICE_GATEWAY {192, 168, 1, 1}
// The shield's chip select; 10 on all of them.
#define SLUICE_SELECT_PIN 10

// HC-SR04.
#define SLUICE_TRIGGER_PIN 2
#define SLUICE_ECHO_PIN 3
#define SLUICE_DISTANCE_EVERY 5000 /* milliseconds */

// The analogue sensor: its name and unit, and what one step of the converter (0 to 1023) is, in thousandths of the unit
// times 1024: a sensor that gives 0 to 5 V as it is has 5000. A value has room for 2,147,483 units.
#define SLUICE_ANALOG_PIN A0
#define SLUICE_ANALOG_SENSOR "light"
#define SLUICE_ANALOG_UNIT "V"
#define SLUICE_ANALOG_SPAN 5000L
#define SLUICE_ANALOG_OFFSET 0L
#define SLUICE_ANALOG_EVERY 30000 /* milliseconds */

// Readings that are kept while nothing can be sent; then the oldest make way, and are counted. 13 bytes each.
#ifdef __AVR_ATmega2560__
#define SLUICE_BUFFER 256
#else
#define SLUICE_BUFFER 32
#endif

#endif
