#pragma once
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <limits.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

// What Swift cannot import: the variadic calls, a callback with a va_list, and enums whose cases it renames.

/// Where libmicrohttpd's messages go; `write` must be set before the daemon starts.
struct sluice_http_log {
  void *context;
  void (*write)(void *context, const char *message);
};

struct sluice_http_settings {
  bool tls;
  unsigned connection_limit;
  unsigned timeout_seconds;
  size_t connection_memory;
  const char *certificate;  // PEM
  const char *key;          // PEM
  struct sluice_http_log *log;
  void *context;  // first argument of the callbacks below
  /// 1: go on, 0: close the connection.
  int (*handle)(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                const char *version, const char *data, size_t *size, void **request);
  void (*completed)(void *context, struct MHD_Connection *connection, void **request, int how);
  void (*connected)(void *context, struct MHD_Connection *connection, void **record, bool opened);
};

enum { SLUICE_HTTP_COMPLETED_OK = MHD_REQUEST_TERMINATED_COMPLETED_OK };

static inline void sluice_http_write_log(void *log, const char *format, va_list arguments) {
  struct sluice_http_log *to = (struct sluice_http_log *)log;
  char message[512];
  vsnprintf(message, sizeof message, format, arguments);
  to->write(to->context, message);
}

static inline enum MHD_Result sluice_http_handle(void *settings, struct MHD_Connection *connection, const char *url,
                                                 const char *method, const char *version, const char *data,
                                                 size_t *size, void **request) {
  struct sluice_http_settings *s = (struct sluice_http_settings *)settings;
  return s->handle(s->context, connection, url, method, version, data, size, request) ? MHD_YES : MHD_NO;
}

static inline void sluice_http_completed(void *settings, struct MHD_Connection *connection, void **request,
                                         enum MHD_RequestTerminationCode how) {
  struct sluice_http_settings *s = (struct sluice_http_settings *)settings;
  s->completed(s->context, connection, request, (int)how);
}

static inline void sluice_http_connected(void *settings, struct MHD_Connection *connection, void **record,
                                         enum MHD_ConnectionNotificationCode what) {
  struct sluice_http_settings *s = (struct sluice_http_settings *)settings;
  s->connected(s->context, connection, record, what == MHD_CONNECTION_NOTIFY_STARTED);
}

/// Leaves what was escaped as it is: what is a separator and what is data is decided by the one who splits.
static inline size_t sluice_http_keep_escapes(void *context, struct MHD_Connection *connection, char *text) {
  (void)context;
  (void)connection;
  return strlen(text);
}

