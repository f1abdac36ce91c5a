// Load on /v1/stream: WebSockets that each keep so many frames unanswered, with a body of a file in each frame in turn.
// The file has, for each body, its length in a line and then its bytes. At the end it prints one line of JSON.
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  SENT = 8192,               // a connection's latest frames whose time is known; answers come in any order, but not so late
  STEP = 10, STEPS = 1 << 20 // microseconds, and how many of them, of the counted times until an answer
};

struct frame {
  unsigned char *bytes;
  size_t length;
};

struct connection {
  int socket;
  uint64_t sequence;
  size_t filled;
  int64_t sent[SENT];
  unsigned char input[65536];
};

static struct frame *frames;
static size_t frame_count, next_frame;
static uint64_t answered, refused, failed, times[STEPS];

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000LL + time.tv_nsec / 1000;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

// A masked text frame with the body (RFC 6455, 5.2).
static struct frame frame(const unsigned char *body, size_t length) {
  struct frame frame = {malloc(length + 14), 0};
  if (!frame.bytes || length > UINT16_MAX) exit(fprintf(stderr, "a body is too large\n"));
  frame.bytes[frame.length++] = 0x81;
  if (length < 126) {
    frame.bytes[frame.length++] = 0x80 | (unsigned char)length;
  } else {
    frame.bytes[frame.length++] = 0x80 | 126;
    frame.bytes[frame.length++] = (unsigned char)(length >> 8), frame.bytes[frame.length++] = (unsigned char)length;
  }
  unsigned char mask[4];
  for (int i = 0; i < 4; i++) frame.bytes[frame.length++] = mask[i] = (unsigned char)rand();
  for (size_t i = 0; i < length; i++) frame.bytes[frame.length++] = body[i] ^ mask[i % 4];
  return frame;
}

static void read_frames(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) fail(path);
  unsigned char body[UINT16_MAX];
  for (size_t length; fscanf(file, "%zu", &length) == 1;) {
    if (fgetc(file) != '\n' || length > sizeof body || fread(body, 1, length, file) != length) fail(path);
    if (!(frames = realloc(frames, (frame_count + 1) * sizeof *frames))) fail("realloc");
    frames[frame_count++] = frame(body, length);
  }
  fclose(file);
  if (!frame_count) exit(fprintf(stderr, "no bodies in %s\n", path));
}

static void open_stream(struct connection *connection, const struct sockaddr_in *address) {
  static const char request[] =
      "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  connection->socket = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(connection->socket, (const struct sockaddr *)address, sizeof *address)) fail("connect");
  if (write(connection->socket, request, sizeof request - 1) != sizeof request - 1) fail("write");
  char answer[1024] = "";
  for (size_t length = 0; !strstr(answer, "\r\n\r\n");) {  // the server says nothing more until it is spoken to
    ssize_t got = read(connection->socket, answer + length, sizeof answer - 1 - length);
    if (got <= 0) fail("handshake");
    length += (size_t)got, answer[length] = 0;
  }
  if (strncmp(answer, "HTTP/1.1 101", 12)) exit(fprintf(stderr, "handshake: %s\n", answer));
}

// May block, but does not: what is unanswered fits into the socket's buffer.
static bool send_frames(struct connection *connection, size_t count) {
  unsigned char output[65536];
  const int64_t time = now();
  while (count) {
    size_t length = 0;
    for (; count; count--) {
      const struct frame *frame = &frames[next_frame];
      if (length + frame->length > sizeof output) break;
      memcpy(output + length, frame->bytes, frame->length);
      length += frame->length;
      next_frame = (next_frame + 1) % frame_count;
      connection->sent[connection->sequence++ % SENT] = time;
    }
    if (send(connection->socket, output, length, MSG_NOSIGNAL) != (ssize_t)length) return false;
  }
  return true;
}

static void take(struct connection *connection, const char *text, size_t length, int64_t time) {
  static const char accepted[] = "\"accepted\":1}";
  if (length < sizeof accepted || memcmp(text + length - (sizeof accepted - 1), accepted, sizeof accepted - 1)) {
    if (!refused++) fprintf(stderr, "%.*s\n", (int)length, text);
    return;
  }
  const uint64_t sequence = strtoull(text + strlen("{\"seq\":"), NULL, 10);
  const int64_t steps = (time - connection->sent[sequence % SENT]) / STEP;
  times[steps < STEPS ? steps : STEPS - 1]++;
}

// How many messages were answered; -1 when the stream is over.
static int read_answers(struct connection *connection) {
  ssize_t got = recv(connection->socket, connection->input + connection->filled,
                     sizeof connection->input - 1 - connection->filled, 0);
  if (got <= 0) return -1;
  connection->filled += (size_t)got;
  const int64_t time = now();
  int count = 0;
  unsigned char *at = connection->input, *end = at + connection->filled;
  for (;;) {
    if (end - at < 2) break;
    size_t head = 2, length = at[1];
    if (length > 126) return -1;  // none is so long
    if (length == 126) {
      if (end - at < 4) break;
      head = 4, length = (size_t)at[2] << 8 | at[3];
    }
    if ((size_t)(end - at) < head + length) break;
    if (at[0] == 0x88) return -1;
    if (at[0] == 0x81) take(connection, (char *)at + head, length, time), count++;
    at += head + length;
  }
  connection->filled = (size_t)(end - at);
  memmove(connection->input, at, connection->filled);
  return count;
}

static double percentile(double share) {
  uint64_t total = 0, seen = 0;
  for (int i = 0; i < STEPS; i++) total += times[i];
  int i = 0;
  while (i < STEPS - 1 && (double)(seen += times[i]) < share * (double)total) i++;
  return i * STEP / 1000.0;
}

int main(int count, char **words) {
  if (count != 6) return fprintf(stderr, "usage: stream_load PORT CONNECTIONS IN_FLIGHT SECONDS FILE\n"), 2;
  const int connections = atoi(words[2]), in_flight = atoi(words[3]), seconds = atoi(words[4]);
  if (connections < 1 || in_flight < 1 || in_flight > SENT / 2 || seconds < 1) return fprintf(stderr, "out of range\n"), 2;
  read_frames(words[5]);
  const struct sockaddr_in address = {AF_INET, htons((uint16_t)atoi(words[1])), {htonl(INADDR_LOOPBACK)}, {0}};
  struct connection *all = calloc((size_t)connections, sizeof *all);
  const int events = epoll_create1(0);
  if (!all || events < 0) fail("start");
  int open = connections;
  for (struct connection *one = all; one < all + connections; one++) {
    open_stream(one, &address);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
    if (epoll_ctl(events, EPOLL_CTL_ADD, one->socket, &event)) fail("epoll_ctl");
  }
  const int64_t start = now(), end = start + seconds * 1000000LL;
  for (int i = 0; i < connections; i++)
    if (!send_frames(&all[i], (size_t)in_flight)) fail("send");
  while (open && now() < end) {
    struct epoll_event ready[128];
    const int some = epoll_wait(events, ready, 128, 100);
    for (int i = 0; i < some; i++) {
      struct connection *one = ready[i].data.ptr;
      const int answers = read_answers(one);
      if (answers > 0) answered += (uint64_t)answers;
      if (answers < 0 || !send_frames(one, (size_t)answers)) close(one->socket), failed++, open--;
    }
  }
  printf("{\"requests\":%llu,\"seconds\":%.6f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"bad_status\":%llu,\"failed\":%llu}\n",
         (unsigned long long)answered, (double)(now() - start) / 1e6, percentile(0.5), percentile(0.99),
         (unsigned long long)refused, (unsigned long long)failed);
  return 0;
}
