// Readings to an MQTT broker at QoS 1 until it has acknowledged all: with the topics and payloads of `sluice bridge`.
#include <mosquitto.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS = 4, UNACKNOWLEDGED = 500, DEVICES = 1000 };

static sem_t room;

static void failed(const char *what, int code) {
  fprintf(stderr, "%s: %s\n", what, mosquitto_strerror(code));
  exit(1);
}

static void published(struct mosquitto *client, void *unused, int identifier) {
  (void)client, (void)unused, (void)identifier;
  sem_post(&room);
}

static void disconnected(struct mosquitto *client, void *unused, int code) {
  (void)client, (void)unused;
  if (code) failed("connection lost", code);
}

int main(int count, char **words) {
  if (count != 4) return fprintf(stderr, "usage: mqtt_publish PORT MESSAGES TIME\n"), 2;
  struct mosquitto *clients[CONNECTIONS];
  mosquitto_lib_init();
  sem_init(&room, 0, CONNECTIONS * UNACKNOWLEDGED);
  for (int i = 0, code; i < CONNECTIONS; i++) {
    if (!(clients[i] = mosquitto_new(NULL, true, NULL))) return fprintf(stderr, "out of memory\n"), 1;
    mosquitto_publish_callback_set(clients[i], published);
    mosquitto_disconnect_callback_set(clients[i], disconnected);
    if ((code = mosquitto_connect(clients[i], "127.0.0.1", atoi(words[1]), 60))) failed("connect", code);
    if ((code = mosquitto_loop_start(clients[i]))) failed("loop", code);
  }
  const long messages = atol(words[2]);
  for (long number = 0; number < messages; number++) {
    char topic[64], payload[128];
    snprintf(topic, sizeof topic, "sensors/greenhouse-%05ld/temperature", number % DEVICES);
    const int length = snprintf(payload, sizeof payload, "{\"value\":%.2f,\"unit\":\"Cel\",\"ts\":\"%s\"}",
                                15 + (double)(number * 7919 % 2000) / 100, words[3]);
    sem_wait(&room);
    const int code = mosquitto_publish(clients[number % CONNECTIONS], NULL, topic, length, payload, 1, false);
    if (code) failed("publish", code);
  }
  for (int i = 0; i < CONNECTIONS * UNACKNOWLEDGED; i++) sem_wait(&room);
  for (int i = 0; i < CONNECTIONS; i++) mosquitto_disconnect(clients[i]), mosquitto_loop_stop(clients[i], false);
  return 0;
}