/// Starts a daemon without a listening socket (connections are handed to it) and without a thread (whoever starts it
/// calls `MHD_run`); null, with a message in the log, on failure. `settings` must outlive the daemon.
static inline struct MHD_Daemon *sluice_http_start(struct sluice_http_settings *settings) {
  unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_NO_LISTEN_SOCKET |
                   MHD_USE_ERROR_LOG | (settings->tls ? MHD_USE_TLS : 0);
  struct MHD_OptionItem options[12];
  int n = 0;
#define SLUICE_OPTION(name, number, pointer) \
  options[n++] = (struct MHD_OptionItem){name, (intptr_t)(number), (void *)(pointer)}
  SLUICE_OPTION(MHD_OPTION_CONNECTION_LIMIT, settings->connection_limit, NULL);
  SLUICE_OPTION(MHD_OPTION_CONNECTION_TIMEOUT, settings->timeout_seconds, NULL);
  SLUICE_OPTION(MHD_OPTION_CONNECTION_MEMORY_LIMIT, settings->connection_memory, NULL);
  SLUICE_OPTION(MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL);
  SLUICE_OPTION(MHD_OPTION_NOTIFY_COMPLETED, sluice_http_completed, settings);
  SLUICE_OPTION(MHD_OPTION_NOTIFY_CONNECTION, sluice_http_connected, settings);
  SLUICE_OPTION(MHD_OPTION_UNESCAPE_CALLBACK, sluice_http_keep_escapes, NULL);
  if (settings->tls) {
    SLUICE_OPTION(MHD_OPTION_HTTPS_MEM_CERT, 0, settings->certificate);
    SLUICE_OPTION(MHD_OPTION_HTTPS_MEM_KEY, 0, settings->key);
    SLUICE_OPTION(MHD_OPTION_HTTPS_PRIORITIES, 0, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2");
  }
  SLUICE_OPTION(MHD_OPTION_END, 0, NULL);
#undef SLUICE_OPTION
  return MHD_start_daemon(flags, 0, NULL, NULL, sluice_http_handle, settings, MHD_OPTION_EXTERNAL_LOGGER,
                          sluice_http_write_log, settings->log, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

/// The descriptor that is readable when `MHD_run` has something to do.
static inline int sluice_http_events(struct MHD_Daemon *daemon) {
  const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
  return info ? info->epoll_fd : -1;
}

/// Milliseconds after which `MHD_run` must be called whatever happens; -1: never.
static inline int sluice_http_patience(struct MHD_Daemon *daemon) {
  MHD_UNSIGNED_LONG_LONG milliseconds;
  if (MHD_get_timeout(daemon, &milliseconds) != MHD_YES) return -1;
  return milliseconds > INT_MAX ? INT_MAX : (int)milliseconds;
}

/// Waits until one of the descriptors is readable; whether the second is.
static inline bool sluice_http_wait(int events, int wakeup, int milliseconds) {
  struct pollfd polled[] = {{events, POLLIN, 0}, {wakeup, POLLIN, 0}};
  return poll(polled, 2, milliseconds) > 0 && polled[1].revents != 0;
}

static inline void *sluice_http_record(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info ? info->socket_context : NULL;
}

static inline int sluice_http_socket(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info ? info->connect_fd : -1;
}

/// Also after it was resumed, until the library has noticed that.
static inline bool sluice_http_is_suspended(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);
  return info && info->suspended == MHD_YES;
}

static inline const struct sockaddr *sluice_http_peer(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
  return info ? info->client_addr : NULL;
}

/// Whether a target has a blank or a control character in it.
static inline bool sluice_http_has_blank(const char *target) {
  for (; *target; target++)
    if ((unsigned char)*target <= 0x20 || *target == 0x7f) return true;
  return false;
}

/// What the header says about how the request is framed, in one walk over its fields.
struct sluice_http_framing {
  uint64_t content_length;
  size_t header_bytes;
  unsigned content_lengths;     // how many Content-Length fields
  unsigned transfer_encodings;  // how many Transfer-Encoding fields
  unsigned hosts;
  bool chunked;    // the last Transfer-Encoding is exactly "chunked"
  bool expects;    // Expect: 100-continue
  bool malformed;  // a name that is no token (RFC 9110, 5.1), a control character in a value, a bad length
};

static inline bool sluice_http_same(const char *text, size_t size, const char *lower) {
  for (size_t i = 0; i < size; i++) {
    char c = text[i];
    if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != lower[i]) return false;
  }
  return true;
}

/// RFC 9110, 5.6.2.
static inline bool sluice_http_is_token(const char *text, size_t size) {
  if (size == 0) return false;
  for (size_t i = 0; i < size; i++) {
    unsigned char c = (unsigned char)text[i];
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-') continue;
    if (c == 0 || !strchr("!#$%&'*+.^_`|~", c)) return false;
  }
  return true;
}

static inline enum MHD_Result sluice_http_frame_field(void *framing, enum MHD_ValueKind kind, const char *name,
                                                      size_t name_size, const char *value, size_t value_size) {
  struct sluice_http_framing *f = (struct sluice_http_framing *)framing;
  (void)kind;
  if (!sluice_http_is_token(name, name_size)) f->malformed = true;
  // Of a field folded over several lines the library makes a wrong name, elsewhere in its memory: where nothing is
  // folded, only a colon and blanks separate the two.
  if (value <= name + name_size) f->malformed = true;
  for (const char *c = name + name_size + 1; c < value; c++) {
    if (*c != ' ' && *c != '\t') {
      f->malformed = true;
      break;
    }
  }
  for (size_t i = 0; i < value_size; i++) {
    unsigned char c = (unsigned char)value[i];
    if ((c < 0x20 && c != '\t') || c == 0x7f) f->malformed = true;
  }
  if (name_size == 14 && sluice_http_same(name, 14, "content-length")) {
    f->content_lengths++;
    f->content_length = 0;
    if (value_size == 0 || value_size > 18) f->malformed = true;
    for (size_t i = 0; i < value_size && i < 18; i++) {
      if (value[i] < '0' || value[i] > '9') f->malformed = true;
      f->content_length = f->content_length * 10 + (uint64_t)(value[i] - '0');
    }
  } else if (name_size == 17 && sluice_http_same(name, 17, "transfer-encoding")) {
    f->transfer_encodings++;
    f->chunked = value_size == 7 && sluice_http_same(value, 7, "chunked");
  } else if (name_size == 4 && sluice_http_same(name, 4, "host")) {
    f->hosts++;
  } else if (name_size == 6 && sluice_http_same(name, 6, "expect")) {
    f->expects = value_size == 12 && sluice_http_same(value, 12, "100-continue");
  }
  return MHD_YES;
}

static inline struct sluice_http_framing sluice_http_frame(struct MHD_Connection *connection) {
  struct sluice_http_framing framing = {0};
  MHD_get_connection_values_n(connection, MHD_HEADER_KIND, sluice_http_frame_field, &framing);
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  if (info) framing.header_bytes = info->header_size;
  return framing;
}

/// False when the request has no such header field.
static inline bool sluice_http_header(struct MHD_Connection *connection, const char *name, size_t size,
                                      const char **value, size_t *value_size) {
  return MHD_lookup_connection_value_n(connection, MHD_HEADER_KIND, name, size, value, value_size) == MHD_YES;
}

/// A word that is looked for in all header fields of a name, each of which is a list (RFC 9110, 5.6.1).
struct sluice_http_word {
  const char *name;
  const char *word;  // in lower case
  size_t name_size;
  size_t word_size;
  bool found;
};

static inline enum MHD_Result sluice_http_find_word(void *wanted, enum MHD_ValueKind kind, const char *name,
                                                    size_t name_size, const char *value, size_t size) {
  struct sluice_http_word *w = (struct sluice_http_word *)wanted;
  (void)kind;
  if (name_size != w->name_size || !sluice_http_same(name, name_size, w->name)) return MHD_YES;
  for (size_t start = 0, end; start <= size; start = end + 1) {
    for (end = start; end < size && value[end] != ','; end++)
      ;
    size_t first = start, last = end;
    while (first < last && (value[first] == ' ' || value[first] == '\t')) first++;
    while (last > first && (value[last - 1] == ' ' || value[last - 1] == '\t')) last--;
    if (last - first == w->word_size && sluice_http_same(value + first, w->word_size, w->word)) w->found = true;
  }
  return MHD_YES;
}

/// Whether one of the header fields `name` has `word` in its list; both in lower case.
static inline bool sluice_http_has_word(struct MHD_Connection *connection, const char *name, size_t name_size,
                                        const char *word, size_t word_size) {
  struct sluice_http_word wanted = {name, word, name_size, word_size, false};
  MHD_get_connection_values_n(connection, MHD_HEADER_KIND, sluice_http_find_word, &wanted);
  return wanted.found;
}

struct sluice_http_counting {
  const char *name;
  size_t size;
  size_t count;
};

static inline enum MHD_Result sluice_http_count_field(void *counting, enum MHD_ValueKind kind, const char *name,
                                                      size_t name_size, const char *value, size_t value_size) {
  struct sluice_http_counting *c = (struct sluice_http_counting *)counting;
  (void)kind, (void)value, (void)value_size;
  if (name_size == c->size && strncasecmp(name, c->name, c->size) == 0) c->count++;
  return MHD_YES;
}

/// How many header fields of that name the request has.
static inline size_t sluice_http_header_count(struct MHD_Connection *connection, const char *name, size_t size) {
  struct sluice_http_counting counting = {name, size, 0};
  MHD_get_connection_values_n(connection, MHD_HEADER_KIND, sluice_http_count_field, &counting);
  return counting.count;
}

/// False when the query has no such name; `value` stays null for a name without "=".
static inline bool sluice_http_query(struct MHD_Connection *connection, const char *name, size_t size,
                                     const char **value, size_t *value_size) {
  return MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, name, size, value, value_size) == MHD_YES;
}

