// HTTP into Kafka and nothing between: the ceiling of a design that answers when Kafka has acknowledged.
// A connection is suspended, its body produced (idempotent, acks=all), and resumed by the delivery report.
// Nothing is validated; the key is what stands behind "device":".
#define _GNU_SOURCE
#include <librdkafka/rdkafka.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

struct request {
  struct MHD_Connection *connection;
  unsigned status;  // 0 until Kafka has spoken
  size_t length;
  char body[8192];
};

static rd_kafka_t *producer;
static rd_kafka_topic_t *topic;
static struct MHD_Response *accepted, *unavailable;
static int wakeup;  // signalled when a connection was resumed

static void finish(struct request *request, bool delivered) {
  request->status = delivered ? MHD_HTTP_ACCEPTED : MHD_HTTP_SERVICE_UNAVAILABLE;
  MHD_resume_connection(request->connection);
  eventfd_write(wakeup, 1);
}

static void delivered(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque) {
  (void)kafka, (void)opaque;
  finish(message->_private, message->err == RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void *poll_reports(void *unused) {
  for (;;) rd_kafka_poll(producer, 1000);
  return unused;
}

static void produce(struct request *request) {
  static const char prefix[] = "\"device\":\"";
  const char *key = memmem(request->body, request->length, prefix, sizeof prefix - 1), *end = NULL;
  if (key) {
    key += sizeof prefix - 1;
    end = memchr(key, '"', (size_t)(request->body + request->length - key));
  }
  // Not copied: the request lives until its report.
  if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, 0, request->body, request->length, end ? key : NULL,
                       end ? (size_t)(end - key) : 0, request) == -1)
    finish(request, false);
}

static enum MHD_Result handle(void *unused, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **state) {
  (void)unused, (void)url, (void)method, (void)version;
  struct request *request = *state;
  if (!request) {
    if (!(request = *state = malloc(sizeof *request))) return MHD_NO;
    request->connection = connection, request->status = 0, request->length = 0;
    return MHD_YES;
  }
  if (*size) {
    if (*size > sizeof request->body - request->length) return MHD_NO;
    memcpy(request->body + request->length, data, *size);
    request->length += *size, *size = 0;
    return MHD_YES;
  }
  if (request->status)
    return MHD_queue_response(connection, request->status, request->status == MHD_HTTP_ACCEPTED ? accepted : unavailable);
  MHD_suspend_connection(connection);  // before producing: the report may come first
  produce(request);
  return MHD_YES;
}

static void completed(void *unused, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode how) {
  (void)unused, (void)connection, (void)how;
  free(*state);
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
  accepted = json("{\"accepted\":1}"), unavailable = json("{\"error\":{\"code\":\"unavailable\"}}");
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
