// HTTP into Kafka and nothing between: the ceiling of a design that answers when Kafka has acknowledged.
// A connection is suspended, each line of its body produced (idempotent, acks=all), and resumed by the last delivery
// report. A body may be packed with gzip. Nothing is validated; the key is what stands behind "device":" in a line.
#define _GNU_SOURCE
#include <librdkafka/rdkafka.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <zlib.h>

enum { LARGEST_BODY = 8 << 20 };

struct request {
  struct MHD_Connection *connection;
  unsigned status;   // 0 until Kafka has spoken of all lines
  atomic_uint open;  // lines without a report; and one more while lines are being produced
  atomic_bool failed;
  char *unpacked;
  size_t length, capacity;
  char body[];
};

static rd_kafka_t *producer;
static rd_kafka_topic_t *topic;
static struct MHD_Response *accepted, *unavailable;
static int wakeup;  // signalled when a connection was resumed

static void account(struct request *request, bool delivered) {
  if (!delivered) request->failed = true;
  if (atomic_fetch_sub(&request->open, 1) != 1) return;
  request->status = request->failed ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_ACCEPTED;
  MHD_resume_connection(request->connection);
  eventfd_write(wakeup, 1);
}

static void delivered(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque) {
  (void)kafka, (void)opaque;
  account(message->_private, message->err == RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void *poll_reports(void *unused) {
  for (;;) rd_kafka_poll(producer, 1000);
  return unused;
}

static void produce_line(struct request *request, char *line, size_t length) {
  static const char prefix[] = "\"device\":\"";
  const char *key = memmem(line, length, prefix, sizeof prefix - 1), *end = NULL;
  if (key) {
    key += sizeof prefix - 1;
    end = memchr(key, '"', (size_t)(line + length - key));
  }
  request->open++;
  // Not copied: the request lives until its last report.
  if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, 0, line, length, end ? key : NULL, end ? (size_t)(end - key) : 0,
                       request) == -1)
    account(request, false);
}

static void produce(struct request *request, char *lines, size_t length) {
  for (char *line = lines, *end = lines + length, *next; line < end; line = next + 1) {
    if (!(next = memchr(line, '\n', (size_t)(end - line)))) next = end;
    if (next > line) produce_line(request, line, (size_t)(next - line));
  }
}

// In one piece: a gzip member ends with the length of what it holds (RFC 1952, ISIZE).
static bool unpack(struct request *request, size_t *length) {
  if (request->length < 18) return false;
  const unsigned char *end = (unsigned char *)request->body + request->length;
  *length = end[-4] | end[-3] << 8 | end[-2] << 16 | (size_t)end[-1] << 24;
  if (*length > LARGEST_BODY || !(request->unpacked = malloc(*length + 1))) return false;
  z_stream stream = {.next_in = (unsigned char *)request->body,
                     .avail_in = (unsigned)request->length,
                     .next_out = (unsigned char *)request->unpacked,
                     .avail_out = (unsigned)*length + 1};
  if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) return false;
  const int outcome = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  return outcome == Z_STREAM_END && stream.total_out == *length;
}

static struct request *begin(struct MHD_Connection *connection) {
  const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
  const size_t capacity = length ? strtoul(length, NULL, 10) : 0;
  if (capacity == 0 || capacity > LARGEST_BODY) return NULL;
  struct request *request = malloc(sizeof *request + capacity);
  if (!request) return NULL;
  *request = (struct request){.connection = connection, .open = 1, .capacity = capacity};
  return request;
}

static enum MHD_Result handle(void *unused, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **state) {
  (void)unused, (void)url, (void)method, (void)version;
  struct request *request = *state;
  if (!request) return (*state = begin(connection)) ? MHD_YES : MHD_NO;
  if (*size) {
    if (*size > request->capacity - request->length) return MHD_NO;
    memcpy(request->body + request->length, data, *size);
    request->length += *size, *size = 0;
    return MHD_YES;
  }
  if (request->status)
    return MHD_queue_response(connection, request->status, request->status == MHD_HTTP_ACCEPTED ? accepted : unavailable);
  char *lines = request->body;
  size_t length = request->length;
  if (MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_ENCODING)) {
    if (!unpack(request, &length)) return MHD_NO;
    lines = request->unpacked;
  }
  MHD_suspend_connection(connection);  // before producing: the reports may come first
  produce(request, lines, length);
  account(request, true);
  return MHD_YES;
}

static void completed(void *unused, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how) {
  (void)unused, (void)connection, (void)how;
  struct request *request = *state;
  if (request) free(request->unpacked);
  free(request);
}

// Not the library's own thread: after a round of exactly 128 events (MAX_EVENTS in daemon.c of 0.9.75) its loop waits,
// if need be for ever, for one more before it serves them. MHD_run never waits.
static void *serve(void *daemon) {
  int events = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
  for (;;) {
    struct pollfd polled[] = {{events, POLLIN, 0}, {wakeup, POLLIN, 0}};
    MHD_UNSIGNED_LONG_LONG milliseconds;
    poll(polled, 2, MHD_get_timeout(daemon, &milliseconds) == MHD_YES ? (int)milliseconds : -1);
    eventfd_t count;
    if (polled[1].revents) eventfd_read(wakeup, &count);
    if (MHD_run(daemon) != MHD_YES) abort();
  }
  return daemon;
}

static struct MHD_Response *json(char *text) {
  struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_PERSISTENT);
  MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
  return response;
}

int main(int count, char **words) {
  if (count != 4) return fprintf(stderr, "usage: ingest PORT BROKERS TOPIC\n"), 2;
  sigset_t ends;
  sigemptyset(&ends), sigaddset(&ends, SIGTERM), sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, NULL);
  char error[512];
  const char *settings[][2] = {{"bootstrap.servers", words[2]}, {"enable.idempotence", "true"}, {"acks", "all"},
                               {"linger.ms", "2"}, {"batch.num.messages", "10000"}};
  rd_kafka_conf_t *configuration = rd_kafka_conf_new();
  for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
    if (rd_kafka_conf_set(configuration, settings[i][0], settings[i][1], error, sizeof error) != RD_KAFKA_CONF_OK)
      return fprintf(stderr, "%s\n", error), 1;
  rd_kafka_conf_set_dr_msg_cb(configuration, delivered);
  if (!(producer = rd_kafka_new(RD_KAFKA_PRODUCER, configuration, error, sizeof error)))
    return fprintf(stderr, "%s\n", error), 1;
  topic = rd_kafka_topic_new(producer, words[3], NULL);
  accepted = json("{\"accepted\":true}"), unavailable = json("{\"error\":{\"code\":\"unavailable\"}}");
  pthread_t poller;
  pthread_create(&poller, NULL, poll_reports, NULL);
  struct MHD_Daemon *daemon = MHD_start_daemon(
      MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, (uint16_t)atoi(words[1]), NULL, NULL, handle, NULL,
      MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_CONNECTION_LIMIT, 10000u, MHD_OPTION_END);
  if (!daemon) return fprintf(stderr, "cannot listen on port %s\n", words[1]), 1;
  wakeup = eventfd(0, EFD_NONBLOCK);
  pthread_t server;
  pthread_create(&server, NULL, serve, daemon);
  int signal;
  sigwait(&ends, &signal);
  return rd_kafka_flush(producer, 5000) == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : 1;
}