static inline struct MHD_Response *sluice_http_response(const void *body, size_t size, bool constant) {
  return MHD_create_response_from_buffer(size, (void *)body, constant ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_COPY);
}

static inline bool sluice_http_add_header(struct MHD_Response *response, const char *name, const char *value) {
  return MHD_add_response_header(response, name, value) == MHD_YES;
}

static inline bool sluice_http_queue(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response) {
  return MHD_queue_response(connection, status, response) == MHD_YES;
}

static inline struct MHD_Response *sluice_http_upgrade(MHD_UpgradeHandler take) {
  return MHD_create_response_for_upgrade(take, NULL);
}

/// The daemon closes the socket of an upgraded connection, in its next run.
static inline void sluice_http_release(struct MHD_UpgradeResponseHandle *handle) {
  MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}

/// Small frames must not wait for the acknowledgement of earlier ones.
static inline void sluice_http_send_at_once(int socket) {
  int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/// Hands a connected socket to the daemon, which closes it also on failure.
static inline bool sluice_http_adopt(struct MHD_Daemon *daemon, int socket, const void *address, unsigned size) {
  return MHD_add_connection(daemon, socket, (const struct sockaddr *)address, size) == MHD_YES;
}

/// What new connections get: a certificate, its key and, if clients may show one of their own, who vouches for those.
/// Null, with a reason, when they do not fit together.
static inline gnutls_certificate_credentials_t sluice_tls_new(const char *certificate, const char *key,
                                                              const char *authorities, const char **reason) {
  gnutls_certificate_credentials_t made = NULL;
  gnutls_datum_t files[] = {{(unsigned char *)certificate, (unsigned)strlen(certificate)},
                            {(unsigned char *)key, (unsigned)strlen(key)}};
  int code = gnutls_certificate_allocate_credentials(&made);
  if (code < 0) {
    *reason = gnutls_strerror(code);
    return NULL;
  }
  code = gnutls_certificate_set_x509_key_mem(made, &files[0], &files[1], GNUTLS_X509_FMT_PEM);
  if (code >= 0 && authorities) {
    gnutls_datum_t trusted = {(unsigned char *)authorities, (unsigned)strlen(authorities)};
    code = gnutls_certificate_set_x509_trust_mem(made, &trusted, GNUTLS_X509_FMT_PEM);
    if (code == 0) code = GNUTLS_E_NO_CERTIFICATE_FOUND;
  }
  if (code >= 0) return made;
  *reason = gnutls_strerror(code);
  gnutls_certificate_free_credentials(made);
  return NULL;
}

static inline gnutls_session_t sluice_tls_session(struct MHD_Connection *connection) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  return info ? (gnutls_session_t)info->tls_session : NULL;
}

