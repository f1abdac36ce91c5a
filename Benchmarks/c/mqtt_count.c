// Takes MQTT messages at QoS 1 and counts them, each acknowledged as it comes: the ceiling of a bridge on libmosquitto.
// The count is kept in the first eight bytes of a file, for whoever wants to see it.
#include <fcntl.h>
#include <mosquitto.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile uint64_t *taken;
static volatile sig_atomic_t ends;

static void connected(struct mosquitto *client, void *filter, int code) {
  if (code || mosquitto_subscribe(client, NULL, filter, 1)) exit(fprintf(stderr, "cannot subscribe\n"));
}

static void message(struct mosquitto *client, void *unused, const struct mosquitto_message *message) {
  (void)client, (void)unused, (void)message;
  ++*taken;
}

static void end(int number) {
  (void)number;
  ends = 1;
}

int main(int count, char **words) {
  if (count != 4) return fprintf(stderr, "usage: mqtt_count PORT FILTER FILE\n"), 2;
  signal(SIGTERM, end);
  const int file = open(words[3], O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof *taken)) return perror(words[3]), 1;
  taken = mmap(NULL, sizeof *taken, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (taken == MAP_FAILED) return perror(words[3]), 1;
  mosquitto_lib_init();
  struct mosquitto *client = mosquitto_new("counter", false, words[2]);
  if (!client) return fprintf(stderr, "out of memory\n"), 1;
  mosquitto_connect_callback_set(client, connected);
  mosquitto_message_callback_set(client, message);
  int code = mosquitto_connect(client, "127.0.0.1", atoi(words[1]), 60);
  while (!code && !ends) {
    // mosquitto_loop would wait anew before each message.
    struct pollfd socket = {mosquitto_socket(client), POLLIN | (mosquitto_want_write(client) ? POLLOUT : 0), 0};
    if (poll(&socket, 1, 1000) > 0 && socket.revents & POLLOUT) code = mosquitto_loop_write(client, 1);
    while (!code && poll(&socket, 1, 0) > 0 && socket.revents & POLLIN) code = mosquitto_loop_read(client, 1);
    if (!code) code = mosquitto_loop_misc(client);
  }
  if (code) return fprintf(stderr, "%s\n", mosquitto_strerror(code)), 1;
  mosquitto_disconnect(client);
  return 0;
}