/// Gives a connection that is new, and so has not begun its handshake, other credentials than its daemon's. They must
/// outlive it.
static inline void sluice_tls_use(struct MHD_Connection *connection, gnutls_certificate_credentials_t credentials,
                                  bool asks_client) {
  gnutls_session_t session = sluice_tls_session(connection);
  if (!session) return;
  gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
  if (asks_client) gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
}

/// The client's own certificate (DER), if it showed one and an authority vouches for it.
static inline const unsigned char *sluice_tls_peer(struct MHD_Connection *connection, size_t *size) {
  gnutls_session_t session = sluice_tls_session(connection);
  unsigned count = 0, status = 0;
  if (!session) return NULL;
  const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
  if (!chain || count == 0) return NULL;
  if (gnutls_certificate_verify_peers2(session, &status) != 0 || status != 0) return NULL;
  *size = chain[0].size;
  return chain[0].data;
}

/// Sends on a TLS connection past the library, without waiting: only on the thread that serves it, and as the last that
/// it gets. True when all of it is on its way.
static inline bool sluice_tls_send(struct MHD_Connection *connection, const char *bytes, size_t size) {
  gnutls_session_t session = sluice_tls_session(connection);
  if (!session) return false;
  while (size > 0) {
    ssize_t sent = gnutls_record_send(session, bytes, size);
    if (sent <= 0) return false;
    bytes += sent;
    size -= (size_t)sent;
  }
  return true;
}

// Declared by the C library for GNU sources only.
int accept4(int, struct sockaddr *, socklen_t *, int);
int pthread_setname_np(pthread_t, const char *);

static inline int sluice_http_listener(int family) {
  return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static inline int sluice_http_accept(int listener, struct sockaddr_storage *address, socklen_t *size) {
  *size = sizeof *address;
  return accept4(listener, (struct sockaddr *)address, size, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static inline int sluice_http_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

/// How many bytes went out without waiting; -1 on failure.
static inline ssize_t sluice_http_send(int socket, const void *bytes, size_t size) {
  return send(socket, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/// Whether the other side has closed its direction and all that it sent was read.
static inline bool sluice_http_is_at_end(int socket) {
  char byte;
  return recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static inline ssize_t sluice_http_receive(int socket, void *bytes, size_t size) {
  return recv(socket, bytes, size, MSG_DONTWAIT);
}
